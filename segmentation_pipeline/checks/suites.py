"""Suites: what must hold after each stage.

Belongs here: declarations, by asset. Does not: measuring (core/profiling.py), judging (judging.py).
"""

from collections.abc import Mapping, Sequence

from segmentation_pipeline.checks.expectations import Expectation

CLEANING_PROFILE = (
    Expectation(
        "expect_column_pair_values_to_be_equal",
        {"column_A": "raw_rows", "column_B": "placed_rows"},
        severity="critical",
        why="Every source row is accepted or quarantined; a row in neither is lost, a row in both is counted twice.",
        remedy="Materialize raw_transactions and clean_transactions of the day again, in one run.",
        name="rows_reconcile",
    ),
    Expectation(
        "expect_column_pair_values_to_be_equal",
        {"column_A": "raw_amount", "column_B": "placed_amount"},
        severity="critical",
        why="The money of the source is the money accepted and the money quarantined, to the penny.",
        remedy="Materialize raw_transactions and clean_transactions of the day again, in one run.",
        name="money_reconciles",
    ),
    Expectation(
        "expect_column_values_to_be_between",
        {"column": "quarantined_share", "max_value": 0.25},
        severity="warning",
        why="A day that loses a quarter of its rows was probably delivered in another form than the configuration says.",
        remedy="Look at reason and failed_rules in quarantined_transactions; run `segmentation check-source`.",
        name="quarantined_share_is_small",
    ),
)

RFM_FEATURES = (
    Expectation(
        "expect_column_pair_values_to_be_equal",
        {"column_A": "rows", "column_B": "customers"},
        severity="critical",
        why="One row per customer, each with an id: a second row would count a customer's money twice.",
        remedy="Look for the customer in customer_orders, and materialize rfm_features of the day again.",
        name="one_row_per_customer",
    ),
    Expectation(
        "expect_column_values_to_be_between",
        {"column": "least_recency_days", "min_value": 0},
        severity="critical",
        why="A negative recency means that the snapshot saw the future.",
        remedy="Materialize customer_orders and rfm_features of the day again.",
        name="recency_is_never_negative",
    ),
    Expectation(
        "expect_column_values_to_be_between",
        {"column": "impossible_rows", "max_value": 0},
        severity="critical",
        why="A customer has a recency exactly if an order was kept, and never a negative frequency.",
        remedy="Materialize customer_returns and rfm_features of the day again.",
        name="recency_and_frequency_agree",
    ),
)

CUSTOMER_SEGMENTS = (
    Expectation(
        "expect_column_pair_values_to_be_equal",
        {"column_A": "customers", "column_B": "customers_with_features"},
        severity="critical",
        why="Every customer with features has exactly one segment.",
        remedy="Materialize rfm_features and customer_segments of the day again, in one run.",
        name="every_customer_has_one_segment",
    ),
    Expectation(
        "expect_column_values_to_be_between",
        {"column": "unnamed_customers", "max_value": 0},
        severity="critical",
        why="A customer without a segment's name reaches no campaign and no report.",
        remedy="Run refit_model; the stored model lacks a name.",
        name="every_segment_has_a_name",
    ),
)

SEGMENT_PROFILES = (
    Expectation(
        "expect_compound_columns_to_be_unique",
        {"column_list": ["date", "segment"]},
        severity="critical",
        why="Two segments of one name cannot be told apart by whoever acts on them.",
        remedy="Correct model.archetypes and run refit_model.",
        name="every_name_is_used_once",
    ),
    Expectation(
        "expect_column_values_to_be_between",
        {"column": "day_customer_share", "min_value": 1 - 1e-9, "max_value": 1 + 1e-9},
        severity="critical",
        why="The shares of a day's segments add up to 1.",
        remedy="Materialize customer_segments and segment_profiles of the day again.",
        name="shares_add_up",
    ),
)

K_DIAGNOSTICS = (
    Expectation(
        "expect_column_values_to_not_be_null",
        {"column": "finite_inertia"},
        severity="critical",
        why="A clustering without a finite inertia has broken down.",
        remedy="Look at feature_exploration: a feature holds infinite or missing values.",
        name="inertia_is_finite",
    ),
    Expectation(
        "expect_column_sum_to_be_between",
        {"column": "chosen", "min_value": 1, "max_value": 1},
        severity="critical",
        why="The policy chooses one algorithm and one k.",
        remedy="Report this with the table k_diagnostics; set model.k until it is mended.",
        name="one_k_is_chosen",
    ),
    Expectation(
        "expect_column_sum_to_be_between",
        {"column": "chosen_despite_vetoes", "max_value": 0},
        severity="warning",
        why="Every k was vetoed, so the segments are small or hardly apart.",
        remedy="Read the vetoes in k_diagnostics; try another algorithm, or accept it by setting model.k.",
        name="choice_is_not_vetoed",
    ),
)

SUITES: Mapping[str, Sequence[Expectation]] = {
    "cleaning_profile": CLEANING_PROFILE,
    "rfm_features": RFM_FEATURES,
    "customer_segments": CUSTOMER_SEGMENTS,
    "segment_profiles": SEGMENT_PROFILES,
    "k_diagnostics": K_DIAGNOSTICS,
}
