"""The page: complete, self-contained, safe and the same each time."""

import base64
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from segmentation_pipeline.reporting import figures, html

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would find: tags with attributes, and the cells of every table by section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[list[str]]] = {}
        self._tables: dict[str, list[list[str]]] = {}
        self._caption = ""
        self.text = ""
        self._open: list[str] = []
        self._section = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = attributes.get("id") or ""
        if tag == "table":
            self._caption = ""
        if tag == "tr":
            row: list[str] = []
            self.rows.setdefault(self._section, []).append(row)
            self._tables.setdefault(self._caption, []).append(row)
        if tag in ("td", "th"):
            self.rows[self._section][-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"<{tag}> closes out of order"

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.text += data
        if "caption" in self._open:
            self._caption += data
        if {"td", "th"} & set(self._open):
            self.rows[self._section][-1][-1] += " " + data.replace("\N{NO-BREAK SPACE}", " ").strip()

    def table(self, section: str) -> dict[str, list[str]]:
        return {row[0].strip(): [" ".join(cell.split()) for cell in row[1:]] for row in self.rows[section] if row}

    def captioned(self, caption: str) -> list[list[str]]:
        """The rows under the head of the table with this caption."""
        return [[" ".join(cell.split()) for cell in row] for row in self._tables[caption][1:]]

    @property
    def words(self) -> str:
        return " ".join(self.text.replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.fixture(scope="module")
def images(report):
    return figures.images(figures.drawn(report), dpi=40)


@pytest.fixture(scope="module")
def text(report, images):
    return html.render(report, images)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_every_segment_is_in_the_table_with_the_numbers_of_its_profile(report, page):
    table = page.table("segments")
    for row in report.profiles.itertuples():
        customers, revenue, recency, frequency, monetary, advice = table[row.segment]
        assert customers.split()[0] == f"{row.customers:,}"
        assert revenue.split()[1] == (f"{row.revenue:,.0f}" if row.revenue >= 100 else f"{row.revenue:.2f}")
        assert revenue.split()[2] == f"{100 * row.revenue_share:.1f}"
        assert recency.startswith(f"{row.recency_days_median:.0f} day")
        assert frequency.startswith(f"{row.frequency_median:.0f} order")
        assert monetary.split()[1] == f"{row.monetary_median:,.0f}"
        assert advice == row.action
        assert row.recommendation in page.words


def test_headline_numbers_are_the_totals_of_the_days(report, page):
    words = page.words
    assert f"Customers {report.profiles['customers'].sum():,} 5 with net zero spend" in words
    assert "Segments 4 K-Means" in words
    assert f"Revenue GBP {report.days['revenue'].sum():,.0f}" in words
    assert f"Accepted rows {report.days['accepted_rows'].sum():,}" in words
    share = 100 * report.days["quarantined_rows"].sum() / report.days["raw_rows"].sum()
    assert f"Quarantined rows {report.days['quarantined_rows'].sum():,} {share:.1f} % of all rows" in words


def test_rows_that_do_not_add_up_raise_an_alarm(report, images, text):
    assert "do not add up" not in text
    lost = replace(report, days=report.days.assign(raw_rows=report.days["raw_rows"] + 1))
    assert f"do not add up: {len(report.days)} of the rows" in html.render(lost, images)


def test_every_candidate_is_listed_and_the_choice_explained(report, page):
    rows = page.captioned("Every candidate that was tried")
    blocks = [row[0] for row in rows if len(row) == 1]
    assert blocks == ["K-Means", "Bisecting K-Means", "Ward hierarchical", "Gaussian mixture"]
    assert [row[0] for row in rows if len(row) > 1] == [str(k) for _ in blocks for k in range(2, 9)]
    chosen = next(place for place, row in enumerate(rows) if "chosen" in row[-1])
    assert (chosen, rows[chosen][0]) == (3, "4")
    assert sum("vetoed: smallest segment 1.2 % is under the 2 % floor" in row[-1] for row in rows) == 8
    assert page.text.count(report.k_diagnostics["reason"].iloc[0]) == 1


def test_every_reason_is_described_and_counted(report, page):
    table = page.table("quality")
    for row in report.reasons.itertuples():
        name = row.reason.replace("_", " ").capitalize()
        assert table[name] == [row.description, f"{row.rows:,}", f"{row.failed_rows:,}"]


def test_the_model_card_is_complete(report, page):
    card = page.table("model")
    assert card["Algorithm"] == ["K-Means"]
    assert card["Features"] == ["Recency, Frequency, Monetary"]
    assert card["Segment shares"] == ["36.7 %, 27.3 %, 36.0 %"]
    assert "Random" not in card
    assert card["Fitted on customers"] == [f"{report.model['fitted_on_customers']:,}"]
    assert len(card) == len(report.model)


@pytest.mark.parametrize("term", ["Recency", "Frequency", "Monetary", "Segment", "Quarantine", "Silhouette", "Inertia"])
def test_the_glossary_explains_every_term(text, term):
    assert f"<dt>{term}</dt>" in text


def test_every_figure_is_there_once_with_its_own_bytes_and_alternative_text(images, page):
    shown = [attributes for tag, attributes in page.tags if tag == "img"]
    sources = [base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,")) for attributes in shown]
    assert sources == list(images.values())
    assert all(len(attributes["alt"]) > 40 for attributes in shown)
    ids = [attributes["id"] for tag, attributes in page.tags if tag == "figure"]
    assert ids == list(images)


def test_the_page_loads_nothing_from_anywhere(text, page):
    assert not re.search(r"https?:|//\w|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object", "form")]
    sources = [attributes["src"] for _, attributes in page.tags if "src" in attributes]
    assert all(source.startswith("data:") for source in sources)
    assert all(attributes["href"].startswith("#") for _, attributes in page.tags if "href" in attributes)


def test_links_lead_somewhere_and_ids_are_unique(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for _, attributes in page.tags if "href" in attributes} <= set(ids)


def test_configured_text_cannot_inject_markup(report, images):
    attack = "<script>alert(1)</script>"
    hostile = replace(
        report,
        shop=attack,
        profiles=report.profiles.assign(
            segment=[f"{attack}{place}" for place in range(5)], recommendation=f'"><img src=x onerror=1>{attack}'
        ),
        reasons=report.reasons.assign(description=attack),
        model={**report.model, "note": attack},
    )
    page = Page(html.render(hostile, images))
    assert "script" not in {tag for tag, _ in page.tags}
    assert len([tag for tag, _ in page.tags if tag == "img"]) == len(images)
    assert page.text.count(f"{attack}0") == 1


def test_a_colour_that_is_no_colour_becomes_grey(report, images):
    hostile = replace(report, profiles=report.profiles.assign(color="red;position:fixed"))
    page = Page(html.render(hostile, images))
    styles = {attributes["style"] for _, attributes in page.tags if "style" in attributes}
    assert styles == {"background:#9aa5b1"}


def test_the_same_report_gives_the_same_page(build_report, images):
    assert html.render(build_report(), images) == html.render(build_report(), images)


def test_missing_numbers_are_dashes_and_never_nan(report, images):
    numbers = [column for column in report.profiles if column.startswith(("recency", "frequency", "monetary"))]
    profiles = report.profiles.assign(**dict.fromkeys(numbers, np.nan), recommendation=None)
    exploration = report.exploration.iloc[:0]
    diagnostics = report.k_diagnostics.assign(inertia=np.nan, vetoes=None)
    page = Page(
        html.render(replace(report, profiles=profiles, exploration=exploration, k_diagnostics=diagnostics), images)
    )
    assert not re.search(r"\b(nan|None|NaT)\b", page.text)
    assert page.table("segments")["VIP Customers"][3:6] == ["\N{EN DASH}"] * 3


def test_a_report_without_diagnostics_or_days_still_renders(report, images):
    bare = replace(report, k_diagnostics=report.k_diagnostics.iloc[:0], days=report.days.iloc[:0])
    assert "No diagnostics were recorded." in html.render(bare, images)


@pytest.mark.parametrize("slug", ["elbow_and_silhouette", "holiday_snapshot"])
def test_a_missing_or_unknown_figure_is_named(report, images, slug):
    changed = {name: png for name, png in images.items() if name != slug}
    with pytest.raises(ValueError, match=slug):
        html.render(report, changed if slug in images else {**images, slug: b""})


def test_rendering_needs_neither_matplotlib_nor_dagster():
    code = (
        "import sys, segmentation_pipeline.reporting.html, segmentation_pipeline.reporting.data;"
        "sys.exit(bool({'matplotlib', 'dagster'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
