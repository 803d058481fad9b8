"""Documentation says what the code says: generated pages, and links and commands of the runbook."""

import re
import runpy
import shlex

import pytest
import typer
from PIL import Image
from typer.core import TyperGroup

from segmentation_pipeline.cli import app
from segmentation_tests.conftest import PROJECT

RUNBOOK = PROJECT / "docs" / "operations.md"


def anchors(page: str) -> set[str]:
    """What a link to a part of a page may name."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def commands() -> list[str]:
    """The arguments of every `segmentation` command in the runbook, in a sentence or in a block."""
    page = RUNBOOK.read_text()
    in_sentences = re.findall(r"`segmentation ([^`…]+)`", page)
    in_blocks = re.findall(r"/bin/segmentation ([^'\n]+)", page)
    return sorted({*in_sentences, *in_blocks})


@pytest.mark.parametrize(
    ("script", "page"), [("configuration.py", "configuration.md"), ("data_quality.py", "data-quality.md")]
)
def test_generated_pages_are_up_to_date(script, page):
    written = runpy.run_path(str(PROJECT / "docs" / script))["page"]()
    assert (PROJECT / "docs" / page).read_text() == written, "run `make docs`"


@pytest.mark.parametrize("name", ["lineage", "failing_check", "report"])
def test_screenshots_are_quick_to_load(name):
    file = PROJECT / "docs" / "screenshots" / f"{name}.webp"
    assert file.stat().st_size < 120_000, "run `make screenshots`"
    with Image.open(file) as picture:
        assert picture.width > 1_000


def test_links_of_the_runbook_lead_somewhere():
    links = re.findall(r"\]\(([^)\s]+)\)", RUNBOOK.read_text())
    assert len(links) > 10
    for link in links:
        place, _, part = link.partition("#")
        file = (RUNBOOK.parent / place).resolve() if place else RUNBOOK
        assert file.exists(), link
        assert not part or part in anchors(file.read_text()), link


def test_the_runbook_shows_commands():
    assert {"run", "check-source", "model list", "quarantine --from 2025-07-16 --samples 10"} <= set(commands())


@pytest.mark.parametrize("arguments", commands())
def test_commands_of_the_runbook_exist_with_their_options(arguments):
    command = typer.main.get_command(app)
    words = shlex.split(arguments)
    while isinstance(command, TyperGroup):
        assert words, arguments
        command = command.commands[words.pop(0)]
    command.make_context(arguments, words).close()
