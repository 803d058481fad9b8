"""Pure logic: tables in, tables out. Imports no Dagster, reads and writes nothing."""
