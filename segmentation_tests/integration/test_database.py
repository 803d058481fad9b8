"""The database that tests use: each module gets an empty one on a server that asks for passwords."""

import psycopg
import pytest

from segmentation_tests.database import PASSWORD, stopped, url_of


def test_a_module_has_a_database_of_its_own(database_url):
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("test_database",)
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_wrong_password_is_refused(database_server, database_url):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url_of(database_server, "test_database", password="wrong" + PASSWORD))


def test_the_server_can_be_stopped_and_comes_back(database_server, database_url):
    with stopped(database_server), pytest.raises(psycopg.OperationalError):
        psycopg.connect(database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
