"""Inputs of assets: hands each asset the upstream tables it names, of the days its partition mapping asks for.

Belongs here: Dagster's context on one side, `Lake` on the other. Does not: writing, which is a gate's (checks/gate.py).
"""

from datetime import date

import dagster as dg
import ibis.expr.types as ir
import pandas as pd

from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.lake import Lake


class LakeInputs(dg.InputManager):
    """Reads what assets need.

    An asset is handed an expression, or a frame where its parameter is annotated so. Only the days it needs are opened,
    and only the columns it uses are read.

    Args:
        lake: Where tables are.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def load_input(self, context: dg.InputContext) -> ir.Table | pd.DataFrame:
        """The upstream rows the asset needs.

        Raises:
            MissingPartitions: A needed day was never written; the message lists them.
        """
        days = (
            [date.fromisoformat(key) for key in context.asset_partition_keys] if context.has_asset_partitions else None
        )
        table = self._lake.read(schema.TABLES[context.asset_key.path[-1]], days)
        return self._lake.engine.to_pandas(table) if context.dagster_type.typing_type is pd.DataFrame else table
