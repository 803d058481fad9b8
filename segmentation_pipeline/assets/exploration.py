"""Exploration: how the features are distributed, before and after the transform.

Belongs here: `feature_exploration`. Does not: the statistics (core/exploration.py), the model (model.py).
"""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from segmentation_pipeline.assets.gated import gated
from segmentation_pipeline.resources.annotations import DataFrame, Engine, Table
from segmentation_pipeline.settings import Settings


@gated(group="exploration", kinds={"parquet", "pandas"})
def feature_exploration(
    days: Sequence[date],
    rfm_features: Table,
    engine: dg.ResourceParam[Engine],
    settings: dg.ResourceParam[Settings],
) -> DataFrame:
    """Quantiles, moments, histograms and correlations of recency, frequency and monetary, in a bounded sample."""
    import ibis
    import pandas as pd
    from ibis import _

    from segmentation_pipeline.core import exploration
    from segmentation_pipeline.core.clustering import preprocessing
    from segmentation_pipeline.core.clustering.scoring import RFM
    from segmentation_pipeline.resources.engines.engine import hold_for

    model = settings.model
    described = tuple(dict.fromkeys((*RFM, *model.features)))
    parts = []
    with hold_for(engine, days)(rfm_features) as features:

        def sample(day: date) -> Table:
            of_day = features.filter(_.date == ibis.literal(day)).select("customer_id", *described)
            return preprocessing.sample(of_day, model.sample_rows, model.seed)

        for day, sampled in engine.each_day_to_pandas(sample, days):
            if len(sampled):
                scalings = preprocessing.fit_scaling(sampled, described, model.winsor_share)
                parts.append(exploration.explore(sampled, scalings, day))
    return pd.concat(parts) if parts else exploration.NOTHING
