"""Figures of small, large and broken data: they render, they are the same each time, and their text can be read."""

import io
import itertools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.captions import CAPTIONS
from segmentation_pipeline.reporting.figures import FIGURES, UI_DPI, png_bytes, preview_bytes
from segmentation_tests.unit.reporting.conftest import FURTHER_FEATURES, exploration_frame

TOLERANCE_PIXELS = 1.0


def drawn_texts(figure: Figure) -> list[Text]:
    """Every text that ends up in the picture: not labels of axes that are off, nor ticks beyond their limits."""
    hidden = set(not_drawn(figure))
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text() and text not in hidden]


def not_drawn(figure: Figure) -> Iterator[Text]:
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if not axes.axison:
                yield axis.label
            low, high = sorted(axis.get_view_interval())
            for tick, place in zip(axis.get_major_ticks(), axis.get_majorticklocs(), strict=False):
                yield tick.label2
                if not axes.axison or not low - 1e-9 <= place <= high + 1e-9:
                    yield tick.label1


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
    return [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > TOLERANCE_PIXELS and min(a.y1, b.y1) - max(a.y0, b.y0) > TOLERANCE_PIXELS
    ]


def cut_off(figure: Figure) -> list[str]:
    page = figure.bbox
    return [
        text.get_text()
        for text in drawn_texts(figure)
        if (box := text.get_window_extent()).x0 < page.x0 - TOLERANCE_PIXELS
        or box.x1 > page.x1 + TOLERANCE_PIXELS
        or box.y0 < page.y0 - TOLERANCE_PIXELS
        or box.y1 > page.y1 + TOLERANCE_PIXELS
    ]


def assert_legible(figure: Figure) -> None:
    image = Image.open(io.BytesIO(png_bytes(figure, UI_DPI))).convert("L")
    assert image.getextrema()[0] < 128, "the picture is blank"
    figure.draw_without_rendering()
    assert overlapping(figure) == []
    assert cut_off(figure) == []


def test_the_measure_of_legibility_finds_what_is_illegible():
    figure = Figure(figsize=(4, 2))
    figure.text(0.2, 0.5, "one over")
    figure.text(0.22, 0.52, "the other")
    figure.text(0.9, 0.1, "beyond the edge")
    assert overlapping(figure) == [("one over", "the other")]
    assert cut_off(figure) == ["beyond the edge"]


@pytest.mark.parametrize("slug", FIGURES)
@pytest.mark.parametrize("k", [2, 4, 12])
def test_every_figure_is_legible_for_any_number_of_segments(build_report, slug, k):
    assert_legible(FIGURES[slug].draw(build_report(k=k)))


@pytest.mark.parametrize("days", [1, 3, 9, 40, 62, 63, 374, 1000])
def test_the_time_axis_is_legible_for_any_number_of_days(build_report, days):
    assert_legible(FIGURES["quality_by_day"].draw(build_report(days=days)))


@pytest.mark.parametrize("days", [1, 2, 40, 374])
def test_drift_is_legible_for_any_number_of_days(build_report, days):
    assert_legible(FIGURES["drift"].draw(build_report(days=days)))


@pytest.mark.parametrize("slug", ["distributions", "correlations"])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_every_feature_that_the_model_is_fitted_on_is_drawn(report, slug, count):
    explored = exploration_frame(np.random.default_rng(1), 500, FURTHER_FEATURES[:count])
    figure = FIGURES[slug].draw(replace(report, exploration=explored))
    assert_legible(figure)
    shown = " ".join(text.get_text() for text in drawn_texts(figure))
    assert [each for each in explored["feature"].unique() if wording.feature_name(each) not in shown] == []


def test_no_two_lines_of_drift_look_alike(report):
    (day,) = report.drift["date"].unique()[-1:]
    names = ["recency_days", "frequency", "monetary", *FURTHER_FEATURES]
    rows = [(each, "feature", name) for name in names for each in (day, day - timedelta(days=60))]
    many = pd.DataFrame([*rows, (day, "segments", "segments")], columns=["date", "kind", "name"])
    figure = FIGURES["drift"].draw(replace(report, drift=many.assign(psi=0.1, level="warn")))
    assert_legible(figure)
    looks = [(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines[: len(names) + 1]]
    assert len(set(looks)) == len(names) + 1


@pytest.mark.parametrize("slug", FIGURES)
def test_every_figure_survives_missing_numbers(report, slug):
    profiles = report.profiles.copy()
    profiles.loc[2, ["recency_days_centre", "frequency_median", "monetary_median", "revenue_share", "revenue"]] = np.nan
    diagnostics = report.k_diagnostics.assign(is_elbow=False, is_chosen=False)
    diagnostics.loc[diagnostics["algorithm"] == "ward", ["inertia", "silhouette"]] = np.nan
    diagnostics.loc[diagnostics["k"] > 5, ["gap", "gap_standard_error", "stability"]] = np.nan
    diagnostics["davies_bouldin"] = np.nan
    exploration = report.exploration.copy()
    exploration.loc[exploration["feature"] == "monetary", "value"] = np.nan
    changes = {
        "profiles": profiles,
        "k_diagnostics": diagnostics,
        "exploration": exploration,
        "days": report.days.assign(revenue=np.nan),
        "rfm_grid": report.rfm_grid.assign(customers=np.nan),
        "drift": report.drift.assign(psi=report.drift["psi"].where(report.drift["name"] != "monetary")),
    }
    assert_legible(FIGURES[slug].draw(replace(report, **changes)))


@pytest.mark.parametrize("slug", FIGURES)
def test_every_figure_says_so_when_there_is_nothing_to_draw(report, slug):
    frames = (
        "days",
        "reasons",
        "exploration",
        "k_diagnostics",
        "profiles",
        "scatter",
        "rfm_grid",
        "migration",
        "drift",
    )
    empty = replace(report, **{frame: getattr(report, frame).iloc[:0] for frame in frames})
    figure = FIGURES[slug].draw(empty)
    assert_legible(figure)
    if slug != "correlations":
        assert any(text.get_text().lower().startswith(("no ", "there are no ")) for text in figure.findobj(Text))


@pytest.mark.parametrize("slug", FIGURES)
def test_long_names_and_dollar_signs_do_not_break_a_figure(report, slug):
    names = {"VIP Customers": "Customers who spend $$ more than $100 each time and whom the house knows by name"}
    renamed = replace(
        report,
        profiles=report.profiles.assign(segment=report.profiles["segment"].replace(names)),
        scatter=report.scatter.assign(segment=report.scatter["segment"].replace(names)),
        migration=report.migration.replace({"from_segment": names, "to_segment": names}),
        rfm_grid=report.rfm_grid.assign(rfm_group=report.rfm_grid["rfm_group"].replace("Lost", names["VIP Customers"])),
    )
    assert_legible(FIGURES[slug].draw(renamed))


@pytest.mark.parametrize("slug", FIGURES)
def test_the_same_data_give_the_same_bytes(build_report, slug):
    first, second = (png_bytes(FIGURES[slug].draw(build_report())) for _ in range(2))
    assert first == second


def test_a_png_carries_no_date_and_no_version(report):
    image = Image.open(io.BytesIO(png_bytes(FIGURES["segment_sizes"].draw(report))))
    assert set(image.info) <= {"dpi"}


def test_drawing_leaves_the_settings_of_the_process_alone(report):
    before = dict(matplotlib.rcParams)
    png_bytes(FIGURES["segment_scatter"].draw(report))
    assert dict(matplotlib.rcParams) == before


def test_settings_of_the_process_do_not_change_a_figure(report):
    expected = png_bytes(FIGURES["segment_profile"].draw(report))
    with matplotlib.rc_context({"font.size": 25, "axes.grid": False, "figure.facecolor": "black"}):
        assert png_bytes(FIGURES["segment_profile"].draw(report)) == expected


def test_segments_keep_their_colours(report):
    axes = FIGURES["segment_sizes"].draw(report).axes[0]
    drawn = [matplotlib.colors.to_hex(bar.get_facecolor()) for bar in axes.patches]
    colors = report.profiles.set_index("segment")["color"]
    assert drawn == [colors[label.get_text()] for label in axes.get_yticklabels()]


def test_bars_are_as_long_as_the_shares(report):
    bars = FIGURES["segment_sizes"].draw(report).axes[1].patches
    assert [bar.get_width() for bar in bars] == pytest.approx([*sorted(report.profiles["revenue_share"])[:0:-1], 0.0])


def test_a_day_without_a_row_leaves_a_gap(build_report):
    report = build_report(days=14)
    known = FIGURES["quality_by_day"].draw(report).axes[0].containers[0]
    missing = [place for place, bar in enumerate(known) if bar.get_height() == 0]
    assert missing == [3, 10, 13]  # closed, closed, and the last day, which has no rows


def test_a_preview_is_the_same_picture_in_half_the_size(report):
    png = png_bytes(FIGURES["segment_sizes"].draw(report))
    picture, preview = (Image.open(io.BytesIO(data)) for data in (png, preview_bytes(png)))
    assert preview.size == tuple(-(-side // 2) for side in picture.size)
    assert preview_bytes(png) == preview_bytes(png)
    difference = np.asarray(picture.resize(preview.size), dtype=float) - np.asarray(preview, dtype=float)
    assert np.abs(difference).mean() < 2


def test_each_index_has_a_panel_that_says_its_own_vote(report):
    figure = FIGURES["index_votes"].draw(report)
    says = dict(axes.get_title(loc="left").split("\n") for axes in figure.axes if axes.axison)
    assert says == {
        "Inertia (elbow)": "says 4",
        "Silhouette": "says 2",
        "Least silhouette": "has no vote",
        "Calinski\N{EN DASH}Harabasz": "says 3",
        "Davies\N{EN DASH}Bouldin": "says 2",
        "Gap": "says 5",
        "Stability": "says 2",
        "Least Jaccard": "has no vote",
    }


def test_the_bic_has_a_panel_where_the_gaussian_mixture_is_chosen(report):
    diagnostics = report.k_diagnostics
    is_chosen = diagnostics["algorithm"].eq("gaussian_mixture") & diagnostics["k"].eq(3)
    figure = FIGURES["index_votes"].draw(replace(report, k_diagnostics=diagnostics.assign(is_chosen=is_chosen)))
    assert "BIC\nsays 6" in [axes.get_title(loc="left") for axes in figure.axes]
    assert_legible(figure)


def test_migration_shows_every_flow_with_new_below_and_gone_to_the_right(report):
    axes = FIGURES["migration"].draw(report).axes[0]
    rows, columns = (
        [label.get_text() for label in labels] for labels in (axes.get_yticklabels(), axes.get_xticklabels())
    )
    assert (rows[0], rows[-2:]) == ("VIP Customers", ["Net zero", "New"])
    assert (columns[0], columns[-2:]) == ("VIP Customers", ["Net zero", "Gone"])
    flows = report.migration.assign(
        row=report.migration["from_segment"].map({name: place for place, name in enumerate(rows)}),
        column=report.migration["to_segment"].map({name.replace("\n", " "): i for i, name in enumerate(columns)}),
    )
    expected = {(row.column + 0.5, row.row + 0.5): f"{row.customers:,}" for row in flows.dropna().itertuples()}
    assert expected.items() <= {text.get_position(): text.get_text() for text in axes.texts}.items()
    assert len(axes.texts) == len(flows)


def test_segments_of_an_earlier_model_have_a_row_too(report):
    flows = report.migration.replace({"from_segment_id": {2: 77}, "from_segment": {"Loyal Mid-Spenders": "Retired"}})
    axes = FIGURES["migration"].draw(replace(report, migration=flows)).axes[0]
    assert "Retired" in [label.get_text() for label in axes.get_yticklabels()]
    assert sum(int(text.get_text().replace(",", "")) for text in axes.texts) == report.migration["customers"].sum()


def test_every_tile_of_the_rfm_grid_has_its_group_and_customers(report):
    axes = FIGURES["rfm_grid"].draw(report).axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert sorted(texts) == sorted(
        [*report.rfm_grid["rfm_group"], *(f"{number:,}" for number in report.rfm_grid["customers"]), "nobody"]
    )


def test_drift_has_a_line_for_each_name_and_both_limits(report):
    axes = FIGURES["drift"].draw(report).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert set(lines) == {"Recency", "Frequency", "Monetary", "Segment sizes", "act from 0.25", "warn from 0.10"}
    assert set(lines["act from 0.25"]) == {0.25}
    assert lines["Recency"].tolist() == report.drift.query("name == 'recency_days'")["psi"].tolist()


def test_every_caption_has_a_figure_in_the_same_order():
    assert list(FIGURES) == list(CAPTIONS)
    assert all(spec.title and spec.caption.endswith(".") and spec.slug == slug for slug, spec in FIGURES.items())


def test_drawing_never_touches_pyplot():
    code = "import sys, segmentation_pipeline.reporting.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
