"""What a report is made of: every statistic it shows, computed elsewhere.

Belongs here: the frames a report needs, their columns and units, and the one order in which segments are shown.
Does not: computing any statistic (core/), drawing (figures.py) or typesetting (html.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

import pandas as pd

FEATURES = ("recency_days", "frequency", "monetary")
SCALES = ("original", "transformed")
NET_ZERO_SEGMENT_ID = 0

_SPREAD = tuple(f"{feature}_{item}" for feature in FEATURES for item in ("median", "p25", "p75", "centre"))

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "days": ("date", "raw_rows", "accepted_rows", "quarantined_rows", "guest_rows", "revenue"),
        "reasons": ("reason", "description", "rows", "failed_rows"),
        "exploration": ("measure", "feature", "scale", "item", "lower", "upper", "value"),
        "k_diagnostics": (
            "algorithm",
            "k",
            "inertia",
            "silhouette",
            "smallest_share",
            "is_elbow",
            "vetoes",
            "is_chosen",
            "reason",
        ),
        "profiles": (
            "segment_id",
            "segment",
            "color",
            "customers",
            "customer_share",
            "revenue",
            "revenue_share",
            *_SPREAD,
            "recommendation",
        ),
        "scatter": ("segment", "component_1", "component_2"),
    }
)
"""The columns each frame must have; further ones are ignored."""


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything one report shows, as known at the end of one day.

    Attributes:
        shop: Name of the shop, as readers know it.
        currency: ISO 4217 code of every amount, such as "GBP".
        as_of: Last day that counts, in the business time zone.
        first_day: First day of the data behind the report.
        days: One row per day: `date`; `raw_rows`, `accepted_rows`, `quarantined_rows`; `guest_rows` (accepted lines
            without a customer id); `revenue` (accepted sales less returns and adjustments).
        reasons: One row per quarantine reason: `reason` (snake_case id), `description` (one plain sentence), `rows`
            (rows with it as their primary reason), `failed_rows` (rows failing the rule at all).
        exploration: Tidy feature statistics: `measure` is "quantile", "moment", "histogram" or "correlation";
            `feature` and `scale` ("original" or "transformed") say of what; `item` is a quantile ("0.05" to "0.95"), a
            moment ("mean", "standard_deviation", "skewness", "kurtosis", "share_at_edge"), a bin number, or
            "pearson:<feature>" / "spearman:<feature>"; `lower` and `upper` are bin edges; `value` is the statistic.
        k_diagnostics: One row per `algorithm` and `k`: `inertia`, `silhouette`, `smallest_share` (0 to 1), `is_elbow`,
            `vetoes` (empty when none), `is_chosen`, and `reason`, the same sentence on every row.
        profiles: One row per segment: `segment_id` (0 is Net zero, outside the model), `segment`, `color` (hex),
            `customers`, `revenue` and their shares (0 to 1); `_median`, `_p25`, `_p75` of each feature in its own unit
            and `_centre`, the median in standardised units (0 is the average customer); `recommendation`.
        scatter: A sample of customers: `segment`, `component_1`, `component_2`.
        component_shares: Shares of the variance that the two components explain (0 to 1).
        model: Card of the model in force: `version`, `algorithm`, `k`, `as_of`, `fitted_on_customers`, `features`,
            `silhouette`.
        guests: Lines without a customer id: `lines`, `revenue`, `line_share` (0 to 1).

    Raises:
        ValueError: A frame lacks columns; the message names the frame and the columns.
    """

    shop: str
    currency: str
    as_of: date
    first_day: date
    days: pd.DataFrame
    reasons: pd.DataFrame
    exploration: pd.DataFrame
    k_diagnostics: pd.DataFrame
    profiles: pd.DataFrame
    scatter: pd.DataFrame
    component_shares: tuple[float, float]
    model: Mapping[str, object]
    guests: Mapping[str, float]

    def __post_init__(self) -> None:
        """Refuse a frame that lacks columns here, where the message can still name it."""
        for name, columns in COLUMNS.items():
            missing = [column for column in columns if column not in getattr(self, name).columns]
            if missing:
                raise ValueError(f"ReportData.{name} lacks the columns {', '.join(missing)}")


def in_display_order(profiles: pd.DataFrame) -> pd.DataFrame:
    """Segments as every table and figure shows them: most revenue first, Net zero last."""
    ordered = profiles.assign(_outside_model=profiles["segment_id"] == NET_ZERO_SEGMENT_ID).sort_values(
        ["_outside_model", "revenue_share", "segment_id"], ascending=[True, False, True], kind="stable"
    )
    return ordered.drop(columns="_outside_model").reset_index(drop=True)
