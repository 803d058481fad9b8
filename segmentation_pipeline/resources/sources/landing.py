"""Landing: what lies in a source's folders now, compared with what the index knows.

Belongs here: which files are new, still growing, or gone. Does not: finding them (discovery.py), reading them (files.py).

Files are copied into a landing folder while it is looked at, and are tidied away from it later. So a file that changed
a moment ago is left for the next look, and one that is gone is still known.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import stat_result
from pathlib import Path

from segmentation_pipeline.resources.sources.index import SourceFile


@dataclass(frozen=True)
class Look:
    """What one look found.

    Attributes:
        known: Entries of files that are as they were when they were indexed.
        fresh: Files to be indexed, with their size and time at this look.
        growing: Names of files that are left for a later look.
        overwritten: Entries of growing files, as they were before.
        removed: Entries of files that are gone.
    """

    known: Sequence[SourceFile]
    fresh: Mapping[Path, stat_result]
    growing: Sequence[str]
    overwritten: Sequence[SourceFile]
    removed: Sequence[SourceFile]

    def fingerprint(self, root: Path) -> str:
        """Stands for the names, sizes and times of files that have settled; changes whenever there is something to index."""
        settled = [(file.path, file.size, file.mtime_ns) for file in (*self.known, *self.overwritten, *self.removed)]
        fresh = [
            (path.relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns) for path, stat in self.fresh.items()
        ]
        return hashlib.sha256(repr(sorted([*settled, *fresh])).encode()).hexdigest()


def look_at(
    paths: Sequence[Path],
    root: Path,
    stored: Mapping[str, SourceFile],
    is_current: Callable[[SourceFile, stat_result], bool],
    settle_seconds: float,
) -> Look:
    """Compare files with the index.

    Args:
        paths: The files there are now, below `root`; one may vanish at any time.
        root: Names are relative to it.
        stored: Entries of the index by name.
        is_current: Whether an entry tells the truth about a file of this size and time.
        settle_seconds: A file that changed less long ago, or will by a clock that is ahead, is still growing.
    """
    known: list[SourceFile] = []
    fresh: dict[Path, stat_result] = {}
    growing: dict[str, SourceFile | None] = {}
    now = time.time()
    for path in paths:
        name, stat = path.relative_to(root).as_posix(), _stat(path)
        entry = stored.get(name)
        if stat is None:
            continue
        if entry is not None and is_current(entry, stat):
            known.append(entry)
        elif abs(now - stat.st_mtime) < settle_seconds:
            growing[name] = entry
        else:
            fresh[path] = stat
    seen = {file.path for file in known} | {path.relative_to(root).as_posix() for path in fresh} | set(growing)
    return Look(
        known=known,
        fresh=fresh,
        growing=list(growing),
        overwritten=[entry for entry in growing.values() if entry is not None],
        removed=[entry for name, entry in stored.items() if name not in seen],
    )


def _stat(path: Path) -> stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
