"""Checksums of account and personal numbers, on published examples."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nanosmith.data.audit import checksums

VALID: list[tuple[Callable[[str], bool], str]] = [
    (checksums.card, "4111111111111111"),
    (checksums.card, "378282246310005"),
    (checksums.card, "5500000000000004"),
    (checksums.iban, "DE89370400440532013000"),
    (checksums.iban, "GB82WEST12345698765432"),
    (checksums.de_tax_id, "86095742719"),
    (checksums.de_insurance, "65170839J003"),
    (checksums.fr_nir, "255081416802538"),
    (checksums.es_id, "12345678Z"),
    (checksums.es_id, "X1234567L"),
    (checksums.it_fiscal_code, "RSSMRA85T10A562S"),
    (checksums.pl_pesel, "44051401359"),
    (checksums.nl_bsn, "111222333"),
    (checksums.uk_nhs, "9434765919"),
    (checksums.ch_ahv, "7569217076985"),
    (checksums.br_cpf, "11144477735"),
    (checksums.in_aadhaar, "234123412346"),
]


@pytest.mark.parametrize(("check", "number"), VALID)
def test_one_wrong_digit_is_noticed(check: Callable[[str], bool], number: str) -> None:
    """A valid number passes, and no other value of one digit does; a Steuer-ID's MOD 11,10 notices that too."""
    assert check(number)
    place = max(i for i, c in enumerate(number[:-1]) if c.isdigit())
    others = [number[:place] + d + number[place + 1 :] for d in "0123456789" if d != number[place]]
    assert not any(check(other) for other in others)


@pytest.mark.parametrize("number", ["000123456", "666123456", "900123456", "123003456", "123450000", "078051120"])
def test_social_security_ranges(number: str) -> None:
    """Numbers that were never given out are none."""
    assert checksums.us_ssn("123456789")
    assert not checksums.us_ssn(number)


def test_cards_have_a_brand() -> None:
    """A number that passes Luhn without a brand's first digits or length is no card."""
    assert checksums.luhn("9999999999999995")
    assert not checksums.card("9999999999999995")
    assert not checksums.card("41111111111111111114")


def test_iban_length_is_the_countrys() -> None:
    """A number of an unknown country, or of another length, is no IBAN."""
    assert not checksums.iban("ZZ89370400440532013000")
    assert not checksums.iban("DE8937040044053201300")
