"""What the Dagster UI shows beside an asset: figures and the first rows of tables.

Belongs here: PNG bytes and frames -> `MetadataValue`. The only module of this package that imports Dagster.
Does not: drawing (figures.py). Importing this must stay cheap, so it never imports matplotlib, and pandas only for a
frame.
"""

import base64
import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING

import dagster as dg

from segmentation_pipeline.core.schema import Table

if TYPE_CHECKING:
    import pandas as pd

# What Markdown would take for its own: a product's name may not load a picture, nor pose as a link.
_ESCAPES = str.maketrans(
    {**{sign: f"\\{sign}" for sign in "\\|`[]!*~"}, "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "}
)
_EMPHASIS = re.compile(r"(?<![^\W_])_|_(?![^\W_])")  # not within a word, as in source_row


def image(png: bytes) -> dg.MarkdownMetadataValue:
    """A figure that the Dagster UI shows as an image.

    Args:
        png: PNG bytes; make them small with `figures.previews`, since every materialization keeps its images in the event
            log.
    """
    return dg.MetadataValue.md(f"![figure](data:image/png;base64,{base64.b64encode(png).decode('ascii')})")


def columns(layout: Table) -> dg.TableSchema:
    """A table's columns with their types and meanings, as the Dagster UI shows them."""
    return dg.TableSchema(
        columns=[dg.TableColumn(column.name, column.type, column.description) for column in layout.columns]
    )


def table_preview(frame: "pd.DataFrame", rows: int = 10) -> dg.MarkdownMetadataValue:
    """The first rows of a frame as a table in the Dagster UI, with the number of rows it was cut from.

    Args:
        frame: Any frame; its index is not shown.
        rows: How many rows to show at most.
    """
    import pandas as pd

    from segmentation_pipeline.reporting import wording

    if frame.columns.empty:
        return dg.MetadataValue.md("No columns.")
    shown = frame.head(rows)
    is_number = [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    lines = [
        _markdown_row(_cell(column) for column in frame.columns),
        _markdown_row("---:" if right else "---" for right in is_number),
        *(_markdown_row(_cell(value) for value in row) for row in shown.itertuples(index=False, name=None)),
        "",
        f"{wording.count(len(shown))} of {wording.count(len(frame))} rows",
    ]
    return dg.MetadataValue.md("\n".join(lines))


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    return _EMPHASIS.sub(r"\_", _text(value).translate(_ESCAPES))


def _text(value: object) -> str:
    """A value as people write it: thousands separated, four significant digits, dates without midnight."""
    import pandas as pd

    from segmentation_pipeline.reporting import wording

    if pd.api.types.is_scalar(value) and wording.is_absent(value):
        return ""
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, (Real, Decimal)):
        amount = float(value)
        return f"{amount:,.0f}" if abs(amount) >= 1_000 else f"{amount:.4g}"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else str(value)
    return value.isoformat() if isinstance(value, date) else str(value)
