"""The same job as a notebook would do it, in pandas and scikit-learn: the usual way, against which the pipeline is timed.

    python segmentation_tests/benchmarks/pandas_script.py LANDING OUT

Reads every daily file of a simulated shop, cleans, matches returns, computes RFM features at the last day, clusters and
scores the customers, and writes `clean`, `quarantined`, `features` and `segments` as Parquet. It is written as one who
knows pandas well writes such a script, without checks and without report, and needs nothing of the pipeline.
"""

import sys
from collections import deque
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

NON_PRODUCTS = r"(?i)^(?:POST|DOT|M|D|B|C2|BANK CHARGES|AMAZONFEE)$"
NOTHING = ["", "NULL", "null", "NaN", "nan", "None", "N/A", "NA", "\\N"]
MANGLED_ID = r"[\x00-\x1f\ufffd]|^#(?:REF|N/A|VALUE|NAME|DIV/0|NUM|NULL)|^[0-9](?:\.[0-9]+)?[eE]\+[0-9]+$"
TEXTS = ["InvoiceNo", "StockCode", "Description", "CustomerID", "Country"]
MOST_PIECES = 1_000_000
HIGHEST_PRICE = 1_000_000
RETURN_WINDOW_DAYS = 90
FEATURES = ["recency_days", "frequency", "monetary"]
SAMPLED_CUSTOMERS = 20_000
SILHOUETTE_CUSTOMERS = 2_000


def main(landing: Path, out: Path) -> None:
    """Do the job from start to end."""
    out.mkdir(parents=True, exist_ok=True)
    first, last = (pd.Timestamp(edge(file.stem[-10:] for file in landing.glob("*.parquet"))) for edge in (min, max))
    raw = pd.read_parquet(landing)
    reason = why_rejected(raw, first, last)
    raw[reason.notna()].assign(reason=reason).to_parquet(out / "quarantined.parquet", compression="zstd")
    clean = typed(raw[reason.isna()])
    del raw, reason
    clean.to_parquet(out / "clean.parquet", compression="zstd", index=False)
    known = clean[clean["CustomerID"].notna() & (clean["line_kind"] != "adjustment")]
    del clean
    features = rfm_features(known, last)
    features.to_parquet(out / "features.parquet", compression="zstd")
    segments(features).to_parquet(out / "segments.parquet", compression="zstd")


def why_rejected(raw: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp) -> pd.Series:
    """The first rule that each row fails, missing for good rows."""
    sold_on = raw["InvoiceDate"].dt.normalize()
    invoice = raw["InvoiceNo"].str.strip()
    rules = {
        "missing_invoice_id": invoice.isna() | invoice.isin(NOTHING),
        "unreadable_invoice_id": invoice.str.contains(MANGLED_ID, regex=True, na=False),
        "missing_timestamp": raw["InvoiceDate"].isna(),
        "outside_date_range": ~sold_on.between(first, last),
        "missing_quantity": raw["Quantity"].isna(),
        "impossible_quantity": (raw["Quantity"] == 0) | (raw["Quantity"].abs() > MOST_PIECES),
        "missing_price": raw["UnitPrice"].isna(),
        "zero_price": raw["UnitPrice"] == 0,
        "negative_price": raw["UnitPrice"] < 0,
        "impossible_price": raw["UnitPrice"] > HIGHEST_PRICE,
        "exact_duplicate": raw.duplicated(),
    }
    code = np.select([failed.to_numpy() for failed in rules.values()], range(len(rules)), default=-1)
    return pd.Series(pd.Categorical.from_codes(code, list(rules)), index=raw.index)


def typed(lines: pd.DataFrame) -> pd.DataFrame:
    """Accepted lines without stray blanks, with their amount and kind."""
    lines = lines.assign(**{column: lines[column].str.strip() for column in TEXTS})
    lines["CustomerID"] = lines["CustomerID"].where(~lines["CustomerID"].isin(NOTHING))
    lines["amount"] = (lines["Quantity"] * lines["UnitPrice"]).round(4)
    is_product = ~lines["StockCode"].str.contains(NON_PRODUCTS, na=False)
    kind = np.select([~is_product, lines["Quantity"] < 0], [0, 1], default=2)
    lines["line_kind"] = pd.Categorical.from_codes(kind, ["adjustment", "return", "sale"])
    return lines


def rfm_features(known: pd.DataFrame, last: pd.Timestamp) -> pd.DataFrame:
    """Recency, frequency and monetary value of every customer with an order."""
    sales = known[known["line_kind"] == "sale"]
    orders = sales.groupby(["CustomerID", "InvoiceNo"], as_index=False).agg(
        ordered_at=("InvoiceDate", "max"), items=("Quantity", "sum"), amount=("amount", "sum")
    )
    back = given_back(known)
    orders = orders.merge(back, how="left", on=["CustomerID", "InvoiceNo"])
    kept = orders[orders["returned"].fillna(0) < orders["items"]].groupby("CustomerID")
    features = pd.DataFrame({"spent": orders.groupby("CustomerID")["amount"].sum()})
    returned = known[known["line_kind"] == "return"].groupby("CustomerID")["amount"].sum()
    features["recency_days"] = (last - kept["ordered_at"].max().dt.normalize()).dt.days
    features["frequency"] = kept.size()
    features["frequency"] = features["frequency"].fillna(0).astype(int)
    features["monetary"] = (features.pop("spent") + returned.reindex(features.index).fillna(0)).round(4)
    return features


def given_back(known: pd.DataFrame) -> pd.DataFrame:
    """Items given back of each order: every return takes from the oldest pieces bought in the days before it."""
    pair = ["CustomerID", "StockCode"]
    pairs = known.loc[known["line_kind"] == "return", pair].drop_duplicates()
    events = known.merge(pairs, on=pair).assign(is_return=lambda lines: lines["line_kind"] == "return")
    events = events.groupby([*pair, "InvoiceDate", "is_return", "InvoiceNo"], as_index=False)["Quantity"].sum()
    events["day"] = events["InvoiceDate"].dt.normalize().to_numpy().astype("datetime64[D]").astype(int)
    columns = ["CustomerID", "StockCode", "InvoiceNo", "is_return", "day", "Quantity"]
    rows = zip(*(events[column].tolist() for column in columns), strict=True)
    taken = [
        (customer, invoice, pieces)
        for (customer, _product), group in groupby(rows, key=lambda row: row[:2])
        for invoice, pieces in matches(list(group))
    ]
    found = pd.DataFrame(taken, columns=["CustomerID", "InvoiceNo", "returned"])
    return found.groupby(["CustomerID", "InvoiceNo"], as_index=False)["returned"].sum()


def matches(events: list[tuple]) -> list[tuple[str, int]]:
    """Invoice and pieces that each return of one customer and product takes, first in first out."""
    found = []
    for number, (_customer, _product, _note, is_return, day, _pieces) in enumerate(events):
        if not is_return:
            continue
        queue: deque[list] = deque()
        for event in events[: number + 1]:
            if event[4] < day - RETURN_WINDOW_DAYS:
                continue
            if event[3]:
                taken = taken_from(queue, -event[5])
            else:
                queue.append([event[2], event[5]])
        found += taken
    return found


def taken_from(queue: deque[list], wanted: int) -> list[tuple[str, int]]:
    """Take pieces from the front of a queue."""
    taken = []
    while wanted and queue:
        pieces = min(wanted, queue[0][1])
        taken.append((queue[0][0], pieces))
        wanted -= pieces
        queue[0][1] -= pieces
        if not queue[0][1]:
            queue.popleft()
    return taken


def segments(features: pd.DataFrame) -> pd.DataFrame:
    """The segment of every customer; -1 for those who gave everything back."""
    counted = features[(features["frequency"] > 0) & (features["monetary"] > 0)][FEATURES].astype(float)
    sample = counted.sample(min(SAMPLED_CUSTOMERS, len(counted)), random_state=42)
    lower, upper = sample.quantile(0.005), sample.quantile(0.995)
    scaled = np.log1p(sample.clip(lower, upper, axis=1))
    mean, deviation = scaled.mean(), scaled.std()
    points = ((scaled - mean) / deviation).to_numpy()
    models = {k: KMeans(k, n_init=10, random_state=42).fit(points) for k in range(2, 9)}
    scores = {
        k: silhouette_score(points, model.labels_, sample_size=min(SILHOUETTE_CUSTOMERS, len(points)), random_state=42)
        for k, model in models.items()
    }
    model = models[max(scores, key=scores.get)]
    everyone = ((np.log1p(counted.clip(lower, upper, axis=1)) - mean) / deviation).to_numpy()
    found = pd.Series(model.predict(everyone), index=counted.index)
    return found.reindex(features.index, fill_value=-1).rename("segment").to_frame()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
