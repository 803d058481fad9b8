"""Promotion: two models on the same customers, and what is done about it in one sentence."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from math import comb

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score

from segmentation_pipeline.core.clustering.preprocessing import Scaling, fit_scaling, transform
from segmentation_pipeline.core.clustering.promotion import Comparison, compare, decision, segments_of
from segmentation_pipeline.core.clustering.scoring import RFM, Segment, SegmentationModel

# Where customers are along log1p of monetary, and log1p of frequency.
MONETARY = np.array([0.0, 0.4, 1.6, 2.3, 3.6, 4.0])
FREQUENCY = np.array([0.7, 2.0, 0.8, 2.1, 0.9, 2.2])
CUSTOMERS = pd.DataFrame(
    {"customer_id": list("fedcba"), "monetary": np.expm1(MONETARY), "frequency": np.expm1(FREQUENCY)}
)


def model_of(centres, ids: Sequence[int], scalings: Sequence[Scaling]) -> SegmentationModel:
    segments = sorted(
        (
            Segment(number, f"segment {number}", "#000000", "do", tuple(centre))
            for number, centre in zip(ids, centres, strict=True)
        ),
        key=lambda segment: segment.segment_id,
    )
    return SegmentationModel(tuple(scalings), tuple(segments), {}, np.eye(2, len(scalings)), (0.5, 0.5), (), (), {})


def along(feature: str, *centres: float, ids: Sequence[int]) -> SegmentationModel:
    """A model of one feature, in plain logarithms."""
    return model_of([[centre] for centre in centres], ids, [Scaling(feature, 0.0, 1e9, 0.0, 1.0)])


OLD = along("monetary", 0.0, 4.0, ids=(1, 2))  # parts at 2
OLD_IDS = [1, 1, 1, 2, 2, 2]
NEW = along("monetary", 0.0, 2.0, 4.0, ids=(1, 3, 2))  # part at 1 and at 3
NEW_IDS = [1, 1, 3, 3, 2, 2]


# --- segments of customers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "ids"), [(OLD, OLD_IDS), (NEW, NEW_IDS)])
def test_every_customer_has_the_id_of_the_nearest_centre(model, ids):
    assert segments_of(model, CUSTOMERS).to_dict() == dict(zip("fedcba", ids, strict=True))


# --- compare ----------------------------------------------------------------------------------------------------------


def test_agreement_is_scikit_learns_on_the_segments_of_the_same_customers():
    assert compare(NEW, OLD, CUSTOMERS, 42).agreement == pytest.approx(adjusted_rand_score(OLD_IDS, NEW_IDS), abs=1e-12)


def test_agreement_by_counting_pairs():
    """Of 15 pairs the old model keeps 6 together and the new one 3, two of them in both."""
    by_chance = 6 * 3 / comb(6, 2)
    expected = (2 - by_chance) / ((6 + 3) / 2 - by_chance)
    assert compare(NEW, OLD, CUSTOMERS, 42).agreement == pytest.approx(expected, abs=1e-12)


def test_the_moved_are_those_whose_id_differs():
    assert compare(NEW, OLD, CUSTOMERS, 42).moved_share == 2 / 6


def test_silhouettes_are_scikit_learns_of_both():
    found = compare(NEW, OLD, CUSTOMERS, 42)
    assert found.silhouette == pytest.approx(silhouette_score(MONETARY[:, None], NEW_IDS), rel=1e-9)
    assert found.silhouette_in_force == pytest.approx(silhouette_score(MONETARY[:, None], OLD_IDS), rel=1e-9)
    assert found.is_better_by(0) == (found.silhouette > found.silhouette_in_force)


def test_silhouettes_of_both_are_in_the_coordinates_of_the_challenger():
    challenger = along("frequency", 0.8, 2.1, ids=(1, 2))
    found = compare(challenger, OLD, CUSTOMERS, 42)
    assert found.silhouette == pytest.approx(silhouette_score(FREQUENCY[:, None], [1, 2] * 3), rel=1e-9)
    assert found.silhouette_in_force == pytest.approx(silhouette_score(FREQUENCY[:, None], OLD_IDS), rel=1e-9)
    assert found.agreement == pytest.approx(adjusted_rand_score(OLD_IDS, [1, 2] * 3), abs=1e-12)
    assert found.is_better_by(0)


def test_a_model_is_no_better_than_itself():
    found = compare(NEW, NEW, CUSTOMERS, 42)
    assert (found.agreement, found.moved_share) == (1, 0)
    assert found.silhouette == found.silhouette_in_force
    assert not found.is_better_by(0)


@pytest.mark.parametrize("ids", list(permutations((4, 5, 6, 7))))
def test_other_ids_for_the_same_segments_move_customers_and_make_nothing_better(shoppers, ids):
    scalings = fit_scaling(shoppers, RFM, 0.005)
    centres = transform(shoppers, scalings)[[0, 100, 200, 300]]
    found = compare(model_of(centres, ids, scalings), model_of(centres, (4, 5, 6, 7), scalings), shoppers, 42)
    assert found.agreement == 1
    assert (found.moved_share == 0) == (ids == (4, 5, 6, 7))
    assert found.silhouette == found.silhouette_in_force
    assert not found.is_better_by(0)


def test_either_may_be_better_but_not_both():
    there, back = compare(NEW, OLD, CUSTOMERS, 42), compare(OLD, NEW, CUSTOMERS, 42)
    assert there.is_better_by(0) != back.is_better_by(0)
    assert (there.agreement, there.moved_share) == (back.agreement, back.moved_share)
    assert (there.silhouette, there.silhouette_in_force) == (back.silhouette_in_force, back.silhouette)


def test_anything_is_better_than_a_model_that_puts_everyone_in_one_segment():
    found = compare(OLD, along("monetary", 0.0, 500.0, ids=(1, 2)), CUSTOMERS, 42)
    assert found.silhouette_in_force == -1
    assert found.agreement == 0
    assert found.is_better_by(0)


# --- decision ---------------------------------------------------------------------------------------------------------

BETTER = Comparison(agreement=0.9, moved_share=0.1, silhouette=0.4567, silhouette_in_force=0.4)
EQUAL = replace(BETTER, silhouette=0.4)
WORSE = replace(BETTER, silhouette=0.25)
NEVER = "Kept and not put in force, as asked (promote: never)."
FIRST = "Put in force: there was no model before it."


@pytest.mark.parametrize(
    ("comparison", "promote", "is_put_in_force", "why"),
    [
        (BETTER, "never", False, NEVER),
        (WORSE, "never", False, NEVER),
        (None, "never", False, NEVER),
        (None, "if_better", True, FIRST),
        (None, "always", True, FIRST),
        (BETTER, "if_better", True,
         "Put in force: its segments are farther apart (silhouette 0.457 against 0.400 on the same customers)."),
        (EQUAL, "if_better", False,
         "Kept and not put in force: its segments are not farther apart by more than 0.005 "
         "(silhouette 0.400 against 0.400 on the same customers)."),
        (WORSE, "if_better", False,
         "Kept and not put in force: its segments are not farther apart by more than 0.005 "
         "(silhouette 0.250 against 0.400 on the same customers)."),
        (BETTER, "always", True,
         "Put in force as asked (promote: always); silhouette 0.457 against 0.400 on the same customers."),
        (WORSE, "always", True,
         "Put in force as asked (promote: always); silhouette 0.250 against 0.400 on the same customers."),
    ],
)  # fmt: skip
def test_the_decision_and_why(comparison, promote, is_put_in_force, why):
    assert decision(comparison, promote, 0.005) == (is_put_in_force, why)


@pytest.mark.parametrize("agreement", [1.0, 0.0])
def test_agreement_is_no_part_of_it_for_that_is_the_gates(agreement):
    comparison = replace(BETTER, agreement=agreement)
    assert decision(comparison, "if_better", 0.005) == decision(BETTER, "if_better", 0.005)
