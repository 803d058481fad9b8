"""Jobs: what runs together.

Belongs here: selections of assets. Does not: when they run (schedules.py), the assets themselves (assets/).
"""

import dagster as dg

# On runs that no code location launched, such as those of `segmentation run`: the lake that they write to.
LAKE_TAG = "segmentation/lake"

MODEL_ASSETS = dg.AssetSelection.assets("k_diagnostics", "segmentation_model")

nightly_refresh = dg.define_asset_job(
    "nightly_refresh",
    selection=dg.AssetSelection.all() - MODEL_ASSETS,
    description="Every daily asset for one day (or a range of days in one run), scored with the model in force.",
)

publish = dg.define_asset_job(
    "publish",
    selection=dg.AssetSelection.groups("publishing"),
    description="Publish segments that are in the lake already: into the database, and as delta files.",
)

refit_model = dg.define_asset_job(
    "refit_model",
    selection=MODEL_ASSETS,
    description="Choose k and fit a new model on one day's features; nights after that are scored with it.",
)
