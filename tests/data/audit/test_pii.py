"""Personal data in texts."""

from __future__ import annotations

import pytest

from nanosmith.data.audit.pii import KINDS, find_pii, mask_pii, masked

FOUND = [
    ("email", "mail john.smith+1@mail.example.com."),
    ("iban", "pay to DE89 3704 0044 0532 0130 00 today"),
    ("iban", "NL91ABNA0417164300"),
    ("card", "my card 4111 1111 1111 1111 was stolen"),
    ("card", "5500-0000-0000-0004"),
    ("us_ssn", "it is 123-45-6789"),
    ("us_ssn", "my social security number: 123456789"),
    ("de_tax_id", "Steuer-ID 86 095 742 719"),
    ("de_insurance", "65 170839 J 003"),
    ("uk_nino", "AB123456C"),
    ("uk_nhs", "NHS 943 476 5919"),
    ("fr_nir", "2 55 08 14 168 025 38"),
    ("es_id", "dni 12345678Z"),
    ("it_fiscal_code", "RSSMRA85T10A562S"),
    ("ch_ahv", "756.9217.0769.85"),
    ("br_cpf", "111.444.777-35"),
    ("pl_pesel", "pesel 44051401359"),
    ("nl_bsn", "bsn 111222333"),
    ("ca_sin", "130 692 544"),
    ("in_aadhaar", "2341 2341 2346"),
    ("ip", "from 203.0.113.7"),
    ("ip", "from 2001:db8::8a2e:370:7334"),
    ("phone", "call +49 151 23456789"),
    ("phone", "(415) 555-2671"),
    ("phone", "07911 123456"),
    ("phone", "tel 5551234567"),
]


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_each_kind_is_found(kind: str, text: str) -> None:
    """Personal data is found once, as its kind, and the mask shows neither all of it nor any of it in a text."""
    (found,) = find_pii(text)
    assert found.kind == kind
    value = text[found.start : found.end]
    assert value not in masked(text, found)
    assert len(masked(text, found)) < len(value)
    assert mask_pii(text) == text.replace(value, f"[{kind}]")


def test_the_examples_show_every_kind() -> None:
    """No kind is left without an example."""
    assert {kind for kind, _ in FOUND} == set(KINDS)


@pytest.mark.parametrize(
    "text",
    [
        "order 1234567890", "card 4111 1111 1111 1112", "version 1.2.3.4.5", "at 10:30:45 on 2026-11-22 14:00",
        "1,234,567.89 euro", "000-12-3456", "127.0.0.1", "std::vector and a::b::c", "isbn 9783161484100",
        "2015 2016 2017 2018", "user@host", "@john", "10 000 000 000", "on 02-11-2026", "12345678A",
    ],
)  # fmt: skip
def test_what_only_looks_like_it(text: str) -> None:
    """Other numbers, and numbers with a wrong checksum, are left alone."""
    assert find_pii(text) == []


def test_several_in_one_text() -> None:
    """All finds of a text are given in order, without overlaps, and masked together."""
    text = "a@b.org, 4111111111111111 and a@b.org"
    assert [one.kind for one in find_pii(text)] == ["email", "card", "email"]
    assert mask_pii(text) == "[email], [card] and [email]"


@pytest.mark.parametrize("piece", ["1", "1 ", "a@", "a.", "12:", "AD12 ", "(0", "1@1.", "+1-"])
@pytest.mark.timeout(60)
def test_long_texts_take_linear_time(piece: str) -> None:
    """A long text that nearly fits a pattern everywhere ends."""
    find_pii(piece * 20_000 + "@")
