"""Opening: everything that assets, schedules and sensors reach the world through, as one shop has it.

Belongs here: making the resources and handing each what it needs. Does not: the resources themselves (resources/,
checks/gate.py), when they are made (build.py).
"""

from typing import Any

from upath import UPath

from segmentation_pipeline.checks.gate import Gate
from segmentation_pipeline.checks.judge_process import Judge
from segmentation_pipeline.checks.suites import suites
from segmentation_pipeline.resources.engines.opening import open_engine
from segmentation_pipeline.resources.erasure import Erasure
from segmentation_pipeline.resources.forgotten import Tombstones
from segmentation_pipeline.resources.freshness import Freshness
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.resources.ledger import QualityLedger
from segmentation_pipeline.resources.model_store import ModelStore
from segmentation_pipeline.resources.publishing.exports import ExportFolder
from segmentation_pipeline.resources.publishing.postgres import SegmentPublisher
from segmentation_pipeline.resources.reports import ReportFolder
from segmentation_pipeline.resources.second_process import second_process
from segmentation_pipeline.resources.sources.opening import open_source
from segmentation_pipeline.resources.stretches import Stretches
from segmentation_pipeline.settings import Settings


def build_resources(settings: Settings) -> dict[str, Any]:
    """Everything assets reach the world through, by resource name; nothing is opened before it is used."""
    engine = open_engine(settings)
    lake = Lake(UPath(settings.lake), engine)
    tombstones = Tombstones(settings, engine, lake.root / "forgotten")
    source = open_source(
        settings, engine, lake.root / ".sources", tombstones, lambda file: lake.came_from(file.path, file.days())
    )
    models = ModelStore(lake.root / "segmentation_model")
    reports = ReportFolder(UPath(settings.reports))
    publish = settings.publish
    exports = ExportFolder(UPath(publish.exports), lake) if publish and publish.exports else None
    publisher = SegmentPublisher(publish.database) if publish and publish.database else None
    freshness = Freshness(settings, source, lake, models, reports, exports)
    stretches = Stretches(lake, source.files, settings.engine.rows_at_once)
    second = second_process()
    ledger = QualityLedger(lake.root / "quality_results", engine)
    return {
        "settings": settings,
        "engine": engine,
        "lake": lake,
        "source": source,
        "models": models,
        "reports": reports,
        "freshness": freshness,
        "stretches": stretches,
        "ledger": ledger,
        "second_process": second,
        "tombstones": tombstones,
        "erasure": Erasure(settings, lake, source, tombstones, stretches, publisher, exports),
        "gate": Gate(settings, suites(settings), lake, freshness, ledger, Judge(second), stretches),
        **({"exports": exports} if exports else {}),
        **({"publisher": publisher} if publisher else {}),
    }
