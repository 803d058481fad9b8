"""The code location that Dagster loads."""

from segmentation_pipeline.build import build_definitions

defs = build_definitions()
