"""The Parquet IO manager: carries tables between assets and the lake, by day, and tells the UI what it wrote.

Belongs here: Dagster's contexts on one side, `Lake` on the other. Does not: paths and files (lake.py).
"""

from collections.abc import Mapping
from datetime import date
from typing import TypeAlias

import dagster as dg
import ibis
import ibis.expr.types as ir
import pandas as pd

from segmentation_pipeline.core import schema
from segmentation_pipeline.reporting import metadata
from segmentation_pipeline.resources.freshness import Freshness
from segmentation_pipeline.resources.lake import Lake

PREVIEW_ROWS = 10

AssetOutput: TypeAlias = ir.Table | pd.DataFrame | Mapping[date, ir.Table]


class ParquetIOManager(dg.IOManager):
    """Writes what assets return, reads what they need.

    An asset may return an expression with a `date` column for all its days, a mapping from day to expression where
    each day is computed on its own, or a small pandas frame. It is handed an expression, or a frame where its parameter
    is annotated so; only the days its partition mapping asks for are opened, and only the columns it uses are read.

    Args:
        lake: Where tables are.
        freshness: Tells what each partition is made from.
    """

    def __init__(self, lake: Lake, freshness: Freshness) -> None:
        self._lake = lake
        self._freshness = freshness

    def handle_output(self, context: dg.OutputContext, obj: AssetOutput) -> None:
        """Write the run's days, or the whole of an asset without days, and add row counts and a preview to the UI."""
        layout = layout_of(context.asset_key)
        if not context.has_asset_partitions:
            written = self._lake.write(layout, _expression(obj, layout))
        else:
            days = [date.fromisoformat(key) for key in context.asset_partition_keys]
            inputs = self._freshness.made_from(layout.asset, days)
            if isinstance(obj, Mapping):
                written = {}
                for day in days:
                    written |= self._lake.write(layout, obj[day], {day: inputs[day]})
            else:
                written = self._lake.write(layout, _expression(obj, layout), inputs)
        self._describe(context, layout, written)

    def load_input(self, context: dg.InputContext) -> ir.Table | pd.DataFrame:
        """The upstream rows the asset needs.

        Raises:
            MissingPartitions: A needed day was never written; the message lists them.
        """
        days = (
            [date.fromisoformat(key) for key in context.asset_partition_keys] if context.has_asset_partitions else None
        )
        table = self._lake.read(layout_of(context.asset_key), days)
        return self._lake.engine.to_pandas(table) if context.dagster_type.typing_type is pd.DataFrame else table

    def _describe(self, context: dg.OutputContext, layout: schema.Table, written: Mapping[date | None, int]) -> None:
        """Row counts of each day, and the first rows of the last file that has any."""
        filled = [day for day, rows in written.items() if day and rows]
        shown = max(filled, default=next(iter(written)))
        file = self._lake.file(layout.asset, shown)
        preview = self._lake.engine.to_pandas(self._lake.engine.read_parquet([file]).limit(PREVIEW_ROWS))
        context.add_output_metadata(
            {"preview": metadata.table_preview(preview, PREVIEW_ROWS), "file": dg.MetadataValue.path(str(file))}
        )
        for day, rows in written.items():
            if day is None:
                context.add_output_metadata({"dagster/row_count": rows})
            else:
                context.step_context.add_asset_metadata(
                    {"dagster/partition_row_count": rows}, context.asset_key, day.isoformat()
                )


def layout_of(key: dg.AssetKey) -> schema.Table:
    """The description of an asset's table."""
    return schema.TABLES[key.path[-1]]


def _expression(obj: AssetOutput, layout: schema.Table) -> ir.Table:
    if isinstance(obj, pd.DataFrame):
        return layout.conform(ibis.memtable(obj, schema=ibis.schema({c.name: c.type for c in layout.columns})))
    if isinstance(obj, ir.Table):
        return obj
    raise TypeError(f"{layout.asset}: expected a table, got {type(obj).__name__}")
