"""Archetypes: the names segments can get, and where the typical customer of each stands.

Belongs here: the catalogue. Does not: giving names to clusters (core/naming.py).
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

NET_ZERO = "Net zero"
"""The name of those outside the model, whose net spend is nothing."""

Coordinate = Annotated[float, Field(allow_inf_nan=False)]


class Archetype(BaseModel):
    """A name a segment can get, where its typical customer stands, and what to do about it.

    `recency`, `frequency` and `monetary` are standardised (0 = average customer, 1 = one standard deviation);
    a high recency means bought lately. Figures have letters for names in Latin, Greek and Cyrillic.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    recency: Coordinate
    frequency: Coordinate
    monetary: Coordinate
    color: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]
    action: str

    @field_validator("name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value == NET_ZERO:
            raise ValueError(f"{NET_ZERO} is the name of customers outside the model; choose another one")
        return value


DEFAULT_ARCHETYPES = (
    Archetype(
        name="VIP Customers", recency=1.0, frequency=1.5, monetary=1.4, color="#0B6E4F",
        action="Protect: personal service, early access, no discounts needed.",
    ),
    Archetype(
        name="Loyal Mid-Spenders", recency=-0.2, frequency=0.3, monetary=0.4, color="#3A7CA5",
        action="Grow: bundles and a loyalty programme to raise the value of an order.",
    ),
    Archetype(
        name="Recent Low Spenders", recency=0.8, frequency=-0.3, monetary=-0.5, color="#F2A541",
        action="Develop: a welcome series and a reason for the next order within 30 days.",
    ),
    Archetype(
        name="At-Risk / Churned", recency=-0.8, frequency=-0.8, monetary=-0.8, color="#B23A48",
        action="Win back: one reactivation offer, then stop spending on those who do not answer.",
    ),
    Archetype(
        name="Lapsing Big Spenders", recency=-0.7, frequency=0.9, monetary=1.2, color="#7A4B94",
        action="Call: find out why they stopped; a return of one is worth many new customers.",
    ),
    Archetype(
        name="New Customers", recency=1.3, frequency=-1.0, monetary=-0.2, color="#F6D55C",
        action="Welcome: make the second order easy; most value is decided here.",
    ),
    Archetype(
        name="One-Time Big Spenders", recency=-0.3, frequency=-1.0, monetary=0.8, color="#8D6A9F",
        action="Follow up: show what goes with what they bought.",
    ),
    Archetype(
        name="Frequent Bargain Buyers", recency=0.4, frequency=0.8, monetary=-0.6, color="#5FAD56",
        action="Steer: minimum order values and multi-buys instead of discounts.",
    ),
    Archetype(
        name="Champions", recency=1.3, frequency=2.2, monetary=2.2, color="#06402B",
        action="Honour: ask for reviews and referrals; invite them to choose new products.",
    ),
    Archetype(
        name="Fading Regulars", recency=-0.6, frequency=0.2, monetary=0.0, color="#C06C84",
        action="Remind: replenishment messages at their own interval between orders.",
    ),
    Archetype(
        name="Promising Customers", recency=0.5, frequency=0.1, monetary=0.1, color="#4FB0C6",
        action="Encourage: show the best sellers of what they bought first.",
    ),
    Archetype(
        name="Lost Low Spenders", recency=-1.5, frequency=-1.0, monetary=-1.3, color="#6C757D",
        action="Let go: no paid channels; keep them in the yearly newsletter.",
    ),
    Archetype(
        name="Occasional Buyers", recency=-0.3, frequency=-0.4, monetary=-0.4, color="#9C8F5B",
        action="Nudge: seasonal reminders; one good reason to come back a year.",
    ),
    Archetype(
        name="Recent Regulars", recency=0.9, frequency=0.5, monetary=0.4, color="#2E8BC0",
        action="Deepen: a next category that goes with what they buy; early loyalty points.",
    ),
    Archetype(
        name="Slipping Big Spenders", recency=0.0, frequency=0.8, monetary=1.1, color="#5C4D7D",
        action="Check in: ask by name what they need next, before they are gone.",
    ),
    Archetype(
        name="Recent One-Time Buyers", recency=0.8, frequency=-1.0, monetary=-0.9, color="#E8A87C",
        action="Introduce: how to use what they bought, and what goes with it.",
    ),
    Archetype(
        name="Lapsed One-Time Buyers", recency=-1.0, frequency=-1.0, monetary=-0.5, color="#A26769",
        action="Try once: one reminder of what they bought, at low cost.",
    ),
    Archetype(
        name="Recent Big-Basket Buyers", recency=0.8, frequency=-0.5, monetary=0.6, color="#3FA796",
        action="Convert: a second order while the first is fresh; dedicated service.",
    ),
)  # fmt: skip
