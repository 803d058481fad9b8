"""Names for the annotations that Dagster evaluates while it loads the definitions.

Belongs here: what assets, schedules and sensors are handed and what assets return, by name. Does not: any of it.

A type checker sees the classes. To Dagster each name stands for anything: the classes need Ibis, pandas and PyArrow, and
these take longer to load than Dagster itself.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ibis.expr.types import Table
    from pandas import DataFrame

    from segmentation_pipeline.resources.engines.engine import Engine, OfDay
    from segmentation_pipeline.resources.erasure import Erasure
    from segmentation_pipeline.resources.freshness import Freshness
    from segmentation_pipeline.resources.lake import Lake
    from segmentation_pipeline.resources.ledger import QualityLedger
    from segmentation_pipeline.resources.model_store import ModelStore
    from segmentation_pipeline.resources.publishing.exports import ExportFolder
    from segmentation_pipeline.resources.publishing.postgres import SegmentPublisher
    from segmentation_pipeline.resources.reports import ReportFolder
    from segmentation_pipeline.resources.second_process import SecondProcess
    from segmentation_pipeline.resources.sources.source import TransactionSource
else:
    Table = DataFrame = Any
    Engine = OfDay = Lake = Freshness = TransactionSource = Any
    ModelStore = QualityLedger = ReportFolder = SecondProcess = Any
    Erasure = ExportFolder = SegmentPublisher = Any

__all__ = [
    "DataFrame",
    "Engine",
    "Erasure",
    "ExportFolder",
    "Freshness",
    "Lake",
    "ModelStore",
    "OfDay",
    "QualityLedger",
    "ReportFolder",
    "SecondProcess",
    "SegmentPublisher",
    "Table",
    "TransactionSource",
]
