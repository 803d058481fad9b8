"""Segments: every customer's segment, and what each segment is like.

Belongs here: `customer_segments`, `segment_profiles`. Does not: scoring (core/clustering/scoring.py).
"""

import dagster as dg
import ibis.expr.types as ir
import pandas as pd

from segmentation_pipeline.assets.gated import gated
from segmentation_pipeline.core import profiles
from segmentation_pipeline.core.clustering import scoring
from segmentation_pipeline.resources.engine import DuckDBEngine
from segmentation_pipeline.resources.model_store import ModelStore


@gated(group="segments", kinds={"parquet", "duckdb", "gold"}, deps=(dg.AssetDep("segmentation_model"),))
def customer_segments(rfm_features: ir.Table, models: dg.ResourceParam[ModelStore]) -> ir.Table:
    """Segment and RFM scores of every customer at the end of the day, by the model in force."""
    version = models.in_force()
    return scoring.customer_segments(rfm_features, models.load(version), version)


@gated(group="segments", kinds={"parquet", "duckdb", "gold"}, deps=(dg.AssetDep("segmentation_model"),))
def segment_profiles(
    customer_segments: ir.Table, engine: dg.ResourceParam[DuckDBEngine], models: dg.ResourceParam[ModelStore]
) -> pd.DataFrame:
    """Size, revenue share, typical recency, frequency and monetary of each segment, and what to do about it."""
    measures = engine.to_pandas(profiles.measured(customer_segments))
    by_version = measures.groupby("model_version")
    return pd.concat([profiles.finished(rows, models.load(int(str(version)))) for version, rows in by_version])
