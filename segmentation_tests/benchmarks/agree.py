"""Whether the contenders did the same job: the same features, to the last digit, of the same customers.

    python segmentation_tests/benchmarks/agree.py FEATURES FEATURES

Belongs here: comparing two tables of features. Does not: making them (contenders.py).
"""

import sys

import duckdb

COMPARED = ("customer_id", "frequency", "recency_days", "monetary")
SHOWN = 5


class Disagreement(Exception):
    """Two contenders have different features, so their times cannot be compared."""


def check(left: str, right: str) -> int:
    """Compare two tables of features, each a glob of Parquet files.

    Returns:
        The number of customers, who are the same with the same features.

    Raises:
        Disagreement: They differ; the message shows some who do.
    """
    with duckdb.connect() as engine:
        for name, place in (("left_features", left), ("right_features", right)):
            engine.execute(f"CREATE VIEW {name} AS {_canonical(engine, place)}")
        differing = [
            (place, row)
            for place, one, other in (
                (left, "left_features", "right_features"),
                (right, "right_features", "left_features"),
            )
            for row in engine.execute(f"FROM {one} EXCEPT ALL FROM {other} ORDER BY ALL LIMIT {SHOWN}").fetchall()
        ]
        if differing:
            listed = "\n".join(f"  {', '.join(map(str, row))}: only in {place}" for place, row in differing)
            raise Disagreement(f"The features differ ({', '.join(COMPARED)}):\n{listed}")
        counted = engine.execute("SELECT count(*) FROM left_features").fetchone()
    return int(counted[0])


def _canonical(engine: duckdb.DuckDBPyConnection, place: str) -> str:
    """A script names the customer as the source does, and pandas knows neither whole numbers that can be null nor decimals."""
    names = [column[0] for column in engine.execute(f"DESCRIBE FROM '{place}'").fetchall()]
    customer = "customer_id" if "customer_id" in names else "CustomerID"
    return (
        f"SELECT {customer} AS customer_id, frequency::BIGINT AS frequency, recency_days::BIGINT AS recency_days, "
        f"monetary::DECIMAL(18, 4) AS monetary FROM '{place}'"
    )


if __name__ == "__main__":
    print(f"{check(*sys.argv[1:]):,} customers agree")  # noqa: T201
