"""Drift: requests a refit when the customers are no longer those that the model was fitted on.

Belongs here: when to look, and the request. Does not: measuring drift (core/drift.py), fitting (assets/model.py).
"""

import dagster as dg

from segmentation_pipeline import jobs
from segmentation_pipeline.core import schema
from segmentation_pipeline.resources.annotations import Lake, ModelStore
from segmentation_pipeline.settings import Settings


def drift(settings: Settings) -> dg.SensorDefinition:
    """Looks at the last day's drift, and requests a refit if a feature has drifted beyond `drift.act`.

    A model is refitted for its drift once a week at most: one that its gate or the promotion policy holds back would be
    fitted again every night otherwise.
    """

    @dg.sensor(
        job=jobs.refit_model,
        name="drift_sensor",
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING
        if settings.schedule.refit_on_drift
        else dg.DefaultSensorStatus.STOPPED,
        description="Requests a refit when a feature or the segments have drifted beyond drift.act.",
    )
    def drift_sensor(
        lake: dg.ResourceParam[Lake], models: dg.ResourceParam[ModelStore]
    ) -> dg.RunRequest | dg.SkipReason:
        import ibis
        from ibis import _

        days = lake.days("segment_drift")
        if not days:
            return dg.SkipReason("Drift has not been measured on any day yet.")
        day, version = days[-1], models.in_force()
        beyond = lake.read(schema.SEGMENT_DRIFT, [day]).filter(
            (_.level == "act") & (_.model_version == ibis.literal(version))
        )
        names = list(lake.engine.to_pandas(beyond.select("name").distinct().order_by("name"))["name"])
        if not names:
            return dg.SkipReason(
                f"On {day} nothing has drifted beyond {settings.drift.act} from model version {version}."
            )
        year, week, _weekday = day.isocalendar()
        return dg.RunRequest(
            run_key=f"version {version}, week {year}-{week:02}",
            run_config={"ops": {"k_diagnostics": {"config": {"as_of": day.isoformat()}}}},
            tags={"segmentation/because": f"drifted by {day}: {', '.join(names)}"},
        )

    return drift_sensor
