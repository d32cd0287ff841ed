"""Numbers as people write them: with separators, signs, currencies and units, or in words."""

from __future__ import annotations

import re

ONES = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "a": 1, "an": 1,
}  # fmt: skip
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90,
}  # fmt: skip
ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12,
}  # fmt: skip
SCALES = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
WORDS = frozenset((*ONES, *TENS, *ORDINALS, *SCALES))
SUFFIXES = {"k": 1_000, "m": 1_000_000, "mn": 1_000_000, "bn": 1_000_000_000}
GROUPED = r"\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?![\d])(?:[.,]\d+)?"
DIGITS = rf"{GROUPED}|\d+(?:[.,'’]\d+)*"
FIGURE = re.compile(rf"(?<![\w.,])(?P<sign>[-−+]?)(?P<before>[^\w\s.,]?\s?)(?P<digits>{DIGITS}|[.,]\d+)")
THOUSANDS = re.compile(r"\d{1,3}(?P<mark>[.,])(?:\d{2,3}(?P=mark))*\d{3}")
SPACES = str.maketrans("", "", " '’\u00a0\u202f")
MAX_DIGITS = 18  # of a number that is read: more are an identifier


def read_number(text: str, *, comma: bool = False) -> int | float | None:
    """The one number in the text, None where there is none or more than one.

    "1,234.50" and "1.234,50" say themselves what separates; of "1,500" and "1.500" it is `comma` that decides.
    """
    found = list(FIGURE.finditer(text))
    if not found:
        return _in_words(text)
    if len(found) > 1:
        return None
    match = found[0]
    value = _of_digits(match["digits"], comma=comma)
    if value is None:
        return None
    after = text[match.end() :].strip().lower()
    scale = SCALES.get(after) or SUFFIXES.get(after)
    value = value * scale if scale else value
    negative = match["sign"] in ("-", "−") or (text.strip()[:1] == "(" and text.strip()[-1:] == ")")
    return -value if negative else value


def _of_digits(digits: str, *, comma: bool) -> int | float | None:
    digits = digits.translate(SPACES)
    whole, fraction = digits, ""
    sign = _decimal_sign(digits, comma=comma)
    if sign is not None:
        whole, _, fraction = digits.rpartition(sign)
    if ("," in whole or "." in whole) and not THOUSANDS.fullmatch(whole):
        return None
    whole = whole.replace(",", "").replace(".", "")
    if len(whole + fraction) > MAX_DIGITS:
        return None
    return float(f"{whole or '0'}.{fraction}") if sign is not None else int(whole)


def _decimal_sign(digits: str, *, comma: bool) -> str | None:
    """The character that separates the fraction, None where there is no fraction."""
    last = max(",.", key=digits.rfind)
    if last not in digits:
        return None
    other = "." if last == "," else ","
    if other in digits:
        return last if digits.count(last) == 1 else None
    if digits.count(last) > 1:
        return None
    is_usual = last == ("," if comma else ".")
    groups_of_three = re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", digits) is not None
    return last if is_usual or not groups_of_three else None


def _in_words(text: str) -> int | None:
    """ "twenty-one", "a hundred and five", "two thousand"; words around them are units, and left out."""
    words = [word for word in re.split(r"[^a-z]+", text.lower()) if word]
    total, current, met = 0, 0, False
    for i, word in enumerate(words):
        if word in ("a", "an") and words[i + 1 : i + 2] and words[i + 1] not in SCALES:
            continue
        if word in SCALES:
            current = max(current, 1) * SCALES[word]
            if word not in ("hundred", "dozen"):
                total, current = total + current, 0
        elif word in ONES or word in TENS or word in ORDINALS:
            current += ONES.get(word, 0) + TENS.get(word, 0) + ORDINALS.get(word, 0)
        elif word != "and" and met:
            break
        met = met or word in WORDS
    return total + current if met else None
