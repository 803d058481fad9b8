"""The SQL that publishes one day, and that forgets customers.

Belongs here: statements, in the order they run. Does not: running them (postgres.py), the tables (layout.py).

All run in one transaction. Values are bound ($1 is the as-of day unless said otherwise), names are not qualified since
the search path is the shop's schema, and what the transaction alone needs stands in `pg_temp`.
"""

# --- Before anything is touched -----------------------------------------------------------------------------------------

# $1: the schema. One publisher at a time; the others wait here until it has committed.
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('segmentation_pipeline ' || $1, 0))::text"

# Before any query. What another publisher commits while this one waits is seen, whatever the database's default is.
READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"

SET_LOCAL = "SELECT set_config($1, $2, true)"

SCHEMA_EXISTS = "SELECT count(*) FROM pg_namespace WHERE nspname = $1"

# $1: the schema.
TABLES_AND_VIEWS = """
SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = $1 AND relkind IN ('r', 'p', 'v', 'm', 'f')
"""

LAYOUT = "SELECT obj_description('publications'::regclass, 'pg_class')"

LATEST_DAY = "SELECT max(as_of) FROM publications"

# --- What the day changes -----------------------------------------------------------------------------------------------

TEMPORARY_TABLES = (
    "CREATE TEMPORARY TABLE before (customer_id text, segment_id bigint, segment text) ON COMMIT DROP",
    "CREATE TEMPORARY TABLE changes (LIKE segment_changes) ON COMMIT DROP",
)

# Everyone's segment before the day: the one published now, with the day's own changes undone, so that publishing the
# latest day again corrects what it said.
SEGMENTS_BEFORE = """
INSERT INTO pg_temp.before (customer_id, segment_id, segment)
SELECT customer_id, segment_id, segment
FROM published_segments
WHERE NOT EXISTS (SELECT FROM segment_changes AS own WHERE own.as_of = $1 AND own.customer_id = published_segments.customer_id)
UNION ALL
SELECT customer_id, segment_id_before, segment_before
FROM segment_changes
WHERE as_of = $1 AND segment_id_before IS NOT NULL
"""

CHANGES_OF_THE_DAY = """
INSERT INTO pg_temp.changes
SELECT
    $1::date,
    customer_id,
    CASE
        WHEN snapshot.segment_id IS NULL THEN 'gone'
        WHEN before.segment_id IS NULL AND EXISTS (
            SELECT FROM segment_changes AS earlier
            WHERE earlier.customer_id = snapshot.customer_id AND earlier.as_of < $1
        ) THEN 'returned'
        WHEN before.segment_id IS NULL THEN 'new'
        WHEN before.segment_id <> snapshot.segment_id THEN 'moved'
        ELSE 'renamed'
    END,
    before.segment_id,
    before.segment,
    snapshot.segment_id,
    snapshot.segment,
    (SELECT max(model_version) FROM pg_temp.snapshot)
FROM pg_temp.snapshot FULL JOIN pg_temp.before USING (customer_id)
WHERE (snapshot.segment_id, snapshot.segment) IS DISTINCT FROM (before.segment_id, before.segment)
"""

# --- What is touched: rows that differ, and no others ---------------------------------------------------------------------

FORGET_CHANGES_THAT_WERE_NONE = """
DELETE FROM segment_changes
WHERE as_of = $1 AND NOT EXISTS (
    SELECT FROM pg_temp.changes AS found WHERE found.customer_id = segment_changes.customer_id
)
"""

WRITE_CHANGES = """
INSERT INTO segment_changes
SELECT found.*
FROM pg_temp.changes AS found LEFT JOIN segment_changes AS told USING (as_of, customer_id)
WHERE told IS DISTINCT FROM found
ON CONFLICT (as_of, customer_id) DO UPDATE SET
    change = excluded.change,
    segment_id_before = excluded.segment_id_before,
    segment_before = excluded.segment_before,
    segment_id = excluded.segment_id,
    segment = excluded.segment,
    model_version = excluded.model_version
"""

TAKE_OUT_WHO_IS_GONE = """
DELETE FROM published_segments
WHERE NOT EXISTS (SELECT FROM pg_temp.snapshot WHERE snapshot.customer_id = published_segments.customer_id)
"""

WRITE_SEGMENTS = """
INSERT INTO published_segments (
    customer_id, segment_id, segment, recency_score, frequency_score, monetary_score, rfm_group, frequency, monetary,
    last_order_date, model_version, changed_on
)
SELECT
    snapshot.customer_id, snapshot.segment_id, snapshot.segment, snapshot.recency_score, snapshot.frequency_score,
    snapshot.monetary_score, snapshot.rfm_group, snapshot.frequency, snapshot.monetary, snapshot.last_order_date,
    snapshot.model_version, $1::date
FROM pg_temp.snapshot LEFT JOIN published_segments AS told USING (customer_id)
WHERE (
    told.segment_id, told.segment, told.recency_score, told.frequency_score, told.monetary_score, told.rfm_group,
    told.frequency, told.monetary, told.last_order_date, told.model_version
) IS DISTINCT FROM (
    snapshot.segment_id, snapshot.segment, snapshot.recency_score, snapshot.frequency_score, snapshot.monetary_score,
    snapshot.rfm_group, snapshot.frequency, snapshot.monetary, snapshot.last_order_date, snapshot.model_version
)
ON CONFLICT (customer_id) DO UPDATE SET
    segment_id = excluded.segment_id,
    segment = excluded.segment,
    recency_score = excluded.recency_score,
    frequency_score = excluded.frequency_score,
    monetary_score = excluded.monetary_score,
    rfm_group = excluded.rfm_group,
    frequency = excluded.frequency,
    monetary = excluded.monetary,
    last_order_date = excluded.last_order_date,
    model_version = excluded.model_version,
    changed_on = excluded.changed_on
"""

# In this order: what the day told before is corrected first, then the customers themselves.
TOUCHED = (FORGET_CHANGES_THAT_WERE_NONE, WRITE_CHANGES, TAKE_OUT_WHO_IS_GONE, WRITE_SEGMENTS)

# $2: the run; $3: how many rows were touched. A day that is published again unchanged keeps its run and moment.
WRITE_PUBLICATION = """
INSERT INTO publications (as_of, model_version, customers, changes, run_id, published_at)
SELECT
    $1::date,
    (SELECT max(model_version) FROM pg_temp.snapshot),
    (SELECT count(*) FROM pg_temp.snapshot),
    (SELECT count(*) FROM pg_temp.changes),
    $2,
    now()
WHERE $3::bigint > 0 OR NOT EXISTS (SELECT FROM publications WHERE as_of = $1)
ON CONFLICT (as_of) DO UPDATE SET
    model_version = excluded.model_version,
    customers = excluded.customers,
    changes = excluded.changes,
    run_id = excluded.run_id,
    published_at = excluded.published_at
"""

# --- What is told of it ---------------------------------------------------------------------------------------------------

SIZE = "SELECT count(*), max(model_version) FROM pg_temp.snapshot"

FLOWS = """
SELECT change, segment_before, segment, count(*) AS customers
FROM pg_temp.changes
GROUP BY change, segment_id_before, segment_before, segment_id, segment
ORDER BY count(*) DESC, segment_id_before, segment_before, segment_id, segment
"""

# --- Forgetting customers: their ids stand in pg_temp.forgotten -----------------------------------------------------------

FORGET = {
    table: f"DELETE FROM {table} WHERE customer_id IN (SELECT customer_id FROM pg_temp.forgotten)"
    for table in ("published_segments", "segment_changes")
}

# --- Why something was refused --------------------------------------------------------------------------------------------

# $1: the schema. The grants that publishing needs and this role lacks; tables that are not there yet need none.
MISSING_GRANTS = """
WITH wanted AS (
    SELECT
        $1::text AS schema,
        quote_ident($1) AS name,
        CASE count(*) WHEN 5 THEN 'USAGE' ELSE 'USAGE, CREATE' END AS rights
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = $1 AND relname IN (
        'published_segments', 'segment_changes', 'publications', 'current_segments', 'segment_history'
    )
)
SELECT format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), current_user)
WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
UNION ALL
SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)
FROM wanted
WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = wanted.schema)
    AND NOT has_database_privilege(current_database(), 'CREATE')
UNION ALL
SELECT format('GRANT %s ON SCHEMA %s TO %I', wanted.rights, wanted.name, current_user)
FROM wanted JOIN pg_namespace ON nspname = wanted.schema
WHERE EXISTS (
    SELECT FROM unnest(string_to_array(wanted.rights, ', ')) AS needed
    WHERE NOT has_schema_privilege(pg_namespace.oid, needed)
)
UNION ALL
SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s.%I TO %I', wanted.name, relname, current_user)
FROM wanted
    JOIN pg_namespace ON nspname = wanted.schema
    JOIN pg_class ON relnamespace = pg_namespace.oid
WHERE relname IN ('published_segments', 'segment_changes', 'publications') AND EXISTS (
    SELECT FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed
    WHERE NOT has_table_privilege(pg_class.oid, needed)
)
"""


def counting(statement: str) -> str:
    """A statement that does the same and gives the number of rows it touched, which the driver does not always tell."""
    return f"WITH touched AS ({statement} RETURNING 1) SELECT count(*) FROM touched"
