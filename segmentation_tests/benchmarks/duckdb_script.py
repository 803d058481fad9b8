"""The same job as one script of SQL by hand: the practical limit on one machine, against which the pipeline is timed.

    python segmentation_tests/benchmarks/duckdb_script.py LANDING OUT

Reads every daily file of a simulated shop, cleans, matches returns, computes RFM features at the last day, clusters a
sample and scores all customers, and writes `clean`, `quarantined`, `features` and `segments` as Parquet, the lines in a
folder for each day. It works month by month, so that 2 GB hold any number of lines; it makes no checks and no report, and
needs nothing of the pipeline.
"""

import sys
from itertools import groupby
from pathlib import Path

import duckdb
import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

LIMITS = {"memory_limit": "2GB", "threads": 2, "preserve_insertion_order": False}
SAMPLED_CUSTOMERS = 20_000
SILHOUETTE_CUSTOMERS = 2_000
NOTHING = "('', 'NULL', 'null', 'NaN', 'nan', 'None', 'N/A', 'NA', '\\N')"
MANGLED_ID = "[\\x00-\\x1f\ufffd]" r"|^#(REF|N/A|VALUE|NAME|DIV/0|NUM|NULL)|^[0-9](\.[0-9]+)?[eE]\+[0-9]+$"
NON_PRODUCTS = r"(?i)^(POST|DOT|M|D|B|C2|BANK CHARGES|AMAZONFEE)$"
ALL_COLUMNS = "InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country"

TABLES = """
CREATE TABLE orders (customer VARCHAR, invoice VARCHAR, day DATE, items BIGINT, amount DECIMAL(18, 4));
CREATE TABLE returns (
    customer VARCHAR, product VARCHAR, invoice VARCHAR, sold_at TIMESTAMP, items BIGINT, amount DECIMAL(18, 4)
);
"""

# A copy shares the hash of its whole row, so only rows whose hash is seen twice are compared in full.
MONTH = f"""
CREATE OR REPLACE TEMP TABLE lines AS
SELECT *, hash({ALL_COLUMNS}) AS key FROM read_parquet({{files}});
CREATE OR REPLACE TEMP TABLE copies AS
SELECT place FROM (
    SELECT rowid AS place, row_number() OVER (PARTITION BY {ALL_COLUMNS}) AS number
    FROM lines WHERE key IN (SELECT key FROM lines GROUP BY key HAVING count(*) > 1)
) WHERE number > 1;
CREATE OR REPLACE TEMP TABLE rejected AS
SELECT place, reason FROM (
    SELECT rowid AS place, CASE
        WHEN InvoiceNo IS NULL OR trim(InvoiceNo) IN {NOTHING} THEN 'missing_invoice_id'
        WHEN regexp_matches(trim(InvoiceNo), '{MANGLED_ID}') THEN 'unreadable_invoice_id'
        WHEN InvoiceDate IS NULL THEN 'missing_timestamp'
        WHEN InvoiceDate::DATE NOT BETWEEN '{{first}}' AND '{{last}}' THEN 'outside_date_range'
        WHEN Quantity IS NULL THEN 'missing_quantity'
        WHEN Quantity = 0 OR abs(Quantity) > 1000000 THEN 'impossible_quantity'
        WHEN UnitPrice IS NULL THEN 'missing_price'
        WHEN UnitPrice = 0 THEN 'zero_price'
        WHEN UnitPrice < 0 THEN 'negative_price'
        WHEN UnitPrice > 1000000 THEN 'impossible_price'
        WHEN rowid IN (SELECT place FROM copies) THEN 'exact_duplicate'
    END AS reason
    FROM lines
) WHERE reason IS NOT NULL;
CREATE OR REPLACE TEMP TABLE clean AS
SELECT
    InvoiceDate::DATE AS date, trim(InvoiceNo) AS invoice, trim(StockCode) AS product, trim(Description) AS description,
    if(trim(CustomerID) IN {NOTHING}, NULL, trim(CustomerID)) AS customer, trim(Country) AS country,
    InvoiceDate AS sold_at, Quantity AS quantity, UnitPrice::DECIMAL(18, 4) AS price,
    (Quantity * UnitPrice::DECIMAL(18, 4))::DECIMAL(18, 4) AS amount,
    CASE
        WHEN regexp_matches(trim(StockCode), '{NON_PRODUCTS}') THEN 'adjustment' WHEN Quantity < 0 THEN 'return' ELSE 'sale'
    END AS kind
FROM lines WHERE rowid NOT IN (SELECT place FROM rejected);
COPY clean TO '{{out}}/clean' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY date, APPEND);
COPY (SELECT lines.* EXCLUDE (key), reason FROM lines JOIN rejected ON lines.rowid = place)
TO '{{out}}/quarantined/{{month}}.parquet' (COMPRESSION zstd);
INSERT INTO orders
SELECT customer, invoice, date, sum(quantity), sum(amount) FROM clean
WHERE kind = 'sale' AND customer IS NOT NULL GROUP BY ALL;
INSERT INTO returns
SELECT customer, product, invoice, sold_at, -sum(quantity), -sum(amount) FROM clean
WHERE kind = 'return' AND customer IS NOT NULL GROUP BY ALL;
"""

# First in, first out: S and R are running sums of pieces sold and given back within a return's own window. Units in vain
# are the running maximum of R - S, so each return takes the stretch of S between its place before and its place after.
RETURNS = """
DROP TABLE lines;
DROP TABLE copies;
DROP TABLE rejected;
DROP TABLE clean;
CREATE TABLE pairs AS SELECT DISTINCT customer, product FROM returns;
CREATE TABLE events AS
SELECT *, row_number() OVER (PARTITION BY customer, product ORDER BY sold_at, is_return, invoice) AS number FROM (
    SELECT customer, product, invoice, sold_at, false AS is_return, sum(quantity) AS pieces
    FROM read_parquet('{out}/clean/*/*.parquet') SEMI JOIN pairs USING (customer, product)
    WHERE kind = 'sale' GROUP BY ALL
    UNION ALL
    SELECT customer, product, invoice, sold_at, true, sum(items) FROM returns GROUP BY ALL
);
CREATE TABLE replayed AS
WITH windows AS (
    SELECT event.*, note.number AS note
    FROM events AS event JOIN events AS note USING (customer, product)
    WHERE note.is_return AND event.number <= note.number AND event.sold_at::DATE >= note.sold_at::DATE - 90
),
sums AS (
    SELECT *, sum(if(is_return, 0, pieces)) OVER so_far AS sold, sum(if(is_return, pieces, 0)) OVER so_far AS back
    FROM windows WINDOW so_far AS (PARTITION BY customer, product, note ORDER BY number)
),
places AS (
    SELECT *, back - greatest(0, max(back - sold) OVER so_far) AS place
    FROM sums WINDOW so_far AS (PARTITION BY customer, product, note ORDER BY number)
)
SELECT *, lag(place, 1, 0) OVER (PARTITION BY customer, product, note ORDER BY number) AS place_before FROM places;
CREATE TABLE given_back AS
SELECT customer, sale.invoice, sum(least(sale.sold, taken.place) - greatest(sale.sold - sale.pieces, taken.place_before)) AS items
FROM replayed AS sale JOIN replayed AS taken USING (customer, product, note)
WHERE NOT sale.is_return AND taken.number = taken.note
    AND greatest(sale.sold - sale.pieces, taken.place_before) < least(sale.sold, taken.place)
GROUP BY ALL;
"""

FEATURES = """
CREATE TABLE features AS
WITH whole AS (
    SELECT customer, invoice, max(day) AS day, sum(items) AS items, sum(amount) AS amount FROM orders GROUP BY ALL
),
bought AS (
    SELECT customer, max(day) FILTER (is_kept) AS last_day, count(*) FILTER (is_kept) AS frequency, sum(amount) AS spent
    FROM (
        SELECT whole.*, coalesce(given_back.items, 0) < whole.items AS is_kept
        FROM whole LEFT JOIN given_back USING (customer, invoice)
    ) GROUP BY customer
),
returned AS (SELECT customer, sum(amount) AS amount FROM returns GROUP BY customer)
SELECT
    customer AS customer_id, DATE '{last}' - last_day AS recency_days, frequency,
    (spent - coalesce(returned.amount, 0))::DECIMAL(18, 4) AS monetary
FROM bought LEFT JOIN returned USING (customer);
COPY features TO '{out}/features.parquet' (COMPRESSION zstd);
"""

SAMPLE = f"""
SELECT recency_days, frequency, monetary::DOUBLE AS monetary FROM features WHERE frequency > 0 AND monetary > 0
USING SAMPLE reservoir({SAMPLED_CUSTOMERS} ROWS) REPEATABLE (42)
"""

SCORED = """
COPY (
    SELECT customer_id, if(frequency > 0 AND monetary > 0, list_position(distances, list_min(distances)) - 1, -1) AS segment
    FROM (SELECT *, [{distances}] AS distances FROM (SELECT *, {scaled} FROM features))
) TO '{out}/segments.parquet' (COMPRESSION zstd);
"""


def main(landing: Path, out: Path) -> None:
    """Do the job from start to end."""
    (out / "quarantined").mkdir(parents=True, exist_ok=True)
    (out / "clean").mkdir(exist_ok=True)
    engine = duckdb.connect(config={**LIMITS, "temp_directory": str(out / "spill")})
    engine.execute(TABLES)
    files = sorted(landing.glob("*.parquet"))
    first, last = (file.stem[-10:] for file in (files[0], files[-1]))
    for month, of_month in groupby(files, key=lambda file: file.stem[-10:-3]):
        names = [str(file) for file in of_month]
        engine.execute(MONTH.format(files=names, first=first, last=last, out=out, month=month))
    engine.execute(RETURNS.format(out=out))
    engine.execute(FEATURES.format(out=out, last=last))
    engine.execute(segments(engine.execute(SAMPLE).df().to_numpy(float), out))


def segments(sample: np.ndarray, out: Path) -> str:
    """Fit the best of seven models to a sample, and write it as the SQL that scores every customer."""
    lower, upper = np.quantile(sample, [0.005, 0.995], axis=0)
    scaled = np.log1p(np.clip(sample, lower, upper))
    mean, deviation = scaled.mean(axis=0), scaled.std(axis=0)
    points = (scaled - mean) / deviation
    models = {k: KMeans(k, n_init=10, random_state=42).fit(points) for k in range(2, 9)}
    scores = {
        k: silhouette_score(points, model.labels_, sample_size=min(SILHOUETTE_CUSTOMERS, len(points)), random_state=42)
        for k, model in models.items()
    }
    centres = models[max(scores, key=scores.get)].cluster_centers_
    columns = ["recency_days", "frequency", "monetary"]
    expressions = [
        f"(ln(1 + greatest({lower[i]}, least({upper[i]}, {column}::DOUBLE))) - {mean[i]}) / {deviation[i]} AS x{i}"
        for i, column in enumerate(columns)
    ]
    distances = [" + ".join(f"(x{i} - {place}) ** 2" for i, place in enumerate(centre)) for centre in centres]
    return SCORED.format(distances=", ".join(distances), scaled=", ".join(expressions), out=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
