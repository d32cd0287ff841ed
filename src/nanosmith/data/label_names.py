"""Label names as examples: `card_arrival` is nearly a query about the arrival of a card."""

from __future__ import annotations

import re

SEPARATORS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")  # also before the capitals of camelCase
LETTERS = 3  # of the longest word; shorter names are codes


def text_of_name(label: str) -> str | None:
    """The words of a label, or None where it has none: `order_food_2` gives "order food 2", `A7` None."""
    words = [word for word in SEPARATORS.split(label) if word]
    if not any(len(word) >= LETTERS and word.isalpha() for word in words):
        return None
    return " ".join(word if word.isupper() and len(words) > 1 else word.lower() for word in words)
