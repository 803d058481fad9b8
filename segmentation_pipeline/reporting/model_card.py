"""The model card as text: labels, and values however deep they are nested.

Belongs here: how each kind of value reads. Does not: layout (templates/section_model.html.j2).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from numbers import Integral, Real

from segmentation_pipeline.reporting import wording

Node = dict[str, object]
"""What a value is shown as: `kind` is "text" (`text`), "pairs" (`rows` of label and node) or "items" (`items`)."""

_LABELS = {"k": "Segments (k)", "as_of": "Fitted as of"}


def rows(card: Mapping[str, object]) -> list[tuple[str, Node]]:
    """Each entry's label and value, in the order the card gives."""
    return [(_label(key), _node(str(key), value)) for key, value in card.items()]


def _label(key: object) -> str:
    return _LABELS.get(str(key), wording.feature_name(key))


def _node(key: str, value: object) -> Node:
    if isinstance(value, Mapping) and value:
        return {"kind": "pairs", "rows": rows({str(inner): each for inner, each in value.items()})}
    if _is_list(value):
        items = list(value)  # type: ignore[call-overload]
        if any(isinstance(item, Mapping) or _is_list(item) for item in items):
            return {"kind": "items", "items": [_node(key, item) for item in items]}
        return {"kind": "text", "text": wording.sentence(", ".join(_text(key, item) for item in items))}
    return {"kind": "text", "text": wording.ABSENT if isinstance(value, Mapping) else _text(key, value)}


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _text(key: str, value: object) -> str:  # noqa: PLR0911 - one line for each kind of value reads best
    if key == "algorithm":
        return wording.algorithm_name(value)
    if key == "features":
        return wording.feature_name(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date):
        return wording.long_date(value)
    if key == "as_of" and isinstance(value, str):
        return wording.long_date(date.fromisoformat(value))
    if isinstance(value, Integral):
        return str(int(value)) if key == "seed" else wording.count(int(value))
    if isinstance(value, Real):
        return wording.share(float(value)) if key.endswith(("_share", "_shares")) else _decimal(float(value))
    return wording.sentence(value)


def _decimal(value: float) -> str:
    """Three decimals, and none where there is nothing behind the point but zeros in a number of any size."""
    return wording.fixed(value, 0 if value.is_integer() and abs(value) >= 10 else 3)
