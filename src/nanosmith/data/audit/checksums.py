"""Checksums of numbers that name an account or a person. Each takes the characters without separators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

CARD_BRANDS = (  # first digits from, to, and the lengths of that brand (ISO/IEC 7812; the brands' published ranges)
    ("4", "4", (13, 16, 19)), ("51", "55", (16,)), ("2221", "2720", (16,)), ("34", "34", (15,)), ("37", "37", (15,)),
    ("300", "305", (14,)), ("36", "36", (14,)), ("38", "39", (14,)), ("3528", "3589", (16,)), ("6011", "6011", (16,)),
    ("644", "649", (16,)), ("65", "65", (16,)), ("62", "62", (16, 17, 18, 19)),
)  # fmt: skip
IBAN_LENGTHS = {  # of the SWIFT IBAN registry
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
SPANISH_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
FISCAL_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
INSURANCE_WEIGHTS = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
PESEL_WEIGHTS = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)
# Verhoeff 1969, "Error detecting decimal codes": the dihedral group of order 10, and the powers of its permutation.
DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
PERMUTATION = "1576283094"


def luhn(digits: str) -> bool:
    """ISO/IEC 7812: every second digit from the right is doubled."""
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 * (d > 9) for d in doubled) % 10 == 0


def card(digits: str) -> bool:
    """A number of a brand that exists, by Luhn."""
    known = any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in CARD_BRANDS)
    return known and luhn(digits)


def iban(text: str) -> bool:
    """ISO 13616: the length of the country, and 1 modulo 97."""
    text = text.upper()
    if len(text) != IBAN_LENGTHS.get(text[:2]):
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def us_ssn(digits: str) -> bool:
    """The ranges that the Social Security Administration gives out; two numbers are known from advertisements."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    given_out = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
    return given_out and digits not in ("078051120", "219099999")


def de_tax_id(digits: str) -> bool:
    """Steuer-ID: of the first ten digits one occurs twice or three times, and ISO/IEC 7064 MOD 11,10."""
    counts = sorted(Counter(digits[:10]).values(), reverse=True)
    if digits[0] == "0" or counts[0] not in (2, 3) or counts[1] != 1:
        return False
    product = 10
    for d in digits[:10]:
        product = ((int(d) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def de_insurance(text: str) -> bool:
    """Versicherungsnummer: the letter counts as two digits, cross sums of the weighted digits modulo 10."""
    digits = text[:8] + f"{ord(text[8].upper()) - 64:02d}" + text[9:]
    weighted = [int(d) * weight for d, weight in zip(digits, INSURANCE_WEIGHTS)]
    return "01" <= text[4:6] <= "12" and sum(d // 10 + d % 10 for d in weighted) % 10 == int(digits[12])


def fr_nir(text: str) -> bool:
    """Numéro de sécurité sociale: 97 minus the number modulo 97; Corsica's letters stand for digits."""
    number = text[:13].upper().replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(text[13:])


def es_id(text: str) -> bool:
    """DNI and NIE: the letter is the number modulo 23."""
    number = text[:-1].upper().translate(str.maketrans("XYZ", "012"))
    return SPANISH_LETTERS[int(number) % 23] == text[-1].upper()


def it_fiscal_code(text: str) -> bool:
    """Codice fiscale: odd and even places count differently, modulo 26."""
    places = [int(c, 36) - (10 if c.isalpha() else 0) for c in text[:15]]
    total = sum(FISCAL_ODD[place] if i % 2 == 0 else place for i, place in enumerate(places))
    return chr(65 + total % 26) == text[15].upper()


def pl_pesel(digits: str) -> bool:
    """Weights modulo 10; the century is added to the month."""
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    return 1 <= month <= 12 and 1 <= day <= 31 and -_weighted(digits, PESEL_WEIGHTS) % 10 == int(digits[10])


def nl_bsn(digits: str) -> bool:
    """Burgerservicenummer: weights 9 to 2, then -1, modulo 11."""
    return int(digits) > 0 and _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def uk_nhs(digits: str) -> bool:
    """NHS number: weights 10 to 2 modulo 11."""
    return -_weighted(digits, range(10, 1, -1)) % 11 == int(digits[9]) and len(set(digits)) > 2


def ch_ahv(digits: str) -> bool:
    """AHV number: EAN-13."""
    return -_weighted(digits, (1, 3) * 6) % 10 == int(digits[12])


def br_cpf(digits: str) -> bool:
    """Cadastro de Pessoas Físicas: two check digits modulo 11."""
    first, second = (_weighted(digits, range(n, 1, -1)) * 10 % 11 % 10 for n in (10, 11))
    return digits[9:] == f"{first}{second}" and len(set(digits)) > 1


def in_aadhaar(digits: str) -> bool:
    """Aadhaar: Verhoeff."""
    check, permuted = 0, digits[::-1]
    for i, d in enumerate(permuted):
        place = int(d)
        for _ in range(i % 8):
            place = int(PERMUTATION[place])
        check = int(DIHEDRAL[check][place])
    return check == 0


def _weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(d) * weight for d, weight in zip(digits, weights))
