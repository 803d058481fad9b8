"""Small shops by hand: lines of text, the files that hold them, and the configuration that reads them.

Belongs here: what several modules of tests write, and where commands that read it record their runs. Does not: reading it back.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from segmentation_tests.conftest import FEW_FITS

HEADER = ("Invoice", "Product", "Description", "Quantity", "When", "Price", "Customer", "Country")
COLUMNS = {
    "invoice_id": "Invoice",
    "product_id": "Product",
    "description": "Description",
    "quantity": "Quantity",
    "unit_price": "Price",
    "customer_id": "Customer",
    "invoiced_at": "When",
    "country": "Country",
}
FIRST_DAY, LAST_DAY = "2025-03-01", "2025-03-20"

Row = Sequence[object]


def sales(count: int = 30, customers: int = 12, seed: int = 1) -> list[Row]:
    """Sales between FIRST_DAY and LAST_DAY, under HEADER; some customers buy more than others."""
    pick = random.Random(seed)
    rows = []
    for number in range(count):
        customer = 10_000 + min(int(pick.expovariate(3 / customers)), customers - 1)
        moment = datetime.fromisoformat(FIRST_DAY) + timedelta(minutes=pick.randrange(20 * 24 * 60))
        product, quantity, price = f"P{pick.randrange(20)}", pick.randrange(1, 9), round(pick.uniform(1, 30), 2)
        rows.append((f"I{number:05d}", product, "thing", quantity, moment.isoformat(" "), price, customer, "UK"))
    return rows


def csv_text(rows: Iterable[Row], header: Sequence[str] = HEADER, delimiter: str = ",") -> str:
    """Rows as csv; a cell that needs quotes brings them."""
    return "".join(delimiter.join(map(str, row)) + "\n" for row in (header, *rows))


def write_csv(file: Path, rows: Iterable[Row], header: Sequence[str] = HEADER) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(csv_text(rows, header))
    return file


def write_parquet(file: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), file)
    return file


def configure(
    folder: Path,
    source: Mapping[str, object] | None = None,
    model: Mapping[str, object] | None = None,
    **more: object,
) -> Path:
    """Write shop.yaml for the files in `<folder>/landing`, with changes to its source, its model and the rest.

    Few models are tried unless `model` says otherwise, as that takes most of a small shop's run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "source": {"path": "landing/*", "columns": COLUMNS, "settle_seconds": 0, **(source or {})},
        "timezone": "Europe/London",
        "start_date": FIRST_DAY,
        "end_date": LAST_DAY,
        "model": {**FEW_FITS, **(model or {})},
        **more,
    }
    (folder / "shop.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
    return folder / "shop.yaml"


@contextmanager
def recorded_in(home: Path) -> Iterator[None]:
    """Runs are recorded in a folder; what the command line puts into the environment is taken back."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", str(home))
        environment.setenv("SEGMENTATION_CONFIG", "")
        yield
