"""A Dagster pipeline from raw transaction lines to named, stable customer segments."""
