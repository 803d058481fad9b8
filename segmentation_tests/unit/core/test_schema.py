"""Canonical tables: complete, and conformed to exactly."""

import ibis
import pandas as pd
import pytest

from segmentation_pipeline.core import schema
from segmentation_pipeline.core.schema import Column, Table

EVERY_TABLE = [each for each in vars(schema).values() if isinstance(each, Table)]
TRIAL = Table("trial", (Column("id", "string", "An id"), Column("money", schema.MONEY, "Money")), key=("id",))


def test_every_table_is_found_by_its_asset():
    of_assets = {table.asset: table for table in EVERY_TABLE if table is not schema.QUALITY_RESULTS}
    assert of_assets == schema.TABLES


@pytest.mark.parametrize("table", EVERY_TABLE, ids=lambda table: table.asset)
def test_a_table_says_what_its_columns_hold_and_sorts_by_its_own(table):
    assert len(set(table.names)) == len(table.names)
    assert set(table.key) <= set(table.names)
    assert all(column.description for column in table.columns)
    assert list(table.ibis_schema.names) == table.names


@pytest.mark.parametrize("table", EVERY_TABLE, ids=lambda table: table.asset)
def test_lineage_names_columns_that_exist(table):
    for column in table.columns:
        for source in column.sources:
            asset, name = source.split(".")
            assert name in schema.TABLES[asset].names, f"{table.asset}.{column.name} is derived from {source}"


def test_conform_selects_orders_and_casts(engine):
    given = ibis.memtable({"extra": [1], "money": ["1.23456"], "id": [7]})
    conformed = TRIAL.conform(given)
    assert conformed.schema() == TRIAL.ibis_schema
    row = engine.to_pandas(conformed).iloc[0]
    assert (row["id"], str(row["money"])) == ("7", "1.2346")


def test_conform_refuses_a_table_without_one_of_its_columns():
    with pytest.raises(ibis.common.exceptions.IbisTypeError, match="money"):
        TRIAL.conform(ibis.memtable({"id": ["7"]}))


def test_a_frame_has_the_columns_in_order_and_null_for_what_is_left_out():
    frame = TRIAL.frame([{"money": 1}, {"id": "a", "money": 2}])
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"id": [None, "a"], "money": [1, 2]}), check_dtype=False)
    assert TRIAL.frame([]).columns.tolist() == ["id", "money"]
