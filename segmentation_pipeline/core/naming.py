"""Naming segments: which archetype each cluster's centre is nearest to, every name used at most once.

Belongs here: the assignment of names to centres. The catalogue is a setting (settings/archetypes.py).
Does not: finding the centres (clustering/).
"""

from collections.abc import Sequence

import numpy as np

from segmentation_pipeline.settings import Archetype

CORE_ARCHETYPES = 4
NET_ZERO_ID = 0
NET_ZERO_COLOR = "#ADB5BD"
NET_ZERO_ACTION = "Nothing to win back: everything they bought they gave back. Look at why."


def assign(centres: np.ndarray, archetypes: Sequence[Archetype]) -> list[Archetype]:
    """Give each centre one archetype, no archetype twice, so that the distances add up to the least.

    Args:
        centres: (k, 3) standardised recency_days, frequency and monetary of each cluster's centre. NaN stands for a
            feature that is not known, and is left out of the distance.
        archetypes: The catalogue, most general first. Up to four segments get the first four, plain names; for more,
            the whole catalogue competes, so that a name fits rather than comes next.

    Returns:
        One archetype for each row of `centres`.

    Raises:
        ValueError: The catalogue holds fewer names than there are centres.

    Source: assignment by Kuhn (1955), as in `scipy.optimize.linear_sum_assignment`.
    """
    from scipy.optimize import linear_sum_assignment

    if len(archetypes) < len(centres):
        raise ValueError(
            f"{len(archetypes)} archetypes cannot name {len(centres)} segments; add names to model.archetypes"
        )
    candidates = archetypes[:CORE_ARCHETYPES] if len(centres) <= CORE_ARCHETYPES else archetypes
    places = np.array([[-each.recency, each.frequency, each.monetary] for each in candidates])
    distances = np.nansum((centres[:, None, :] - places[None, :, :]) ** 2, axis=2)
    rows, columns = linear_sum_assignment(distances)
    return [candidates[column] for _, column in sorted(zip(rows, columns, strict=True))]
