"""The configuration: what is read from where, and the one message that a wrong key or value gives."""

from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml

from segmentation_pipeline.settings import ConfigurationError, Model, chosen_for_one_run, load, load_configured

MINIMAL = {
    "source": {
        "path": "landing/*.csv",
        "columns": {"customer_id": "Customer", "invoiced_at": "When", "amount": "Total"},
    },
    "start_date": "2025-03-01",
}


def merged(base: dict, changes: dict) -> dict:
    both = {**base}
    for key, value in changes.items():
        both[key] = merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return both


def written(folder: Path, changes: dict | None = None) -> Path:
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump(merged(MINIMAL, changes or {})))
    return file


@pytest.fixture
def duckdb_reads():
    return lambda pattern: duckdb.sql("SELECT regexp_matches('POST', ?)", params=[pattern]).fetchall()


def refusal(file: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(file)
    return str(refused.value)


def test_a_source_and_a_first_day_are_enough(tmp_path):
    settings = load(written(tmp_path))
    assert settings.start_date == date(2025, 3, 1)
    assert settings.end_date is None
    assert settings.source.columns.mapped() == MINIMAL["source"]["columns"]
    assert (settings.model.min_k, settings.model.max_k, settings.rfm.return_window_days) == (2, 8, 90)


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    file = written(tmp_path, {"lake": "../lake", "reports": "out", "engine": {"spill_folder": "spill"}})
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load(file)
    assert settings.source.path == str(tmp_path / "landing" / "*.csv")
    assert settings.lake == tmp_path.parent / "lake"
    assert settings.reports == tmp_path / "out"
    assert settings.engine.spill_folder == tmp_path / "spill"


def test_absolute_paths_and_the_home_folder_stay_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = load(written(tmp_path, {"lake": "/srv/lake", "source": {"path": "~/sales/**/*.parquet"}}))
    assert settings.lake == Path("/srv/lake")
    assert settings.engine.spill_folder == Path("/srv/lake/.spill")
    assert settings.source.path == str(tmp_path / "home" / "sales" / "**" / "*.parquet")


def test_an_environment_variable_wins_over_the_file(tmp_path, monkeypatch):
    file = written(tmp_path, {"engine": {"threads": 2, "memory_limit": "800MB"}, "currency": "GBP"})
    monkeypatch.setenv("SEGMENTATION_ENGINE__THREADS", "7")
    monkeypatch.setenv("SEGMENTATION_CURRENCY", "USD")
    settings = load(file)
    assert (settings.engine.threads, settings.engine.memory_limit, settings.currency) == (7, "800MB", "USD")


def test_a_wrong_value_from_the_environment_names_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMENTATION_ENGINE__THREADS", "many")
    message = refusal(written(tmp_path))
    assert "engine.threads: " in message
    assert "'many'" in message
    assert "SEGMENTATION_ENGINE__THREADS" in message


@pytest.mark.parametrize("variable", ["SEGMENTATION_ENGINE__THREDS", "SEGMENTATION_ENGIN__THREADS"])
def test_a_misspelt_environment_variable_is_refused(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "7")
    message = refusal(written(tmp_path))
    assert "is no known key" in message


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SEGMENTATION_ENGINE_THREADS", "as in SEGMENTATION_ENGINE__THREADS"),
        ("SEGMENTATION_TIMEZON", "did you mean SEGMENTATION_TIMEZONE?"),
        ("segmentation_timezon", "did you mean SEGMENTATION_TIMEZONE?"),
    ],
)
def test_a_variable_that_looks_like_a_setting_and_is_none_is_refused(tmp_path, monkeypatch, variable, meant):
    monkeypatch.setenv(variable, "7")
    assert meant in refusal(written(tmp_path))


def test_variables_that_the_configuration_names_or_that_resemble_no_setting_are_no_mistake(tmp_path, monkeypatch):
    for variable in (
        "SEGMENTATION_PUBLISH_URL",
        "SEGMENTATION_ALERTS_URL",
        "SEGMENTATION_PORT",
        "SEGMENTATION_LAKES_OWNER",
        "SEGMENTATION_SOURCE_SERVICE_HOST",  # as Kubernetes names its services
        "SEGMENTATION_SOURCE_PORT",
        "SEGMENTATION_REPORTER",
    ):
        monkeypatch.setenv(variable, "postgresql://h/d")
    monkeypatch.setenv("SEGMENTATION_ALERTS__WEBHOOK_VARIABLE", "SEGMENTATION_ALERTS_URL")
    settings = load(written(tmp_path, {"publish": {"database": {"url_variable": "SEGMENTATION_PUBLISH_URL"}}}))
    assert settings.alerts.webhook_variable == "SEGMENTATION_ALERTS_URL"


def test_an_environment_variable_that_is_no_json_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMENTATION_MODEL__FEATURES", "monetary")
    assert "SEGMENTATION_" in refusal(written(tmp_path))


def test_variables_in_the_file_are_filled_in_or_take_their_default(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_NAME", "Corner Shop")
    monkeypatch.delenv("SHOP_CURRENCY", raising=False)
    settings = load(written(tmp_path, {"shop": "${SHOP_NAME}", "currency": "${SHOP_CURRENCY:-GBP}"}))
    assert (settings.shop, settings.currency) == ("Corner Shop", "GBP")


def test_a_variable_that_is_not_set_is_named_unless_it_stands_in_a_comment(tmp_path, monkeypatch):
    monkeypatch.delenv("SHOP_NAME", raising=False)
    file = written(tmp_path)
    file.write_text("# shop: ${SHOP_NAME}\n" + file.read_text())
    assert load(file).shop == "Shop"
    message = refusal(written(tmp_path, {"shop": "${SHOP_NAME}"}))
    assert str(file) in message
    assert "SHOP_NAME is not set" in message


def test_the_configuration_in_use_is_the_one_the_variable_names(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMENTATION_CONFIG", str(written(tmp_path, {"shop": "Named"})))
    assert load_configured().shop == "Named"


def test_a_file_written_by_a_windows_editor_is_read(tmp_path):
    file = written(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_text().replace("\n", "\r\n").encode())
    assert load(file).start_date == date(2025, 3, 1)


TABLE = {"kind": "postgres", "table": "public.sales", "high_water_mark": "updated_at"}


def of_a_table(folder: Path, **changes: object) -> Path:
    file, columns = folder / "shop.yaml", MINIMAL["source"]["columns"]
    file.write_text(yaml.safe_dump({**MINIMAL, "source": {**TABLE, "columns": columns, **changes}}))
    return file


def test_a_table_can_be_the_source_and_its_address_is_in_a_variable(tmp_path):
    source = load(of_a_table(tmp_path)).source
    assert (source.kind, source.table, source.url_variable) == ("postgres", "public.sales", "SHOP_DATABASE_URL")
    assert (source.measure, source.decimal, source.timestamp_format) == ("amount", ".", None)


def test_a_kind_and_keys_of_a_source_from_the_environment_win_and_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMENTATION_SOURCE__TABLE", "public.lines")
    assert load(of_a_table(tmp_path)).source.table == "public.lines"
    monkeypatch.setenv("SEGMENTATION_SOURCE__TABLE", "lines")
    assert "from the environment variable SEGMENTATION_SOURCE__TABLE" in refusal(of_a_table(tmp_path))
    monkeypatch.setenv("SEGMENTATION_SOURCE__KIND", "tables")
    message = refusal(of_a_table(tmp_path))
    assert "source.kind: Input should be 'files' or 'postgres' (given: 'tables')" in message
    assert "SEGMENTATION_SOURCE__KIND" in message


ARCHETYPE = {"name": "Best", "recency": 1, "frequency": 1, "monetary": 1, "color": "#112233", "action": "Call them."}
WRONG = {
    "unknown key": ({"timezon": "UTC"}, "timezon: is no known key", "did you mean timezone?"),
    "unknown key in a section": ({"engine": {"thread": 2}}, "engine.thread: is no known key", "did you mean threads?"),
    "unknown column": ({"source": {"columns": {"customer": "C"}}}, "source.columns.customer:", "customer_id"),
    "time zone": ({"timezone": "Europe/Londn"}, "timezone:", "'Europe/Londn' is no IANA time zone"),
    "folder of time zones": ({"timezone": "Europe"}, "timezone:", "'Europe' is no IANA time zone"),
    "file beside time zones": ({"timezone": "posix/Europe/London"}, "timezone:", "is no IANA time zone"),
    "no time zone": ({"timezone": ""}, "timezone:", "'' is no IANA time zone"),
    "day": ({"start_date": "yesterday"}, "start_date: is no day, such as 2025-07-31", "'yesterday'"),
    "impossible day": ({"start_date": "2025-02-30"}, "start_date: is no day", "'2025-02-30'"),
    "an end that never comes": ({"end_date": "9999-12-31"}, "end_date:", "2199-12-31"),
    "a beginning before all shops": ({"start_date": "0020-01-01"}, "start_date:", "1900-01-01"),
    "drift that is never reached": ({"drift": {"act": float("inf")}}, "drift.act:", "finite"),
    "a factor without end": ({"quality": {"max_price_factor": float("inf")}}, "quality.max_price_factor:", "finite"),
    "days in wrong order": ({"end_date": "2025-02-01"}, "end_date 2025-02-01 is before start_date 2025-03-01", ""),
    "k in wrong order": ({"model": {"min_k": 6, "max_k": 3}}, "model: min_k (6) is above max_k (3)", ""),
    "k too small": ({"model": {"min_k": 1}}, "model.min_k:", "greater than or equal to 2"),
    "k too large": ({"model": {"max_k": 40}}, "model.max_k:", "less than or equal to 12"),
    "memory without a unit": ({"engine": {"memory_limit": "2000"}}, "engine.memory_limit:", "such as 800MB or 2GB"),
    "memory too small": ({"engine": {"memory_limit": "1MB"}}, "engine.memory_limit:", "at least 64MB"),
    "threads": ({"engine": {"threads": 0}}, "engine.threads:", "(given: 0)"),
    "section that is no section": ({"engine": "duckdb"}, "engine: expected keys below it: kind", "'duckdb'"),
    "engine": ({"engine": {"kind": "polars"}}, "engine.kind: Input should be 'duckdb' or 'spark'", "(given: 'polars')"),
    "a key of another engine": (
        {"engine": {"kind": "spark", "threads": 2}},
        "engine.threads: is no known key",
        "kind, master, connect, options",
    ),
    "two places for Spark": (
        {"engine": {"kind": "spark", "master": "local[2]", "connect": "sc://host"}},
        "engine: give master or connect, not both",
        "",
    ),
    "a server that is none": ({"engine": {"kind": "spark", "connect": "host:15002"}}, "engine.connect: give the", "sc://host"),
    "an option that is not Spark's": (
        {"engine": {"kind": "spark", "options": {"memory": "2g"}}},
        "engine.options: memory is no option of Spark",
        "`spark.`",
    ),
    "an option that results depend on": (
        {"engine": {"kind": "spark", "options": {"spark.sql.session.timeZone": "UTC"}}},
        "engine.options: spark.sql.session.timeZone is settled by the pipeline",
        "leave it out",
    ),
    "an option that files depend on": (
        {"engine": {"kind": "spark", "options": {"spark.sql.parquet.compression.codec": "snappy"}}},
        "engine.options: spark.sql.parquet.compression.codec is settled by the pipeline",
        "leave it out",
    ),
    "weeks that are never looked for": (
        {"quality": {"baseline_weeks": 2}},
        "quality: min_baseline_weeks (3) is more than baseline_weeks (2)",
        "lower the one or raise the other",
    ),
    "a seed below 0": ({"model": {"seed": -1}}, "model.seed:", "greater than or equal to 0"),
    "a seed that is too large": ({"model": {"seed": 2**32}}, "model.seed:", "less than 4294967296"),
    "a place that is none": ({"model": {"archetypes": [{**ARCHETYPE, "recency": float("inf")}]}}, "recency:", "finite"),
    "a name of blanks": ({"model": {"archetypes": [{**ARCHETYPE, "name": " "}]}}, "name:", "at least 1 character"),
    "a name that is taken": ({"model": {"archetypes": [{**ARCHETYPE, "name": "Net zero"}]}}, "name:", "outside the model"),
    "currency": ({"currency": "pounds"}, "currency:", "such as EUR"),
    "encoding": ({"source": {"encoding": "latin1x"}}, "source.encoding: is no known encoding", "latin-1"),
    "encoding that is none of text": ({"source": {"encoding": "base64"}}, "source.encoding: is no known", "utf-8"),
    "delimiter": ({"source": {"delimiter": ";;"}}, "source.delimiter: give one sign", "';;'"),
    "decimal": ({"source": {"decimal": ";"}}, "source.decimal:", "'.' or ','"),
    "timestamp format": ({"source": {"timestamp_format": "%d/%m"}}, "source.timestamp_format: give %Y, %m and %d", ""),
    "kind of source": ({"source": {"kind": "fils"}}, "source.kind: Input should be 'files' or 'postgres'", "'fils'"),
    "key of another kind": ({"source": {"table": "a.b"}}, "source.table: is no known key", "allowed here: columns, kind, path"),
    "source that is no section": ({"source": "landing/*.csv"}, "source: expected keys below it: columns, kind", "*.csv"),
    "time to settle": ({"source": {"settle_seconds": -1}}, "source.settle_seconds:", "greater than or equal to 0"),
    "removed files": ({"source": {"removed_files": "ask"}}, "source.removed_files:", "'keep' or 'drop'"),
    "address": ({"source": {"path": "s3://bucket/*.csv"}}, "source.path: is an address", "s3://bucket"),
    "empty path": ({"source": {"path": ""}}, "source.path:", "at least 1 character"),
    "two prices": ({"source": {"columns": {"unit_price": "P"}}}, "map exactly one of unit_price", "amount"),
    "an end that only Python knows": ({"cleaning": {"non_product_pattern": r"^POST\Z"}}, r"'\\Z' is no escape", "engines"),
    "a look ahead": ({"cleaning": {"non_product_pattern": "P(?=O)"}}, "'(?=' looks around", "instead"),
    "a reference": ({"cleaning": {"non_product_pattern": r"(A)\1"}}, r"'\\1' looks back", "instead"),
    "a name of a group": ({"cleaning": {"non_product_pattern": "(?P<x>A)"}}, "'(?P' is no group", "(?:...)"),
    "a pattern that takes all": ({"cleaning": {"non_product_pattern": "^A++$"}}, "'++' never gives back", "leave the + out"),
    "a pattern that takes all of one": ({"cleaning": {"non_product_pattern": "(?>A)"}}, "'(?>' is no group", "(?:...)"),
    "no repetition": ({"cleaning": {"non_product_pattern": "^A{,3}$"}}, "'{,3}$' is no repetition", "{n,m}"),
    "a class in a class": ({"cleaning": {"non_product_pattern": "^[A&&B]$"}}, "'&&' means another thing", "class"),
    "a letter by number": ({"cleaning": {"non_product_pattern": r"[\u00e4]"}}, r"'\\u' is no escape", "engines"),
    "a pattern that repeats": ({"cleaning": {"non_product_pattern": "A{2000}"}}, "'{2000}' repeats", "1,000"),
    "pattern": ({"cleaning": {"non_product_pattern": "(("}}, "cleaning.non_product_pattern: is no regular", ""),
    "drift in wrong order": ({"drift": {"warn": 0.3}}, "drift: warn (0.3) is above act (0.25)", ""),
    "drift of nobody": ({"drift": {"min_customers": 0}}, "drift.min_customers:", "greater than or equal to 1"),
    "migration since today": ({"migration": {"days": 0}}, "migration.days:", "greater than or equal to 1"),
    "unknown key of migration": ({"migration": {"inactive": 9}}, "migration.inactive: is no known key", "inactive_days?"),
    "stability": ({"model": {"min_stability": 50}}, "model.min_stability:", "less than or equal to 1"),
    "stability where it was": ({"quality": {"min_stability": 0.5}}, "quality.min_stability: is no known key", ""),
    "feature": ({"model": {"features": ["age"]}}, "model.features.0:", "'average_order_value'"),
    "feature twice": ({"model": {"features": ["frequency"] * 2}}, "model: features: give each at most once", ""),
    "promotion": ({"model": {"promote": "yes"}}, "model.promote:", "'if_better', 'always' or 'never'"),
    "no first day": ({"start_date": None}, "start_date:", "is no day"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "key", "allowed"), WRONG.values(), ids=WRONG)
def test_a_wrong_key_or_value_is_one_message_with_file_key_and_what_is_allowed(tmp_path, changes, key, allowed):
    file = written(tmp_path, changes)
    message = refusal(file)
    assert message.startswith(f"{file}: the configuration cannot be used\n")
    assert key in message
    assert allowed in message
    assert len(message.splitlines()) == 2


@pytest.mark.parametrize(
    "pattern", [r"(?i)^(POST|[*+]+x\d{2,4}|\[a\]|a\\\\Zb|(?:M|D)?)$", "", r"^[^\]a]\x41\.\-\_$", "A{1000}"]
)
def test_what_every_engine_reads_alike_may_be_a_pattern(tmp_path, pattern, duckdb_reads):
    assert (
        load(written(tmp_path, {"cleaning": {"non_product_pattern": pattern}})).cleaning.non_product_pattern == pattern
    )
    assert duckdb_reads(pattern)


def test_an_unknown_key_in_a_list_names_its_place_and_what_is_allowed_there(tmp_path):
    message = refusal(written(tmp_path, {"model": {"archetypes": [{"nme": "x"}]}}))
    assert "model.archetypes.0.nme: is no known key; did you mean name? allowed here: name, recency," in message


def test_every_mistake_is_told_at_once(tmp_path):
    message = refusal(written(tmp_path, {"timezone": "Mars", "engine": {"threads": 0}, "lakes": "x"}))
    assert len(message.splitlines()) == 4


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("shop: [unclosed", "is no YAML"),
        ("just a sentence", "expected keys such as source"),
        ("", "expected keys such as source"),
        ("1: 2", "expected keys such as source"),
        ("{}", "source: is required"),
    ],
)
def test_a_file_that_holds_no_configuration_is_refused(tmp_path, content, told):
    file = tmp_path / "shop.yaml"
    file.write_text(content)
    message = refusal(file)
    assert message.startswith(str(file))
    assert told in message


def test_a_file_in_another_encoding_is_refused(tmp_path):
    file = tmp_path / "shop.yaml"
    file.write_bytes("shop: Müller".encode("latin-1"))
    assert refusal(file).startswith(str(file))


def test_a_missing_file_says_how_to_name_one(tmp_path):
    message = refusal(tmp_path / "nowhere.yaml")
    assert "nowhere.yaml" in message
    assert "--config" in message


@pytest.mark.parametrize(("given", "meant"), [("\\t", "\t"), ("\t", "\t"), (";", ";")])
def test_a_tab_can_be_written_as_people_write_it(tmp_path, given, meant):
    assert load(written(tmp_path, {"source": {"delimiter": given}})).source.delimiter == meant


# What one run chooses


CONFIGURED = Model(k=5, algorithm="ward", seed=7)


def test_a_run_chooses_otherwise_and_the_rest_is_as_configured():
    chosen = chosen_for_one_run(CONFIGURED, k=3, algorithm=None, features=["monetary", "tenure_days"])
    assert (chosen.k, chosen.algorithm, chosen.features) == (3, "ward", ("monetary", "tenure_days"))
    changed = {name for name in Model.model_fields if getattr(chosen, name) != getattr(CONFIGURED, name)}
    assert changed == {"k", "features"}
    assert CONFIGURED.k == 5


def test_a_run_that_chooses_nothing_has_the_model_section_as_configured():
    assert chosen_for_one_run(CONFIGURED, k=None, algorithm=None, features=None, promote=None) == CONFIGURED


@pytest.mark.parametrize(
    ("choice", "key", "allowed"),
    [
        (
            {"algorithm": "dbscan"},
            "algorithm: ",
            "'kmeans', 'bisecting_kmeans', 'ward' or 'gaussian_mixture' (given: 'db",
        ),
        ({"features": ["monetary", "age"]}, "features.1: ", "'tenure_days'"),
        ({"features": []}, "features: give each at most once, and at least one", ""),
        ({"features": ["monetary", "monetary"]}, "features: give each at most once", ""),
        ({"k": 1}, "k: ", "greater than or equal to 2 (given: 1)"),
        ({"k": 13}, "k: ", "less than or equal to 12 (given: 13)"),
        ({"promote": "yes"}, "promote: ", "'if_better', 'always' or 'never' (given: 'yes')"),
    ],
)
def test_a_choice_that_is_not_allowed_is_one_message_with_the_key_and_what_is(choice, key, allowed):
    with pytest.raises(ConfigurationError) as refused:
        chosen_for_one_run(CONFIGURED, **choice)
    first, *others = str(refused.value).splitlines()
    assert first == "The run's configuration cannot be used"
    assert len(others) == 1
    assert others[0].strip().removeprefix("model: ").startswith(key)
    assert allowed in others[0]


def test_every_choice_that_is_not_allowed_is_told_at_once():
    with pytest.raises(ConfigurationError) as refused:
        chosen_for_one_run(CONFIGURED, k=1, algorithm="dbscan", features=["age"])
    assert len(str(refused.value).splitlines()) == 4


def test_a_webhooks_url_given_instead_of_the_name_of_a_variable_is_refused_and_not_repeated(tmp_path):
    told = refusal(written(tmp_path, {"alerts": {"webhook_variable": "https://hooks.example/T0K3N"}}))
    assert "give the name of an environment variable" in told
    assert "T0K3N" not in told


def test_without_a_publish_section_nothing_is_published(tmp_path):
    assert load(written(tmp_path)).publish is None


def test_exports_start_at_the_folder_of_the_file(tmp_path):
    settings = load(written(tmp_path, {"publish": {"exports": "../exports"}}))
    assert settings.publish is not None
    assert settings.publish.exports == tmp_path.parent / "exports"
    assert settings.publish.database is None


def test_a_database_is_named_by_a_variable_and_a_schema(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGMENTATION_PUBLISH__DATABASE__SCHEMA", "crm")
    settings = load(written(tmp_path, {"publish": {"database": {"url_variable": "CRM_URL"}}}))
    assert settings.publish is not None
    assert settings.publish.database is not None
    assert (settings.publish.database.url_variable, settings.publish.database.schema_name) == ("CRM_URL", "crm")


def test_an_address_with_a_password_in_place_of_its_variable_is_not_repeated(tmp_path):
    message = refusal(written(tmp_path, {"publish": {"database": {"url_variable": "postgresql://u:s3cret/x@h/d"}}}))
    assert "publish.database.url_variable: " in message
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("publish", "told"),
    [
        ({}, "publish: name a database, a folder of exports, or both"),
        ({"database": {"schema": 'a"; DROP'}}, "publish.database.schema: String should match pattern"),
        ({"database": {"schema": "pg_catalog"}}, "publish.database.schema: belongs to PostgreSQL itself"),
        ({"database": {"url_variable": "postgresql://u:p@h/d"}}, "publish.database.url_variable: "),
        ({"database": {"schemas": "x"}}, "did you mean schema? allowed here: url_variable, schema"),
    ],
)
def test_a_wrong_place_to_publish_to_is_refused(tmp_path, publish, told):
    assert told in refusal(written(tmp_path, {"publish": publish}))
