"""Thin Dagster assets, one module per stage, in the order the data flows."""
