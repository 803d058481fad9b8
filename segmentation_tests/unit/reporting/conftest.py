"""Synthetic report data of any size, from seeded random numbers."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from segmentation_pipeline.reporting.data import FEATURES, SCALES, ReportData

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


def exploration_frame(random: np.random.Generator, customers: int = 4_333) -> pd.DataFrame:
    """Statistics of log-normal features, before and after standardised logarithms."""
    measured = {
        "recency_days": random.exponential(92, customers).clip(0, 373).round(),
        "frequency": random.geometric(0.24, customers).astype(float),
        "monetary": random.lognormal(6.5, 1.2, customers),
    }
    logs = {feature: np.log1p(values) for feature, values in measured.items()}
    transformed = {feature: (values - values.mean()) / values.std() for feature, values in logs.items()}
    rows: list[tuple[str, str, str, str, float, float, float]] = []
    for scale, features in zip(SCALES, (measured, transformed), strict=True):
        frame = pd.DataFrame(features)
        for feature in FEATURES:
            rows += _statistics(frame[feature], feature, scale)
            for method in ("pearson", "spearman"):
                matrix = frame.rank().corr() if method == "spearman" else frame.corr()
                rows += [
                    ("correlation", feature, scale, f"{method}:{other}", np.nan, np.nan, matrix.loc[feature, other])
                    for other in FEATURES
                    if other != feature
                ]
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


def diagnostics_frame(k: int) -> pd.DataFrame:
    """Two algorithms over 2 to 8; Ward is never chosen, and 7 and 8 are vetoed."""
    rows = [
        {
            "algorithm": algorithm,
            "k": candidate,
            "inertia": scale * 10_500 / candidate**0.8,
            "silhouette": 0.44 / scale - 0.025 * candidate,
            "smallest_share": 0.32 / candidate,
            "is_elbow": candidate == k,
            "vetoes": "smallest segment 1.2 % is under the 2 % floor" if candidate > 6 else "",
            "is_chosen": candidate == k and algorithm == "kmeans",
            "reason": f"K-Means with {k} segments was chosen because the elbow proposes {k} and nothing vetoes it.",
        }
        for algorithm, scale in (("kmeans", 1.0), ("ward", 1.12))
        for candidate in range(2, 9)
    ]
    return pd.DataFrame(rows)


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
        "recommendation": f"Write to {name} once a month, and see who answers before spending more on them.",
    }  # fmt: skip
    for feature, median in medians.items():
        row |= {
            f"{feature}_median": median,
            f"{feature}_p25": 0.6 * median,
            f"{feature}_p75": 1.9 * median,
            f"{feature}_centre": -standing if feature == "recency_days" else standing,
        }
    return row


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
    return ReportData(
        shop="Gifts & More",
        currency="GBP",
        as_of=FIRST_DAY + timedelta(days=days - 1),
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
        component_shares=(0.72, 0.19),
        model={
            "version": 3,
            "algorithm": "kmeans",
            "k": k,
            "as_of": FIRST_DAY + timedelta(days=days - 1),
            "fitted_on_customers": int(profiles["customers"].sum()) - net_zero_customers,
            "features": list(FEATURES),
            "silhouette": 0.337,
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
