"""Synthetic report data of any size, from seeded random numbers."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.reporting.data import FEATURES, SCALES, SCORES, ReportData

FIRST_DAY = date(2010, 12, 1)
COLORS = (
    "#0072b2", "#009e73", "#e69f00", "#d55e00", "#cc79a7", "#56b4e9",
    "#117733", "#882255", "#44aa99", "#999933", "#332288", "#aa4499",
)  # fmt: skip
NAMES = (
    "VIP Customers", "Loyal Mid-Spenders", "Recent Low Spenders", "At-Risk / Churned", "New Big Spenders",
    "Lapsed Loyal Customers", "Bargain Hunters", "One-Off Buyers", "Rare Big Spenders", "Steady Small Spenders",
    "Fading Mid-Spenders", "Long Lost Customers",
)  # fmt: skip
REASONS = (
    ("missing_description", "The line says nothing about the product.", 1454, 1454),
    ("duplicate_line", "The same line was delivered before.", 5268, 5402),
    ("zero_unit_price", "The price is zero, so the line is not a sale.", 2510, 2515),
    ("unknown_product", "The product code is not one of the shop's.", 1_100, 3_200),
)

RFM_GRID = (
    ("New Customers", "Potential Loyalists", "Potential Loyalists", "Champions", "Champions"),
    ("Promising", "Potential Loyalists", "Potential Loyalists", "Loyal Customers", "Loyal Customers"),
    ("About to Sleep", "About to Sleep", "Need Attention", "Loyal Customers", "Loyal Customers"),
    ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
    ("Lost", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
)
FURTHER_FEATURES = (
    "tenure_days", "mean_days_between_orders", "average_order_value", "items_per_order", "distinct_products",
    "return_rate", "recent_revenue_share",
)  # fmt: skip
ALGORITHMS = (("kmeans", 1.0), ("bisecting_kmeans", 1.06), ("ward", 1.12), ("gaussian_mixture", 1.3))
GAP_VOTE = 5
WARN, ACT = 0.1, 0.25


def days_frame(days: int, random: np.random.Generator) -> pd.DataFrame:
    """Days of trade; every seventh is closed and has no row, and the last one is empty."""
    dates = [FIRST_DAY + timedelta(days=offset) for offset in range(days) if days < 7 or offset % 7 != 3]
    raw = random.integers(900, 2_600, len(dates))
    raw[-1] = 0
    quarantined = (raw * random.uniform(0.005, 0.06, len(dates))).astype(int)
    accepted = raw - quarantined
    return pd.DataFrame(
        {
            "date": dates,
            "raw_rows": raw,
            "accepted_rows": accepted,
            "quarantined_rows": quarantined,
            "guest_rows": (accepted * random.uniform(0.15, 0.3, len(dates))).astype(int),
            "revenue": accepted * random.uniform(14.0, 20.0, len(dates)),
        }
    )


def exploration_frame(random: np.random.Generator, customers: int = 4_333, further: Sequence[str] = ()) -> pd.DataFrame:
    """Statistics of log-normal features, before and after standardised logarithms."""
    measured = {
        "recency_days": random.exponential(92, customers).clip(0, 373).round(),
        "frequency": random.geometric(0.24, customers).astype(float),
        "monetary": random.lognormal(6.5, 1.2, customers),
        **{feature: random.lognormal(2, 0.5, customers) for feature in further},
    }
    logs = {feature: np.log1p(values) for feature, values in measured.items()}
    transformed = {feature: (values - values.mean()) / values.std() for feature, values in logs.items()}
    rows: list[tuple[str, str, str, str, float, float, float]] = []
    for scale, features in zip(SCALES, (measured, transformed), strict=True):
        frame = pd.DataFrame(features)
        for feature in measured:
            rows += _statistics(frame[feature], feature, scale)
            for method in ("pearson", "spearman"):
                matrix = frame.rank().corr() if method == "spearman" else frame.corr()
                rows += [
                    ("correlation", feature, scale, f"{method}:{other}", np.nan, np.nan, matrix.loc[feature, other])
                    for other in measured
                    if other != feature
                ]
    rows += _outliers(measured, transformed)
    return pd.DataFrame(rows, columns=["measure", "feature", "scale", "item", "lower", "upper", "value"])


def _statistics(values: pd.Series, feature: str, scale: str) -> list[tuple[str, str, str, str, float, float, float]]:
    heights, edges = np.histogram(values, bins=30)
    moments = {
        "mean": values.mean(),
        "standard_deviation": values.std(),
        "skewness": values.skew(),
        "kurtosis": values.kurt(),
        "share_at_edge": 0.01,
    }
    return [
        *(("histogram", feature, scale, str(i), edges[i], edges[i + 1], float(n)) for i, n in enumerate(heights)),
        *(("moment", feature, scale, item, np.nan, np.nan, float(value)) for item, value in moments.items()),
        *(
            ("quantile", feature, scale, f"{q:g}", np.nan, np.nan, float(values.quantile(q)))
            for q in (0.05, 0.25, 0.5, 0.75, 0.95)
        ),
    ]


Row = tuple[str, str, str, str, float, float, float]


def _outliers(measured: dict[str, np.ndarray], transformed: dict[str, np.ndarray]) -> list[Row]:
    """The ten customers farthest from the average, in no particular order."""
    farthest = np.argsort(sum(values**2 for values in transformed.values()))[-10:]
    return [
        ("outlier", feature, scale, f"c{12_000 + customer}", np.nan, np.nan, float(features[feature][customer]))
        for scale, features in zip(SCALES, (measured, transformed), strict=True)
        for feature in measured
        for customer in sorted(farthest)
    ]


def scores_frame(random: np.random.Generator) -> pd.DataFrame:
    cells = [(recency, frequency) for recency in SCORES for frequency in SCORES if (recency, frequency) != (1, 5)]
    frame = pd.DataFrame(cells, columns=["recency_score", "frequency_score"])
    return frame.assign(customers=random.integers(20, 400, len(cells)))


def diagnostics_frame(k: int) -> pd.DataFrame:
    """Four algorithms over 2 to 8; K-Means is chosen, 7 and 8 are vetoed, and the indices disagree."""
    rows = [
        {
            "algorithm": algorithm,
            "k": candidate,
            "inertia": scale * 10_500 / candidate**0.8,
            "silhouette": 0.44 / scale - 0.025 * candidate,
            "least_silhouette": 0.3 / scale - 0.045 * candidate,
            "calinski_harabasz": 5_200 / scale - 400 * abs(candidate - 3),
            "davies_bouldin": 0.8 * scale + 0.04 * abs(candidate - 2),
            "gap": 1.1 - 0.02 * (candidate - GAP_VOTE) ** 2,
            "gap_standard_error": 0.011,
            "bic": 30_000 - 900.0 * candidate + 70 * candidate**2 if algorithm == "gaussian_mixture" else np.nan,
            "stability": 0.98 / scale - 0.03 * candidate,
            "least_jaccard": 0.95 / scale - 0.05 * candidate,
            "agreement": 1.0 if algorithm == "kmeans" else 0.9 / scale - 0.02 * candidate,
            "smallest_share": 0.32 / candidate,
            "is_elbow": candidate == k,
            "votes": ", ".join(_votes(algorithm, candidate, k)),
            "vetoes": "smallest segment 1.2 % is under the 2 % floor" if candidate > 6 else "",
            "is_chosen": candidate == k and algorithm == "kmeans",
            "reason": f"K-Means with {k} segments was chosen because the elbow proposes {k} and nothing vetoes it.",
        }
        for algorithm, scale in ALGORITHMS
        for candidate in range(2, 9)
    ]
    return pd.DataFrame(rows)


def _votes(algorithm: str, candidate: int, k: int) -> list[str]:
    votes = {
        "elbow": k, "silhouette": 2, "calinski_harabasz": 3, "davies_bouldin": 2, "gap": GAP_VOTE, "stability": 2,
        "bic": 6 if algorithm == "gaussian_mixture" else None,
    }  # fmt: skip
    return [name for name, vote in votes.items() if vote == candidate]


def profiles_frame(k: int, net_zero_customers: int, random: np.random.Generator) -> pd.DataFrame:
    """Segments from best to worst, and Net zero where there are such customers."""
    customers = random.integers(300, 1_600, k)
    revenue = np.sort(random.lognormal(13, 1.0, k))[::-1]
    rows = [
        _profile(place, NAMES[place], COLORS[place], int(customers[place]), float(revenue[place]), 1 - 2 * place / k)
        for place in range(k)
    ]
    if net_zero_customers:
        rows.insert(0, {**_profile(-1, "Net zero", "#9aa5b1", net_zero_customers, 0.0, np.nan), "segment_id": 0})
    frame = pd.DataFrame(rows)
    frame["customer_share"] = frame["customers"] / frame["customers"].sum()
    frame["revenue_share"] = frame["revenue"] / frame["revenue"].sum()
    return frame


def _profile(
    place: int, name: str, color: str, customers: int, revenue: float, standing: float
) -> dict[str, float | str]:
    """One segment; `standing` runs from 1 (best) to -1, or is NaN outside the model."""
    typical = 0.0 if np.isnan(standing) else standing
    medians = {
        "recency_days": round(60 * np.exp(-1.4 * typical)),
        "frequency": round(3 * np.exp(typical)),
        "monetary": 650 * np.exp(1.3 * typical),
    }
    row: dict[str, float | str] = {
        "segment_id": place + 1, "segment": name, "color": color, "customers": customers, "revenue": revenue,
        "customers_before": customers - 12.0 * (place - 1), "revenue_recent": 0.2 * revenue,
        "action": f"Write to {name} once a month.",
        "recommendation": f"The {customers:,} customers of {name} bring GBP {revenue:,.0f}. Write to them once a month, and "
        "see who answers before spending more on them.",
    }  # fmt: skip
    for feature, median in medians.items():
        row |= {
            f"{feature}_median": median,
            f"{feature}_p25": 0.6 * median,
            f"{feature}_p75": 1.9 * median,
            f"{feature}_centre": -standing if feature == "recency_days" else standing,
        }
    return row


def rfm_grid_frame(random: np.random.Generator) -> pd.DataFrame:
    """Every tile but one, in which there is nobody."""
    rows = [
        (recency, value, RFM_GRID[len(SCORES) - recency][value - 1], int(random.integers(15, 520)))
        for recency in SCORES
        for value in SCORES
        if (recency, value) != (1, 5)
    ]
    return pd.DataFrame(rows, columns=["recency_score", "value_score", "rfm_group", "customers"])


def rfm_groups_frame(grid: pd.DataFrame) -> pd.DataFrame:
    """The groups of a grid, from the top right."""
    order = dict.fromkeys(name for row in RFM_GRID for name in reversed(row))
    frame = grid.groupby("rfm_group", as_index=False)["customers"].sum()
    frame = frame.set_index("rfm_group").loc[list(order)].reset_index()
    frame["meaning"] = [f"Customers whom the scores call {name.lower()}." for name in frame["rfm_group"]]
    frame["revenue"] = frame["customers"] * np.linspace(4_000.0, 90.0, len(frame))
    for column in ("customers", "revenue"):
        frame[f"{column.removesuffix('s')}_share"] = frame[column] / frame[column].sum()
    return frame


def migration_frame(profiles: pd.DataFrame, compared_with: date, random: np.random.Generator) -> pd.DataFrame:
    """Moves between every two segments of profiles, from New to all but the first, and from the last to Gone."""
    names = dict(zip(profiles["segment_id"], profiles["segment"], strict=True))
    ids = sorted(names)
    pairs = [(before, after) for before in ids for after in ids]
    pairs += [(-1, after) for after in ids[1:]] + [(ids[-1], -2)]
    names |= {-1: "New", -2: "Gone"}
    rows = []
    for before, after in pairs:
        customers = int(random.integers(300, 900)) if before == after else int(random.integers(1, 90))
        rows.append(
            {
                "compared_with": compared_with,
                "from_segment_id": before,
                "from_segment": names[before],
                "to_segment_id": after,
                "to_segment": names[after],
                "customers": customers,
                "revenue_before": 0.0 if before == -1 else customers * float(random.uniform(100, 4_000)),
                "revenue_after": 0.0 if after == -2 else customers * float(random.uniform(100, 4_000)),
                "reactivated_customers": customers // 10 if before > after > 0 else 0,
                "lost_customers": customers // 5 if 0 < before < after else 0,
            }
        )
    return pd.DataFrame(rows)


def drift_frame(as_of: date, days: int, random: np.random.Generator) -> pd.DataFrame:
    """Drift that grows from nothing; recency is at `ACT` on the last day, and frequency at `WARN`."""
    ends = {"recency_days": 0.31, "frequency": 0.14, "monetary": 0.05, "segments": 0.08}
    rows = []
    for offset in range(days):
        for name, end in ends.items():
            grown = end * (offset + 1) / days
            psi = end if offset == days - 1 else max(0.0, grown + float(random.normal(0, 0.008)))
            rows.append(
                {
                    "date": as_of - timedelta(days=days - 1 - offset),
                    "kind": "segments" if name == "segments" else "feature",
                    "name": name,
                    "psi": psi,
                    "level": "act" if psi >= ACT else "warn" if psi >= WARN else "stable",
                }
            )
    return pd.DataFrame(rows)


def report_data(
    k: int = 4, days: int = 30, net_zero_customers: int = 5, points: int = 400, seed: int = 20111209
) -> ReportData:
    """A report on a made-up shop with `k` segments over `days` days."""
    random = np.random.default_rng(seed)
    by_day = days_frame(days, random)
    profiles = profiles_frame(k, net_zero_customers, random)
    in_model = profiles.loc[profiles["segment_id"] > 0, "segment"].to_numpy()
    member = random.integers(0, k, points)
    guest_lines = int(by_day["guest_rows"].sum())
    as_of = FIRST_DAY + timedelta(days=days - 1)
    grid = rfm_grid_frame(random)
    return ReportData(
        shop="Gifts & More",
        currency="GBP",
        recent_days=90,
        inactive_days=180,
        as_of=as_of,
        first_day=FIRST_DAY,
        days=by_day,
        reasons=pd.DataFrame(REASONS, columns=["reason", "description", "rows", "failed_rows"]),
        exploration=exploration_frame(random),
        k_diagnostics=diagnostics_frame(k),
        profiles=profiles,
        scatter=pd.DataFrame(
            {
                "segment": in_model[member],
                "component_1": 2.2 * np.cos(2 * np.pi * member / k) + random.normal(0, 0.6, points),
                "component_2": 1.2 * np.sin(2 * np.pi * member / k) + random.normal(0, 0.5, points),
            }
        ),
        rfm_groups=rfm_groups_frame(grid),
        rfm_grid=grid,
        scores=scores_frame(random),
        score_cuts={
            "recency_days": (13.0, 33.4, 72.0, 180.0),
            "frequency": (1.0, 1.0, 3.0, 6.0),
            "monetary": (250.5, 489.0, 941.25, 2_057.0),
        },
        migration=migration_frame(profiles, as_of - timedelta(days=30), random),
        drift=drift_frame(as_of, days, random),
        drift_thresholds=(WARN, ACT),
        component_shares=(0.72, 0.19),
        model={
            "version": 3,
            "algorithm": "kmeans",
            "k": k,
            "as_of": as_of,
            "fitted_on_customers": int(profiles["customers"].sum()) - net_zero_customers,
            "features": list(FEATURES),
            "silhouette": 0.337,
            "segment_shares": [0.367, 0.273, 0.36],
            "settings": {"algorithm": "kmeans", "min_k": 2, "max_k": 8, "seed": 20111209, "k": None, "restarts": 10},
            "libraries": {"numpy": "2.4.1", "scikit-learn": "1.9.0"},
            "segments": [{"segment_id": 1, "jaccard": 0.91}, {"segment_id": 2, "jaccard": 0.85}],
            "sample_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
        guests={
            "lines": float(guest_lines),
            "revenue": 1_447_682.12,
            "line_share": guest_lines / max(1, int(by_day["accepted_rows"].sum())),
        },
    )


@pytest.fixture
def build_report() -> Callable[..., ReportData]:
    """The builder of synthetic reports, for tests that choose their size."""
    return report_data


@pytest.fixture(scope="session")
def report() -> ReportData:
    """A report with four segments and Net zero over 30 days."""
    return report_data()
