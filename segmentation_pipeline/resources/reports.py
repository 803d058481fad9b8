"""The report folder: one page and its figures per as-of day, replaced file by file.

Belongs here: names and writing of report files. Does not: their content (reporting/).

    <reports>/date=YYYY-MM-DD/segment_report.html    complete in itself
                             /quality_report.html    likewise
                             /<figure>.png           the same figures, for slides
"""

from collections.abc import Mapping
from datetime import date
from typing import Literal

from upath import UPath

INPUTS = "inputs.txt"

Page = Literal["segment_report", "quality_report"]


class ReportFolder:
    """Reports below one folder.

    Args:
        root: The folder; made when first written to.
    """

    def __init__(self, root: UPath) -> None:
        self.root = root

    def page(self, day: date, name: Page = "segment_report") -> UPath:
        """Where a page of a day is."""
        return self.root / f"date={day.isoformat()}" / f"{name}.html"

    def write(
        self,
        day: date,
        page: str,
        images: Mapping[str, bytes],
        inputs: str | None = None,
        name: Page = "segment_report",
    ) -> UPath:
        """Write a day's figures and then its page, each whole or not at all, and return where the page is.

        Args:
            day: Whose page it is.
            page: The page, complete in itself.
            images: The same figures as PNG bytes, by name.
            inputs: What the page was made from, if that decides when it is drawn again.
            name: Which page.
        """
        target = self.page(day, name)
        note = target.with_name(INPUTS) if inputs is not None else None
        target.parent.mkdir(parents=True, exist_ok=True)
        if note:
            note.unlink(missing_ok=True)
        for file, content in {
            **{f"{slug}.png": png for slug, png in images.items()},
            target.name: page.encode(),
        }.items():
            staged = target.with_name(f".{file}")
            staged.write_bytes(content)
            staged.replace(target.with_name(file))
        if note and inputs is not None:
            note.write_text(inputs)
        return target

    def inputs(self, day: date) -> str | None:
        """What the report of a day was made from; None if there is none."""
        note = self.page(day).with_name(INPUTS)
        return note.read_text() if note.exists() and self.page(day).exists() else None
