"""Writes screenshots/ from the pictures that the browser tests keep; run by `make screenshots`.

Belongs here: which pictures the documentation shows, and making them small. Does not: taking them
(segmentation_tests/browser).
"""

from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
TAKEN = DOCS.parent / "segmentation_tests" / "browser" / "screenshots"
SHOWN = ("lineage", "failing_check", "report")
WIDTH_PIXELS, QUALITY = 1_600, 85


def main() -> None:
    """Shrink each picture to a width at which its text can still be read."""
    folder = DOCS / "screenshots"
    folder.mkdir(exist_ok=True)
    for name in SHOWN:
        with Image.open(TAKEN / f"{name}.png") as taken:
            picture = taken.convert("RGB")
        picture.thumbnail((WIDTH_PIXELS, picture.height), Image.Resampling.LANCZOS)
        picture.save(folder / f"{name}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
