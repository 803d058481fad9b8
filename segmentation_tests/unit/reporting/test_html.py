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
from segmentation_pipeline.reporting.indices import INDICES
from segmentation_pipeline.resources.second_process import SecondProcess
from segmentation_tests.unit.reporting.conftest import FURTHER_FEATURES, exploration_frame

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
        self._parts: list[str] = []
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
        self._parts.append(data)
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
        """All text, with one space between words and between tags."""
        return " ".join(" ".join(self._parts).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.fixture(scope="module")
def images(report):
    return figures.images(report, dpi=40)


def test_figures_are_the_same_bytes_wherever_they_are_drawn(report, images):
    second = SecondProcess()
    elsewhere = figures.images(report, dpi=40, share=lambda tasks: [second.call(task) for task in tasks])
    second.end()
    assert elsewhere == images


@pytest.fixture(scope="module")
def text(report, images):
    return html.render(report, images)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_every_segment_is_in_the_table_with_the_numbers_of_its_profile(report, page):
    table = page.table("segments")
    for row in report.profiles.itertuples():
        customers, revenue, recent, recency, frequency, monetary, advice = table[row.segment]
        assert customers.split()[0] == f"{row.customers:,}"
        assert revenue.split()[1] == (f"{row.revenue:,.0f}" if row.revenue >= 100 else f"{row.revenue:.2f}")
        assert revenue.split()[2] == f"{100 * row.revenue_share:.1f}"
        assert recent.split()[1] == (f"{row.revenue_recent:,.0f}" if row.revenue_recent >= 100 else "0.00")
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


def test_each_index_is_shown_with_its_own_vote_for_every_algorithm(page):
    votes = {row[0]: row[1:] for row in page.captioned("How many segments each index would choose")}
    assert votes["Silhouette"] == ["2"] * 4
    assert votes["Elbow of the inertia"] == ["4"] * 4
    assert votes["Gap"] == ["5"] * 4
    assert votes["BIC"] == ["\N{EN DASH}"] * 3 + ["6"]
    assert "For K-Means, the indices disagree: Elbow of the inertia says 4, Silhouette says 2," in page.words
    assert page.words.count("Gap says 5 and Stability says 2. Chosen: 4.") == 1


def test_a_vote_is_framed_in_its_own_column(report, page):
    framed = [attributes for tag, attributes in page.tags if (tag, attributes.get("class")) == ("b", "vote")]
    assert len(framed) == sum(len(votes.split(", ")) for votes in report.k_diagnostics["votes"] if votes)


def test_an_index_may_vote_twice_and_may_be_unknown(report, images):
    is_small = report.k_diagnostics["k"].isin([2, 3])
    diagnostics = report.k_diagnostics.assign(votes=np.where(is_small, "silhouette, prediction_strength", ""))
    page = Page(html.render(replace(report, k_diagnostics=diagnostics), images))
    rows = page.captioned("How many segments each index would choose")
    assert rows == [["Silhouette", *["2 and 3"] * 4], ["Prediction strength", *["2 and 3"] * 4]]
    assert "the indices agree: Silhouette says 2 and 3 and Prediction strength says 2 and 3. Chosen: 4." in page.words


def test_the_columns_of_the_candidates_are_explained(page):
    assert "C\N{EN DASH}H, Calinski\N{EN DASH}Harabasz How far the segments' centres lie apart" in page.words
    for index in INDICES:
        assert f"{index.meaning} {index.better.capitalize()}." in page.words


def test_what_became_of_the_customers_is_summed_up(report, page):
    moves = report.migration
    stayed = moves["from_segment_id"] == moves["to_segment_id"]
    from_anywhere = moves["from_segment_id"] >= 0
    there_now = moves["to_segment_id"] >= 0
    for label, number in {
        "Stayed": moves.loc[stayed, "customers"].sum(),
        "Moved": moves.loc[~stayed & from_anywhere & there_now, "customers"].sum(),
        "New": moves.loc[~from_anywhere, "customers"].sum(),
        "Gone": moves.loc[~there_now, "customers"].sum(),
        "Lost": moves["lost_customers"].sum(),
        "Reactivated": moves["reactivated_customers"].sum(),
    }.items():
        assert f"{label} {number:,} " in page.words


def test_the_largest_moves_are_between_different_segments_and_by_revenue(report, page):
    shown = page.captioned("The largest moves between segments, by revenue")
    flows = report.migration.query("from_segment_id >= 0 and to_segment_id >= 0 and from_segment_id != to_segment_id")
    expected = flows.nlargest(10, "revenue_after")
    assert [row[:3] for row in shown] == [
        [row.from_segment, row.to_segment, f"{row.customers:,}"] for row in expected.itertuples()
    ]


def test_without_an_earlier_day_a_sentence_says_so(report, images):
    page = Page(html.render(replace(report, migration=report.migration.iloc[:0]), images))
    assert page.words.count("There is no earlier day to compare 30 December 2010 with") == 1
    assert "Reactivated 0" not in page.words
    assert "since" not in page.words.partition("What to do, segment by segment")[0]


def test_every_rfm_group_is_explained_in_the_order_given(report, page):
    rows = [[" ".join(cell.split()) for cell in row] for row in page.rows["rfm"][1 : len(report.rfm_groups) + 1]]
    assert [row[:2] for row in rows] == report.rfm_groups[["rfm_group", "meaning"]].to_numpy().tolist()
    assert [row[2].split()[0] for row in rows] == [f"{number:,}" for number in report.rfm_groups["customers"]]


def test_score_thresholds_say_which_values_get_which_score(page):
    assert page.captioned("Which value gets which score") == [
        ["Recency (days)", "181 or more", "73 to 180", "34 to 72", "14 to 33", "up to 13"],
        ["Frequency (orders)", "up to 1", "\N{EN DASH}", "2 to 3", "4 to 6", "7 or more"],
        ["Monetary (GBP)", "up to 250", "over 250 to 489", "over 489 to 941", "over 941 to 2,057", "over 2,057"],
    ]


def test_the_score_table_puts_the_best_recency_first_and_nobody_is_zero(report, page):
    rows = page.captioned("Customers by recency score and frequency score")
    stated = report.scores.set_index(["recency_score", "frequency_score"])["customers"]
    assert [row[0] for row in rows] == [f"Recency {score}" for score in (5, 4, 3, 2, 1)]
    assert rows[0][1:] == [f"{stated[5, score]:,}" for score in range(1, 6)]
    assert rows[4][5] == "0"


def test_the_farthest_customers_are_listed_by_distance(report, page):
    outliers = report.exploration.query("measure == 'outlier'")
    places = outliers[outliers["scale"] == "transformed"].pivot(index="item", columns="feature", values="value")
    rows = page.captioned("The customers farthest from the average")
    farthest = np.linalg.norm(places, axis=1).argsort()[::-1].choose(places.index).tolist()
    assert [row[0] for row in rows] == [str(place) for place in range(1, len(farthest) + 1)]
    measured = outliers[outliers["scale"] == "original"].pivot(index="item", columns="feature", values="value")
    assert [row[1].split()[0] for row in rows] == [
        f"{measured.at[customer, 'recency_days']:.0f}" for customer in farthest
    ]
    assert not [customer for customer in farthest if customer in str(rows)], "pages are passed on"


def test_features_of_the_model_beyond_recency_frequency_and_monetary_are_in_every_table(report, images):
    explored = exploration_frame(np.random.default_rng(1), 500, FURTHER_FEATURES)
    page = Page(html.render(replace(report, exploration=explored), images))
    statistics = page.captioned("Feature statistics, before and after the transform")
    assert len(statistics) == 2 * (3 + len(FURTHER_FEATURES))
    farthest = page.captioned("The customers farthest from the average")
    assert {len(row) for row in farthest} == {1 + 3 + len(FURTHER_FEATURES)}
    places = [[float(cell.split()[-1].replace("\N{MINUS SIGN}", "-")) for cell in row[1:]] for row in farthest]
    distances = np.linalg.norm(places, axis=1)
    assert (np.diff(distances) < 0.2).all(), "told to one decimal"


def test_drift_is_that_of_the_last_day_with_the_level_as_a_word(page):
    rows = page.captioned("Drift on 30 December 2010")
    assert [row[:3] for row in rows] == [
        ["Recency", "0.310", "act"],
        ["Frequency", "0.140", "warn"],
        ["Segment sizes", "0.080", "stable"],
        ["Monetary", "0.050", "stable"],
    ]
    assert "from 0.10 the shift is worth watching (warn); from 0.25 it is large enough" in page.words


def test_drift_of_another_day_is_not_told_as_todays(report, images):
    earlier = report.drift[report.drift["date"] < report.drift["date"].max()]
    assert "Drift on" not in Page(html.render(replace(report, drift=earlier), images)).words


def test_the_model_card_shows_nested_values_as_words(page):
    assert "Settings Algorithm K-Means Min k 2 Max k 8 Seed 20111209 Segments (k) \N{EN DASH} Restarts 10" in page.words
    assert "Libraries Numpy 2.4.1 Scikit-learn 1.9.0" in page.words
    assert "Segments Segment id 1 Jaccard 0.910 Segment id 2 Jaccard 0.850" in page.words
    assert not re.search(r"[{}\[\]]", page.text)


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
    assert card["Fitted on customers"] == [f"{report.model['fitted_on_customers']:,}"]
    assert len(card) == len(report.model)


@pytest.mark.parametrize(
    "term", ["Recency", "Frequency", "Monetary", "Segment", "Quarantine", "Silhouette", "Inertia", "Drift, PSI"]
)
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
        rfm_groups=report.rfm_groups.assign(meaning=attack),
        migration=report.migration.assign(from_segment=attack),
        reasons=report.reasons.assign(description=attack),
        model={**report.model, "note": attack, "notes": {attack: [{attack: attack}]}},
    )
    page = Page(html.render(hostile, images))
    assert "script" not in {tag for tag, _ in page.tags}
    assert len([tag for tag, _ in page.tags if tag == "img"]) == len(images)
    assert page.text.count(f"{attack}0") == 2


def test_a_colour_that_is_no_colour_becomes_grey(report, images):
    hostile = replace(report, profiles=report.profiles.assign(color="red;position:fixed"))
    page = Page(html.render(hostile, images))
    styles = {attributes["style"] for _, attributes in page.tags if "style" in attributes}
    assert styles == {"background:#9aa5b1"}


def test_the_same_report_gives_the_same_page(build_report, images):
    assert html.render(build_report(), images) == html.render(build_report(), images)


def test_missing_numbers_are_dashes_and_never_nan(report, images):
    kinds = ("recency", "frequency", "monetary", "customers_before", "revenue_recent")
    numbers = [column for column in report.profiles if column.startswith(kinds)]
    profiles = report.profiles.assign(**dict.fromkeys(numbers, np.nan), action=None, recommendation=None)
    exploration = report.exploration.iloc[:0]
    diagnostics = report.k_diagnostics.assign(inertia=np.nan, gap=np.nan, votes=None, vetoes=None)
    drift = report.drift.assign(psi=np.nan)
    missing = replace(report, profiles=profiles, exploration=exploration, k_diagnostics=diagnostics, drift=drift)
    page = Page(html.render(missing, images))
    assert not re.search(r"\b(nan|None|NaT)\b", page.text)
    assert page.table("segments")["VIP Customers"][2:] == ["\N{EN DASH}"] * 5


def test_a_report_without_diagnostics_or_days_still_renders(report, images):
    frames = ("k_diagnostics", "days", "exploration", "rfm_groups", "rfm_grid", "migration", "drift")
    bare = replace(report, **{frame: getattr(report, frame).iloc[:0] for frame in frames})
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
