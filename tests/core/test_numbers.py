"""Numbers as people write them."""

from __future__ import annotations

import pytest

from nanosmith.core.numbers import ONES, TENS, read_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42), ("-3.5", -3.5), ("−7", -7), ("(12.00)", -12.0), ("-$5.00", -5.0), (".5", 0.5),
        ("1,234,567", 1_234_567), ("1.234.567", 1_234_567), ("1,234.50", 1234.5), ("1.234,50 €", 1234.5),
        ("1 250,00", 1250.0), ("1'250", 1250), ("1,5 kg", 1.5), ("1,500", 1500), ("0,500", 0.5), ("3.14159", 3.14159),
        ("USD 5", 5), ("$7.10", 7.1), ("10km", 10), ("3.2 million", 3_200_000), ("5k", 5_000),
        ("", None), ("abc", None), ("1 2", None), ("1.2.3.4,5,6", None), ("12345678901234567890", None),
    ],
)  # fmt: skip
def test_figures(text: str, value: float | None) -> None:
    """Separators, signs, currencies and units are understood; no number and two numbers are none."""
    assert read_number(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1.500", 1500), ("1,500", 1.5), ("1,5", 1.5), ("2.000.000,5", 2_000_000.5)]
)
def test_decimal_comma(text: str, value: float) -> None:
    """With a decimal comma a point separates thousands."""
    assert read_number(text, comma=True) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a hundred and five", 105), ("two thousand three hundred", 2_300), ("Twenty-one people", 21), ("a dozen", 12),
        ("one million", 1_000_000), ("for an order of two", 2), ("and", None), ("a table", None),
    ],
)  # fmt: skip
def test_words(text: str, value: int | None) -> None:
    """Number words are added up; the words around them are left out."""
    assert read_number(text) == value


def test_words_to_a_hundred() -> None:
    """All numbers below a hundred are read."""
    ones = {value: word for word, value in ONES.items() if word not in ("a", "an")}
    tens = {value: word for word, value in TENS.items() if word != "fourty"}
    for number in range(100):
        word = ones.get(number) or f"{tens[number - number % 10]} {ones[number % 10] if number % 10 else ''}"
        assert read_number(word) == number
