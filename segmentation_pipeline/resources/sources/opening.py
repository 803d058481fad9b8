"""Opening: the source of the kind that a shop's settings name.

Belongs here: choosing, and waiting for files that a person has just copied. Does not: the kinds (files.py, postgres.py).
"""

import time
from collections.abc import Callable

from upath import UPath

from segmentation_pipeline.resources.engines.engine import Engine
from segmentation_pipeline.resources.forgotten import Tombstones
from segmentation_pipeline.resources.sources.files import FileSource
from segmentation_pipeline.resources.sources.headers import SourceError, listed
from segmentation_pipeline.resources.sources.index import SourceFile
from segmentation_pipeline.resources.sources.postgres import PostgresSource
from segmentation_pipeline.resources.sources.source import TransactionSource
from segmentation_pipeline.settings import Files, Settings

# Files are waited for this many times as long as one takes to be settled.
PATIENCE = 6
LOOKS_PER_WAIT = 20


def open_source(
    settings: Settings,
    engine: Engine,
    workspace: UPath,
    tombstones: Tombstones | None = None,
    is_ingested: Callable[[SourceFile], bool] = lambda _file: True,
) -> TransactionSource:
    """The source of a shop; nothing is read before it is asked for."""
    if isinstance(settings.source, Files):
        return FileSource(settings, engine, workspace, tombstones, is_ingested)
    return PostgresSource(settings, engine, workspace, tombstones)


def wait_until_settled(source: TransactionSource, settings: Settings, tell: Callable[[str], None]) -> None:
    """Wait until no file grows any more, for people who have just copied one; tells them once which, and for how long.

    Raises:
        SourceError: One still grows after several times the time in which a file is settled.
    """
    waiting = source.waiting()
    if not waiting or not isinstance(settings.source, Files):
        return
    seconds = settings.source.settle_seconds
    tell(f"Waiting up to {seconds * PATIENCE:g} s for {listed(waiting)}: changed less than {seconds:g} s ago.")
    end = time.monotonic() + seconds * PATIENCE
    while waiting := source.waiting():
        if time.monotonic() > end:
            raise SourceError(
                f"{listed(waiting)}: still growing after {seconds * PATIENCE:g} s. Run again when it is whole, move it out of "
                f"{source.place} until then, or set source.settle_seconds: 0 to read files as they are."
            )
        time.sleep(seconds / LOOKS_PER_WAIT)
