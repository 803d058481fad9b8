"""Text of a source: blanks and the words that mean "nothing".

Belongs here: what counts as no value. Does not: reading numbers or moments (cleaning.py, dating.py).
"""

from collections.abc import Sequence

import ibis.expr.types as ir

# Begins what stands in the place of an id that was taken out of a raw row (forgetting.py): it reads as nobody's.
FORGOTTEN = "forgotten:"


def known(text: ir.StringValue, null_tokens: Sequence[str]) -> ir.StringValue:
    """The text without blanks around it, or null where it is empty or one of `null_tokens`."""
    trimmed = text.strip()
    nothing = trimmed == ""
    for token in null_tokens:
        nothing = nothing | (trimmed == token)
    return nothing.ifelse(None, trimmed)


def known_customer(text: ir.StringValue, null_tokens: Sequence[str]) -> ir.StringValue:
    """Likewise of a customer, who is nobody after being forgotten."""
    found = known(text, null_tokens)
    return found.startswith(FORGOTTEN).ifelse(None, found)
