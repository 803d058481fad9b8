"""Text of a source: blanks and the words that mean "nothing".

Belongs here: what counts as no value. Does not: reading numbers or moments (cleaning.py, dating.py).
"""

import re
from collections.abc import Sequence
from functools import reduce

import ibis
import ibis.expr.types as ir

# Begins what stands in the place of an id that was taken out of a raw row (forgetting.py): it reads as nobody's.
FORGOTTEN = "forgotten:"

DIGIT = "[0-9]"
PLAIN_ID = "^[A-Za-z]*[0-9][0-9A-Za-z]*$"


def known(text: ir.StringValue, null_tokens: Sequence[str]) -> ir.StringValue:
    """The text without blanks around it, or null where it is empty or one of `null_tokens`."""
    return meant(text.strip(), null_tokens)


def known_customer(text: ir.StringValue, null_tokens: Sequence[str]) -> ir.StringValue:
    """Likewise of a customer, who is nobody after being forgotten."""
    return meant_customer(text.strip(), null_tokens)


def meant(trimmed: ir.StringValue, null_tokens: Sequence[str]) -> ir.StringValue:
    """A text without blanks around it, or null where it is empty or one of `null_tokens`."""
    nothing = reduce(lambda told, token: told | (trimmed == token), null_tokens, trimmed == "")
    return nothing.ifelse(None, trimmed)


def meant_customer(trimmed: ir.StringValue, null_tokens: Sequence[str]) -> ir.StringValue:
    """Likewise of a customer, who is nobody after being forgotten."""
    return trimmed.startswith(FORGOTTEN).ifelse(None, meant(trimmed, null_tokens))


def is_no_word(text: ir.StringValue, null_tokens: Sequence[str]) -> ir.BooleanValue:
    """Whether a text that has a digit is none of the tokens; hardly any shop has one with a digit."""
    alike = [token for token in null_tokens if re.search(DIGIT, token)]
    return reduce(lambda told, token: told & (text.strip() != token), alike, ibis.literal(True))


def is_surely_known(trimmed: ir.StringValue, null_tokens: Sequence[str], pattern: str = DIGIT) -> ir.BooleanValue:
    """Whether a text without blanks around it is known at a glance, as nearly all are: it matches, and is none of the tokens.

    An engine finds this once for each different text, where `meant` goes through the tokens row by row. What is not known
    at a glance may be known all the same.

    Args:
        trimmed: The text.
        null_tokens: Words that mean "nothing".
        pattern: Has a digit, so that no text without one matches.
    """
    alike = [token for token in null_tokens if re.search(pattern, token)]
    return reduce(lambda told, token: told & (trimmed != token), alike, trimmed.re_search(pattern))
