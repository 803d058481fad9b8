"""What it means that two engines agree.

Belongs here: comparing rows. Does not: making them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from segmentation_pipeline.resources.engines.engine import Engine

# Quantiles and means: engines add up and interpolate in another order, which moves the last digits.
OF_STATISTICS = 1e-12


def assert_same_rows(make: Callable[[Engine], ir.Table], first: Engine, second: Engine, key: Sequence[str]) -> None:
    """What an expression gives on one engine it gives on the other."""
    assert_same(first.to_pandas(make(first)), second.to_pandas(make(second)), key)


def assert_same(frame: pd.DataFrame, other_frame: pd.DataFrame, key: Sequence[str]) -> None:
    """Two frames have the same rows in any order, fractions but for their last digits."""
    rows, others = (each.sort_values(list(key), ignore_index=True) for each in (frame, other_frame))
    assert list(rows.columns) == list(others.columns)
    assert len(rows) == len(others)
    for name in rows.columns:
        if pd.api.types.is_float_dtype(rows[name]):
            np.testing.assert_allclose(
                others[name].astype(float), rows[name].astype(float), rtol=OF_STATISTICS, atol=0, err_msg=str(name)
            )
        else:
            different = [
                (one, other) for one, other in zip(rows[name], others[name], strict=True) if not _same(one, other)
            ]
            assert not different, (name, len(different), different[:5])


def assert_same_files(first: Path, second: Path, asset: str) -> int:
    """Two lakes hold the same days of an asset, column by column and row by row; returns the number of rows."""
    names = [sorted(file.relative_to(lake) for file in (lake / asset).rglob("*.parquet")) for lake in (first, second)]
    assert names[0] == names[1]
    assert names[0]
    rows = 0
    for name in names[0]:
        one, other = (pq.read_table(lake / name, partitioning=None) for lake in (first, second))
        assert one.schema.equals(other.schema), (name, one.schema, other.schema)
        different = [column for column in one.column_names if not one[column].equals(other[column])]
        assert not different, (name, different)
        rows += one.num_rows
    return rows


def _same(one: object, other: object) -> bool:
    if isinstance(one, list | np.ndarray):
        return list(one) == list(other) if isinstance(other, list | np.ndarray) else False
    return bool(one == other) or (pd.isna(one) and pd.isna(other))
