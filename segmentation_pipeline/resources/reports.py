"""The report folder: one page and its figures per as-of day, replaced file by file.

Belongs here: names and writing of report files. Does not: their content (reporting/).

    <reports>/date=YYYY-MM-DD/segment_report.html    complete in itself
                             /<figure>.png           the same figures, for slides
"""

from collections.abc import Mapping
from datetime import date

from upath import UPath

from segmentation_pipeline.resources.lake import INPUTS


class ReportFolder:
    """Reports below one folder.

    Args:
        root: The folder; made when first written to.
    """

    def __init__(self, root: UPath) -> None:
        self.root = root

    def page(self, day: date) -> UPath:
        """Where the page of a day is."""
        return self.root / f"date={day.isoformat()}" / "segment_report.html"

    def write(self, day: date, page: str, images: Mapping[str, bytes], inputs: str) -> UPath:
        """Write a day's figures and then its page, each whole or not at all, and return where the page is."""
        target = self.page(day)
        note = target.with_name(INPUTS)
        target.parent.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
        for name, content in {
            **{f"{slug}.png": png for slug, png in images.items()},
            target.name: page.encode(),
        }.items():
            staged = target.with_name(f".{name}")
            staged.write_bytes(content)
            staged.replace(target.with_name(name))
        note.write_text(inputs)
        return target

    def inputs(self, day: date) -> str | None:
        """What the report of a day was made from; None if there is none."""
        note = self.page(day).with_name(INPUTS)
        return note.read_text() if note.exists() and self.page(day).exists() else None
