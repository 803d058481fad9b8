"""The shape of the configuration's `quality` section: thresholds of the checks, and a shop's own expectations.

Belongs here: names, units and limits of thresholds. Does not: the checks that use them (checks/suites/).
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from segmentation_pipeline.settings.section import Section, Share

Severity = Literal["critical", "warning", "info"]
Factor = Annotated[float, Field(gt=1)]
Hours = Annotated[float, Field(gt=0, le=24)]


class OwnExpectation(Section):
    """An expectation of the shop's own: any of Great Expectations' types, on a column of a stage's profile."""

    stage: str
    """Asset whose profile it judges, such as clean_transactions; docs/data-quality.md lists them with their columns."""
    type: str
    """Name in Great Expectations, such as expect_column_values_to_be_between."""
    arguments: dict[str, Any]
    """Its arguments, such as {column: revenue, min_value: 1000}."""
    severity: Severity = "warning"
    """critical: a day that fails it is not let through; warning and info: it is, and shown."""
    name: str | None = Field(
        None, pattern=r"^[a-z][a-z0-9_]*$", description="Of the check; from type and column if unset."
    )
    why: str = "An expectation of this shop (quality.expectations in its configuration)."
    """What goes wrong where it does not hold, for whoever reads the failed check."""
    remedy: str = "Look at the days listed; correct the source, or the expectation in the configuration."
    """What to do then."""


class Quality(Section):
    """When the checks between the stages fail. A day that fails a critical one is not let through."""

    baseline_weeks: Annotated[int, Field(ge=2, le=52)] = Field(
        8, description="How far back a day's usual values are looked for."
    )
    min_baseline_weeks: Annotated[int, Field(ge=1)] = Field(
        3,
        description="Earlier weeks it takes before a day's rows are compared with those of its weekday; for other "
        "comparisons, twice as "
        "many earlier days.",
    )
    min_rows: Annotated[int, Field(ge=1)] = Field(
        50,
        description="On a day with fewer rows, shares are not judged, and only its number of rows is compared with other days.",
    )
    min_rows_share: Share = Field(
        0.05,
        description="On a day with a smaller share of the usual rows, prices, quantities and hours are not compared.",
    )
    min_volume_ratio: Share = Field(0.3, description="Rows against the usual ones of the weekday: fewer is a warning.")
    max_volume_ratio: Factor = Field(4.0, description="Rows against the usual ones of the weekday: more is a warning.")
    max_duplicate_share: Share = Field(
        0.25, description="Share of raw rows that are copies: above it the day is held back."
    )
    max_missing_share: Share = Field(
        0.5, description="Share of raw rows without a mapped column's value: above it the day is held back."
    )
    max_guest_share: Share = Field(
        0.98, description="Share of raw rows without a customer: above it the day is held back."
    )
    max_guest_share_rise: Share = Field(0.5, description="Share of guests above the usual one: more is a warning.")
    max_order_size_factor: Factor = Field(
        10.0, description="Rows per order, and orders per customer, against the usual: above it the day is held back."
    )
    max_new_country_share: Share = Field(
        0.1, description="Share of rows from countries not seen lately: more is a warning."
    )
    max_new_product_pattern_share: Share = Field(
        0.1, description="Share of rows whose product id looks new: more is a warning."
    )
    warn_quarantined_share: Share = Field(0.25, description="Share of quarantined rows: more is a warning.")
    max_quarantined_share: Share = Field(0.5, description="Share of quarantined rows: above it the day is held back.")
    max_return_share: Share = Field(0.5, description="Share of returns among goods: above it the day is held back.")
    max_price_factor: Factor = Field(
        5.0, description="Median price against the usual: further away, up or down, the day is held back."
    )
    max_quantity_factor: Factor = Field(
        10.0, description="Median quantity against the usual: further away, up or down, is a warning."
    )
    max_hour_shift: Hours = Field(
        3.0, description="Hours by which a day's first lines may move before the day is held back."
    )
    max_early_end_hours: Hours = Field(
        4.0, description="Hours by which a day's last line may come early before it is a warning."
    )
    max_midnight_share_rise: Share = Field(
        0.5, description="Share of lines at exactly midnight above the usual one: more is a warning."
    )
    max_unmatched_return_share: Share = Field(
        0.9, description="Share of money given back without a sale to match: more is a warning."
    )
    max_days_without_order: Annotated[int, Field(ge=1)] = Field(
        14, description="Days since the last order of anybody: more is a warning that the feed has stopped."
    )
    max_segment_share: Share = Field(0.95, description="Share of customers in one segment: more is a warning.")
    severities: dict[str, Severity] = Field(
        default_factory=dict,
        description="Other severities than the default ones, by check: {raw_transactions.volume_is_usual: critical}.",
    )
    expectations: tuple[OwnExpectation, ...] = ()
    """The shop's own expectations."""

    @model_validator(mode="after")
    def _weeks_are_looked_for(self) -> Self:
        if self.min_baseline_weeks > self.baseline_weeks:
            raise ValueError(
                f"min_baseline_weeks ({self.min_baseline_weeks}) is more than baseline_weeks ({self.baseline_weeks}), "
                "so no day would ever be compared; lower the one or raise the other"
            )
        return self
