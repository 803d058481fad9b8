"""The quality ledger: what every run found of every expectation on every day, for good.

Belongs here: appending a run's verdicts, reading the latest ones. Does not: reaching them (checks/), drawing (reporting/).

    <lake>/quality_results/20261123T031502Z-<run id>.parquet

A file is one run's. It grows with each stage the run passes, and is replaced in one step each time.
"""

import uuid
from datetime import UTC, date, datetime

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ibis import _
from upath import UPath

from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.engines.engine import Engine


class QualityLedger:
    """Verdicts as Parquet files, one per run.

    Args:
        root: The ledger's folder; made when first written to.
        engine: Reads the files.
    """

    def __init__(self, root: UPath, engine: Engine) -> None:
        self._root = root
        self._engine = engine

    def append(self, run_id: str, verdicts: pd.DataFrame) -> None:
        """Add verdicts to a run's file; the stages of one run do so one after the other.

        Args:
            run_id: The run that reached them.
            verdicts: `schema.QUALITY_RESULTS` without `run_id` and `evaluated_at`.
        """
        if verdicts.empty:
            return
        now = datetime.now(UTC)
        columns = schema.QUALITY_RESULTS.ibis_schema.to_pyarrow()
        added = pa.Table.from_pandas(
            verdicts.assign(run_id=run_id, evaluated_at=now)[columns.names], schema=columns, preserve_index=False
        )
        self._root.mkdir(parents=True, exist_ok=True)
        file = next(iter(self._root.glob(f"*-{run_id}.parquet")), self._root / f"{now:%Y%m%dT%H%M%SZ}-{run_id}.parquet")
        whole = pa.concat_tables([pq.read_table(str(file)), added]) if file.exists() else added
        staged = self._root / f".{uuid.uuid4().hex}"
        pq.write_table(whole, str(staged), compression="zstd")
        staged.replace(file)

    def failures(self, first: date, last: date) -> pd.DataFrame:
        """The latest verdicts that failed, from `first` to `last`."""
        found = self.latest(first, last)
        return found[found["passed"].eq(False).fillna(False).astype(bool)]

    def latest(self, first: date, last: date) -> pd.DataFrame:
        """The latest verdict on each expectation and day from `first` to `last`, as `schema.QUALITY_RESULTS`."""
        files = sorted(self._root.glob("*.parquet")) if self._root.exists() else []
        if not files:
            return schema.QUALITY_RESULTS.frame([])
        found = self._engine.read_parquet(files).filter(_.date.between(ibis.literal(first), ibis.literal(last)))
        return self._engine.to_pandas(_newest(found).order_by("stage", "expectation", "date"))


def _newest(verdicts: ir.Table) -> ir.Table:
    number = ibis.row_number().over(group_by=["stage", "expectation", "date"], order_by=_.evaluated_at.desc())
    return verdicts.mutate(number=number).filter(_.number == 0).drop("number")
