"""What a report is made of: every statistic it shows, computed elsewhere.

Belongs here: the frames a report needs, their columns and units, and the one order in which segments are shown.
Does not: computing any statistic (core/), drawing (figures.py) or typesetting (html.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

import pandas as pd

FEATURES = ("recency_days", "frequency", "monetary")
SCALES = ("original", "transformed")
NET_ZERO_SEGMENT_ID = 0
NEW_SEGMENT_ID = -1
GONE_SEGMENT_ID = -2
SCORES = (1, 2, 3, 4, 5)

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
            "least_silhouette",
            "calinski_harabasz",
            "davies_bouldin",
            "gap",
            "gap_standard_error",
            "bic",
            "stability",
            "least_jaccard",
            "agreement",
            "smallest_share",
            "is_elbow",
            "votes",
            "vetoes",
            "is_chosen",
            "reason",
        ),
        "profiles": (
            "segment_id",
            "segment",
            "color",
            "customers",
            "customers_before",
            "customer_share",
            "revenue",
            "revenue_recent",
            "revenue_share",
            *_SPREAD,
            "action",
            "recommendation",
        ),
        "scatter": ("segment", "component_1", "component_2"),
        "rfm_groups": ("rfm_group", "meaning", "customers", "customer_share", "revenue", "revenue_share"),
        "rfm_grid": ("recency_score", "value_score", "rfm_group", "customers"),
        "scores": ("recency_score", "frequency_score", "customers"),
        "migration": (
            "compared_with",
            "from_segment_id",
            "from_segment",
            "to_segment_id",
            "to_segment",
            "customers",
            "revenue_before",
            "revenue_after",
            "reactivated_customers",
            "lost_customers",
        ),
        "drift": ("date", "kind", "name", "psi", "level"),
    }
)
"""The columns each frame must have; further ones are ignored."""


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything one report shows, as known at the end of one day.

    Attributes:
        shop: Name of the shop, as readers know it.
        currency: ISO 4217 code of every amount, such as "GBP".
        recent_days: How many days up to the last count as recent.
        inactive_days: A customer whose last order is longer ago is inactive.
        as_of: Last day that counts, in the business time zone.
        first_day: First day of the data behind the report.
        days: One row per day: `date`; `raw_rows`, `accepted_rows`, `quarantined_rows`; `guest_rows` (accepted lines
            without a customer id); `revenue` (accepted sales less returns and adjustments).
        reasons: One row per quarantine reason: `reason` (snake_case id), `description` (one plain sentence), `rows`
            (rows with it as their primary reason), `failed_rows` (rows failing the rule at all).
        exploration: Tidy feature statistics: `measure` is "quantile", "moment", "histogram", "correlation", "outlier" or
            "score_table"; `feature` and `scale` ("original" or "transformed") say of what; `item` is a quantile ("0.05"
            to "0.95"), a moment ("mean", "standard_deviation", "skewness", "kurtosis", "share_at_edge"), a bin number,
            "pearson:<feature>" / "spearman:<feature>", the id of one of the customers farthest from the average, or
            "<recency score>:<frequency score>" (feature "rfm"); `lower` and `upper` are bin edges; `value` is the
            statistic, the customer's value, or the number of customers.
        k_diagnostics: One row per `algorithm` and `k`: `inertia`, `silhouette`, `least_silhouette` (mean of the cluster
            where it is lowest), `calinski_harabasz`, `davies_bouldin`, `gap` and `gap_standard_error`, `bic` (NaN but for
            the Gaussian mixture), `stability` (bootstrap ARI), `least_jaccard` (of the cluster where it is lowest),
            `agreement` (ARI with the chosen algorithm at the same k), `smallest_share` (0 to 1), `is_elbow`; `votes`,
            the names of the indices that would choose this row of their algorithm ("elbow, gap"; see indices.py),
            `vetoes` (both empty when none), `is_chosen`, and `reason`, the same sentence on every row.
        profiles: One row per segment: `segment_id` (0 is Net zero, outside the model), `segment`, `color` (hex),
            `customers`, `revenue` and their shares (0 to 1); `customers_before` (on the day that `migration` compares
            with, NaN when there is none), `revenue_recent` (spent in the last `recent_days`); `_median`, `_p25`, `_p75`
            of each feature in its own unit and `_centre`, the median in standardised units (0 is the average customer);
            `action` (what to do, in short) and `recommendation` (two or three sentences with numbers).
        scatter: A sample of customers: `segment`, `component_1`, `component_2`.
        rfm_groups: One row per RFM group, in the order to show: `rfm_group`, `meaning` (one plain sentence), `customers`,
            `revenue` and their shares (0 to 1).
        rfm_grid: One row per `recency_score` and `value_score` (1 to 5) that has customers: `rfm_group`, `customers`.
        scores: One row per `recency_score` and `frequency_score` (1 to 5) that has customers: `customers`.
        score_cuts: Four ascending cuts per feature, in its own unit: a value above the i-th cut scores more than i;
            for `recency_days`, where less is better, a value above the i-th cut scores less than 6 - i.
        migration: One row per pair of segments that customers moved between, or stayed in, since the day
            `compared_with`: `from_segment_id` (-1 is New), `from_segment`, `to_segment_id` (-2 is Gone), `to_segment`,
            `customers`, `revenue_before`, `revenue_after`, and how many of them are `reactivated_customers` (inactive
            then, active now) or `lost_customers` (the other way round). Empty when there is no earlier day.
        drift: One row per `date`, `kind` ("feature" or "segments") and `name`: `psi` and `level` ("stable", "warn" or
            "act"), up to the report's day, on which it need not have been measured.
        drift_thresholds: PSI from which the level is "warn", and from which it is "act".
        component_shares: Shares of the variance that the two components explain (0 to 1).
        model: Card of the model in force: `version`, `algorithm` and whatever else it has, in the order to show; values
            may be nested.
        guests: Lines without a customer id: `lines`, `revenue`, `line_share` (0 to 1).

    Raises:
        ValueError: A frame lacks columns; the message names the frame and the columns.
    """

    shop: str
    currency: str
    recent_days: int
    inactive_days: int
    as_of: date
    first_day: date
    days: pd.DataFrame
    reasons: pd.DataFrame
    exploration: pd.DataFrame
    k_diagnostics: pd.DataFrame
    profiles: pd.DataFrame
    scatter: pd.DataFrame
    rfm_groups: pd.DataFrame
    rfm_grid: pd.DataFrame
    scores: pd.DataFrame
    score_cuts: Mapping[str, Sequence[float]]
    migration: pd.DataFrame
    drift: pd.DataFrame
    drift_thresholds: tuple[float, float]
    component_shares: tuple[float, float]
    model: Mapping[str, object]
    guests: Mapping[str, float]

    @property
    def explored(self) -> tuple[str, ...]:
        """The features that `exploration` describes: recency, frequency and monetary, and what else the model is fitted on."""
        described = self.exploration.loc[self.exploration["measure"] == "quantile", "feature"]
        return tuple(dict.fromkeys((*FEATURES, *described)))

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
