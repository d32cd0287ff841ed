"""Personal data in texts: patterns, confirmed by a checksum wherever the number has one.

What looks like several things is taken for the first of DETECTORS. Names and addresses are not looked for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nanosmith.data.audit import checksums

NEAR_CHARS = 40  # in which a word must stand before a number that has no telling form
CHECKED, FORMED, LOOSE = 0.99, 0.9, 0.7  # how sure: by a checksum or a strict form; by a form; by a loose form
_SEPARATORS = re.compile(r"[\s./()-]+")
# Nothing below fits where this does not: an @, six digits with little between them, an IPv4 or IPv6 address.
_MAYBE = re.compile(r"@|(?:[0-9][^0-9]{0,3}){5}[0-9]|[0-9]\.[0-9]{1,3}\.[0-9]|[0-9a-fA-F]:[0-9a-fA-F:]*:")


class Found(NamedTuple):
    """Personal data of one kind at text[start:end]; `certainty` in 0–1."""

    kind: str
    start: int
    end: int
    certainty: float


class _Detector(NamedTuple):
    """`check` takes the match without separators; `words` must stand shortly before it, where they are given."""

    kind: str
    pattern: re.Pattern[str]
    certainty: float
    check: Callable[[str], bool] | None = None
    words: re.Pattern[str] | None = None


def _detector(
    kind: str, pattern: str, certainty: float, check: Callable[[str], bool] | None = None, words: str | None = None,
    *, edges: bool = True,
) -> _Detector:  # fmt: skip
    """`edges`: no letter, digit or hyphenated digit touches the match."""
    whole = rf"(?<![\w@])(?<![0-9][.-])(?:{pattern})(?![\w@]|[.-][0-9])" if edges else pattern
    flags = re.ASCII | re.IGNORECASE
    before = re.compile(rf"\b(?:{words})", flags) if words else None
    return _Detector(kind, re.compile(whole, flags), certainty, check, before)


def _is_public_ip(text: str) -> bool:
    """An address of a machine, not of a loop, a mask or nothing; documentation and private ranges count too."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or address.is_multicast or text.startswith("255."))


def _is_phone(text: str) -> bool:
    digits = "".join(filter(str.isdigit, text))
    return 8 <= len(digits) <= 15 and len(set(digits)) > 2


_IBAN = "|".join(
    rf"{country}[0-9]{{2}}(?:[ -]?[a-z0-9]){{{length - 4}}}" for country, length in checksums.IBAN_LENGTHS.items()
)
DETECTORS = (
    _detector("email", r"(?<![\w.+-])[\w.+%-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}\b", CHECKED, edges=False),
    _detector("iban", _IBAN, CHECKED, checksums.iban),
    _detector("card", r"[0-9](?:[ -]?[0-9]){12,18}", CHECKED, checksums.card),
    _detector("us_ssn", r"[0-9]{3}([ -])[0-9]{2}\1[0-9]{4}", FORMED, checksums.us_ssn),
    _detector("us_ssn", r"[0-9]{9}", FORMED, checksums.us_ssn, r"ssn|social security"),
    _detector("de_tax_id", r"[1-9][0-9](?: ?[0-9]{3}){3}", FORMED, checksums.de_tax_id),
    _detector("de_insurance", r"[0-9]{2} ?[0-9]{6} ?[a-z] ?[0-9]{3}", CHECKED, checksums.de_insurance),
    _detector("uk_nino", r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?[0-9]{2}){3} ?[A-D]",
              FORMED),
    _detector("uk_nhs", r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", FORMED, checksums.uk_nhs, "nhs"),
    _detector("fr_nir", r"[12](?:[ -]?[0-9]{2}){2}[ -]?(?:[0-9]{2}|2[ab])(?:[ -]?[0-9]{3}){2}[ -]?[0-9]{2}", CHECKED,
              checksums.fr_nir),
    _detector("es_id", r"[XYZ]?-?[0-9]{7,8}-?[a-z]", FORMED, lambda text: len(text) == 9 and checksums.es_id(text)),
    _detector("it_fiscal_code", r"[a-z]{6}[0-9]{2}[a-ehlmprst][0-9]{2}[a-z][0-9]{3}[a-z]", CHECKED,
              checksums.it_fiscal_code),
    _detector("ch_ahv", r"756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}", CHECKED, checksums.ch_ahv),
    _detector("br_cpf", r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", CHECKED, checksums.br_cpf),
    _detector("pl_pesel", r"[0-9]{11}", FORMED, checksums.pl_pesel, "pesel"),
    _detector("nl_bsn", r"[0-9]{4}[. ]?[0-9]{2}[. ]?[0-9]{3}", FORMED, checksums.nl_bsn, "bsn|burgerservice|sofi"),
    _detector("ca_sin", r"[1-79][0-9]{2}([ -])[0-9]{3}\1[0-9]{3}", FORMED, checksums.luhn),
    _detector("in_aadhaar", r"[2-9][0-9]{3}(?: [0-9]{4}){2}", FORMED, checksums.in_aadhaar),
    _detector("in_aadhaar", r"[2-9][0-9]{11}", FORMED, checksums.in_aadhaar, "aadhaar|uidai"),
    _detector("ip", r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}", FORMED, _is_public_ip),
    _detector("ip", r"(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}", FORMED, _is_public_ip),
    _detector("phone", r"(?<![\w+])(?<![0-9] )(?:\+|00)[1-9](?:[ ./()-]{0,2}[0-9]){7,14}(?!\w)", FORMED, _is_phone,
              edges=False),
    _detector("phone", r"(?<!\w)(?:1[ .-]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}(?!\w)",
              FORMED, _is_phone, edges=False),
    _detector("phone", r"(?<!\w)\(?0[1-9][0-9]{1,4}\)?[ /-][0-9](?:[ -]?[0-9]){4,8}(?![\w-])", LOOSE, _is_phone,
              edges=False),
    _detector("phone", r"(?<!\w)0[1-9](?:[ .][0-9]{2}){4}(?!\w)", LOOSE, _is_phone, edges=False),
    _detector("phone", r"[0-9](?:[ ./-]?[0-9]){6,14}", LOOSE, _is_phone,
              r"phone|mobile|cell|call me|text me|fax|whatsapp|tel\b|telefon|handy|mobil"),
)  # fmt: skip
KINDS = tuple(dict.fromkeys(detector.kind for detector in DETECTORS))
_KEEPS_SEPARATORS = ("ip", "phone", "email")


def find_pii(text: str) -> list[Found]:
    """Personal data in a text, in order, without overlaps."""
    if not _MAYBE.search(text):
        return []
    taken: list[Found] = []
    for detector in DETECTORS:
        for one in _matches(detector, text):
            if all(one.end <= other.start or one.start >= other.end for other in taken):
                taken.append(one)
    return sorted(taken, key=lambda one: one.start)


def mask_pii(text: str) -> str:
    """The text with each find replaced by its kind, such as [email]."""
    for one in reversed(find_pii(text)):
        text = f"{text[: one.start]}[{one.kind}]{text[one.end :]}"
    return text


def masked(text: str, found: Found) -> str:
    """Enough of a find to recognise it, never the whole: `j…@…com`, `…1111`."""
    value = text[found.start : found.end]
    if found.kind == "email":
        return f"{value[0]}…@…{value.rsplit('.', 1)[-1]}"
    return f"…{value[-2:]}"


def _matches(detector: _Detector, text: str) -> Iterator[Found]:
    for match in detector.pattern.finditer(text):
        value = match[0] if detector.kind in _KEEPS_SEPARATORS else _SEPARATORS.sub("", match[0])
        before = text[max(0, match.start() - NEAR_CHARS) : match.start()]
        if (detector.check is None or detector.check(value)) and (
            detector.words is None or detector.words.search(before)
        ):
            yield Found(detector.kind, match.start(), match.end(), detector.certainty)
