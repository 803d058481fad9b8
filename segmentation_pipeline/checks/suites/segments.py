"""Suites of the model and the segments: sane, named, complete, adding up.

Belongs here: declarations. Does not: measuring (core/profiling/), judging (judging.py).
"""

from segmentation_pipeline.checks.expectations import (
    Advice,
    Expectation,
    at_most,
    between,
    equal,
    in_set,
    none_of,
    not_null,
    total,
    unique,
)
from segmentation_pipeline.settings import Settings

SUM_OF_SHARES = (1 - 1e-9, 1 + 1e-9)
ONE_MEASURE = ["quantile", "moment", "histogram", "correlation", "outlier", "score_table"]


def feature_exploration(_settings: Settings) -> list[Expectation]:
    """What must hold of the statistics of the features."""
    again = "Look at rfm_features of the day for infinite or missing values; materialize both again."
    return [
        in_set("measures_are_known", "measure", ONE_MEASURE, Advice("No other statistics are computed.", again)),
        unique("statistics_are_told_apart", ["date", "measure", "feature", "scale", "item"],
               Advice("Two values of one statistic contradict each other.", again)),
    ]  # fmt: skip


def k_diagnostics(_settings: Settings) -> list[Expectation]:
    """What must hold of the sweep over k."""
    return [
        not_null("inertia_is_finite", "finite_inertia",
                 Advice("A clustering without a finite inertia has broken down.",
                        "Look at feature_exploration: a feature holds infinite or missing values.")),
        between("silhouettes_are_possible", "silhouette", -1, 1, "critical",
                Advice("A silhouette is between -1 and 1 by definition.", "Report this with the table k_diagnostics.")),
        unique("fits_are_told_apart", ["algorithm", "k"],
               Advice("One row per algorithm and number of segments.", "Report this with the table k_diagnostics.")),
        total("one_k_is_chosen", "chosen", 1, "critical",
              Advice("The policy chooses one algorithm and one k.",
                     "Report this with the table k_diagnostics; set model.k until it is mended.")),
        total("choice_is_not_vetoed", "chosen_despite_vetoes", 0, "warning",
              Advice("The chosen k is vetoed: it was given, or all others are too. The gate of the model has the same limits.",
                     "Read the vetoes in k_diagnostics; try another k or algorithm, or lower the limit that is named.")),
    ]  # fmt: skip


def segmentation_model(settings: Settings) -> list[Expectation]:
    """What must hold of a model before it is put in force; else the one before stays."""
    kept = "The model in force stays. "
    floor = settings.model
    return [
        not_null("centres_are_finite", "finite_centre",
                 Advice("A centre that is not a number takes every customer or none.",
                        kept + "Look at feature_exploration for infinite or missing values.")),
        Expectation("features_vary", "expect_column_values_to_not_be_null", {"column": "varying_scale"}, "warning",
                    "A feature that is the same for nearly all customers tells none of them apart.",
                    "Leave the feature out of model.features, or fit on a later day."),
        unique("coordinates_are_told_apart", ["segment_id", "feature"],
               Advice("Two centres of one segment cannot both be right.", kept + "Report this with the table.")),
        equal("k_is_as_chosen", "k", "chosen_k",
              Advice("The model has as many segments as were chosen.",
                     kept + "There are fewer distinct customers than segments: set model.k lower.")),
        between("no_segment_is_tiny", "smallest_segment_share", floor.min_segment_share, None, "critical",
                Advice("A segment of a handful of customers is an outlier with a name; no campaign can use it.",
                       kept + "Read k_diagnostics for a k without one; set model.k, or lower model.min_segment_share.")),
        between("segments_are_apart", "silhouette", floor.min_silhouette, None, "critical",
                Advice("Segments that overlap say little about a customer.",
                       kept + "Read k_diagnostics; set model.k, or lower model.min_silhouette.")),
        between("segments_are_stable", "stability", floor.min_stability, None, "critical",
                Advice("Segments that change when the customers are drawn again would change from refit to refit.",
                       kept + "Choose another k or algorithm, or lower model.min_stability.")),
        between("agrees_with_model_in_force", "agreement", floor.min_agreement, None, "critical",
                Advice("A model that parts the same customers quite differently means that the data broke, or the shop changed.",
                       kept + "Look at rfm_features and segment_drift of the day for what changed; if it is real, run "
                       "refit_model with promote: always.")),
    ]  # fmt: skip


def customer_segments(settings: Settings) -> list[Expectation]:
    """What must hold of the scored customers, against their features."""
    again = "Materialize rfm_features and customer_segments of the day again, in one run."
    return [
        equal("every_customer_is_scored", "matched_customers", "customers_with_features",
              Advice("Every customer with features has a segment.", again)),
        equal("nobody_else_is_scored", "matched_customers", "customers",
              Advice("A customer with a segment and no features was forgotten, or never there.", again)),
        equal("every_customer_has_one_segment", "rows", "customers",
              Advice("A customer in two segments gets two campaigns.", again)),
        none_of("every_segment_has_a_name", "unnamed_customers",
                Advice("A customer without a segment's name reaches no campaign and no report.",
                       "Run refit_model; the stored model lacks a name.", "unnamed")),
        at_most("one_model_scored_them", "model_versions", 1, "critical",
                Advice("Segments of two models cannot be compared.", again)),
        none_of("scores_are_possible", "impossible_scores",
                Advice("RFM scores are 1 to 5, for every customer in a segment.", again)),
        at_most("no_segment_has_everybody", "largest_segment_share", settings.quality.max_segment_share, "warning",
                Advice("When nearly everybody is in one segment, the model no longer tells customers apart.",
                       "Run refit_model on this day, and compare k_diagnostics with those of the model in force.")),
    ]  # fmt: skip


def segment_migration(_settings: Settings) -> list[Expectation]:
    """What must hold of the flows between two days, against the day's snapshot."""
    again = "Materialize customer_segments and segment_migration of the day again, in one run."
    return [
        between("everybody_came_from_somewhere", "uncompared_customers", 0, 0, "critical",
                Advice("The flows into the segments are all customers of the segments.", again)),
        equal("revenue_of_flows_is_that_of_segments", "uncompared_revenue", "no_revenue",
              Advice("The flows carry every penny of the day's segments.", again)),
        none_of("nobody_is_gone", "customers_gone",
                Advice("A customer who was known on the earlier day is known on every later one.",
                       "See whether files were removed from the source; run the pipeline over all days again.")),
    ]  # fmt: skip


def segment_drift(settings: Settings) -> list[Expectation]:
    """How far the customers may move from those the model was fitted on."""
    limits = settings.drift
    return [
        unique("each_is_measured_once", ["date", "kind", "name"],
               Advice("Two indices of one feature contradict each other.", "Materialize segment_drift of the day again.")),
        at_most("customers_are_as_when_fitted", "drifted_psi", limits.warn, "warning",
                Advice("The customers are no longer distributed as when the model was fitted.",
                       "Watch it; in the report, see which feature moves. Raise drift.warn if this is the season.")),
        at_most("model_still_fits", "drifted_psi", limits.act, "warning",
                Advice("The customers have changed so much that the segments mean something else now.",
                       "Run refit_model; it is put in force if it is better.")),
    ]  # fmt: skip


def segment_profiles(_settings: Settings) -> list[Expectation]:
    """What must hold of the segments' descriptions."""
    again = "Materialize customer_segments and segment_profiles of the day again."
    return [
        unique("every_name_is_used_once", ["date", "segment"],
               Advice("Two segments of one name cannot be told apart by whoever acts on them.",
                      "Correct model.archetypes and run refit_model.")),
        not_null("every_segment_is_named", "segment",
                 Advice("A segment without a name reaches no campaign.", "Run refit_model; the stored model lacks a name.")),
        equal("customers_add_up", "day_customers", "scored_customers",
              Advice("The segments' customers are all customers that were scored.", again)),
        between("customer_shares_add_up", "day_customer_share", *SUM_OF_SHARES, "critical",
                Advice("The shares of a day's segments add up to 1.", again)),
        between("revenue_shares_add_up", "day_revenue_share", *SUM_OF_SHARES, "critical",
                Advice("The revenue shares of a day's segments add up to 1.", again)),
    ]  # fmt: skip
