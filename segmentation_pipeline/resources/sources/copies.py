"""Copies: what a source's workspace holds of its rows, without the customers who are to be forgotten.

Belongs here: finding and rewriting the copies that name one. Does not: making copies (conversion.py), the list of
customers (forgotten.py), what becomes of their rows (core/forgetting.py).
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
from ibis import _
from upath import UPath

from segmentation_pipeline.core import forgetting
from segmentation_pipeline.core.forgetting import Forgotten
from segmentation_pipeline.resources.engines.engine import FILE_COLUMN, Engine
from segmentation_pipeline.settings import Settings

UNFINISHED = ".rewritten"


class Copies:
    """Copies in the layout of conversion.py.

    Args:
        settings: How their rows are read.
        engine: Reads and rewrites them.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine

    def naming(self, files: Sequence[Path], forgotten: Forgotten) -> dict[Path, int]:
        """The files that name a customer, with the number of rows that do."""
        shapes: dict[str, list[Path]] = {}
        for file in files:
            shapes.setdefault(str(pq.read_schema(file)), []).append(file)
        return {file: rows for alike in shapes.values() for file, rows in self._naming(alike, forgotten).items()}

    def rewrite(self, file: Path, forgotten: Forgotten) -> None:
        """Put a copy without these customers in the place of one that names them, in one step."""
        rows = self._engine.read_parquet([UPath(file)])
        left = forgetting.of_raw(rows, forgotten, self._settings).select(rows.columns)
        layout, staged = pq.read_schema(file), file.with_name(f"{file.name}{UNFINISHED}")
        try:
            with self._engine.batches(left) as batches, pq.ParquetWriter(staged, layout, compression="zstd") as writer:
                for batch in batches:
                    writer.write_batch(batch.cast(layout))
            staged.replace(file)
        finally:
            staged.unlink(missing_ok=True)

    def _naming(self, files: Sequence[Path], forgotten: Forgotten) -> dict[Path, int]:
        rows = self._engine.read_parquet_with_rows([UPath(file) for file in files])
        told = forgetting.ERASING_RAW.named(rows, forgotten, self._settings)
        counted = rows.filter(told).group_by(FILE_COLUMN).agg(rows=_.count())
        found = self._engine.to_pandas(counted).to_dict("records")
        return {Path(row[FILE_COLUMN]): int(row["rows"]) for row in found}
