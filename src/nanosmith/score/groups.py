"""Texts about people of one group, rewritten for other groups: names, words with a gender, identity terms."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.resources import files
from random import Random
from typing import Literal, TypeAlias

import msgspec

GROUPS_FILE = "groups.toml"
NO_NOUN = "a|an|the|my|this|to|for|from|at|on|in|with|by|about|and|or|that|if|when|because|is|was|some|not"
BEFORE_NOUN = re.compile(rf"\s+(?!(?:{NO_NOUN})\b)[^\W\d]", re.IGNORECASE)

Gender: TypeAlias = Literal["male", "female"]
Rewrites: TypeAlias = dict[str, str]
"""The same text for each group of an axis."""


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file of terms: `names` by gender and origin, further `known` names and paired `words` by gender, and
    `identity` terms by axis."""

    names: dict[Gender, dict[str, tuple[str, ...]]]
    known: dict[Gender, tuple[str, ...]]
    words: dict[Gender, tuple[str, ...]]
    identity: dict[str, tuple[str, ...]]


@cache
def terms() -> Terms:
    """The terms that come along, read once."""
    content = files("nanosmith.score").joinpath(GROUPS_FILE).read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(content), Terms)


class Axis(msgspec.Struct, frozen=True):
    """One way in which people differ. `found` rewrites the terms that a text has, for every group (empty where it has
    none); `introduced` puts a sentence with such a term before any text."""

    name: str
    found: Callable[[str, Random], Rewrites]
    introduced: Callable[[str, Random], Rewrites]


def axes() -> tuple[Axis, ...]:
    """Gender, origin of the first name, and each axis of identity terms."""
    identity = (Axis(name, _identity_found(names), _identity_introduced(names))
                for name, names in terms().identity.items())  # fmt: skip
    return Axis("gender", _gender_found, _gender_introduced), Axis("name", _name_found, _name_introduced), *identity


def _gender_found(text: str, random: Random) -> Rewrites:
    """Names and words of the other gender in place of the text's own; each gender once."""
    if not (_names()[0].search(text) or _gendered()[0].search(text)):
        return {}
    pick = random.randrange(2**16)
    return {gender: _gender_words(_rename(text, pick, gender=gender), gender) for gender in ("male", "female")}


def _gender_introduced(text: str, random: Random) -> Rewrites:
    origin, pick = random.choice(sorted(terms().names["male"])), random.randrange(2**16)
    return {gender: f"My name is {_pick(terms().names[gender][origin], pick)}. {text}" for gender in ("male", "female")}


def _name_found(text: str, random: Random) -> Rewrites:
    """Names of each origin, of the same gender, in place of the text's own."""
    if not _names()[0].search(text):
        return {}
    pick = random.randrange(2**16)
    return {origin: _rename(text, pick, origin=origin) for origin in terms().names["male"]}


def _name_introduced(text: str, random: Random) -> Rewrites:
    names, pick = terms().names[random.choice(("male", "female"))], random.randrange(2**16)
    return {origin: f"My name is {_pick(names[origin], pick)}. {text}" for origin in names}


def _identity_found(names: tuple[str, ...]) -> Callable[[str, Random], Rewrites]:
    pattern = re.compile(rf"(?:\b(an?)(\s+))?\b({_either(names)})\b", re.IGNORECASE)

    def rewrite(text: str, random: Random) -> Rewrites:
        if not pattern.search(text):
            return {}
        return {name: pattern.sub(partial(_with_article, name), text) for name in names}

    return rewrite


def _identity_introduced(names: tuple[str, ...]) -> Callable[[str, Random], Rewrites]:
    return lambda text, random: {name: f"I am {name}. {text}" for name in names}


def _with_article(name: str, match: re.Match[str]) -> str:
    article, space, found = match.groups()
    name = _in_case_of(found, name)
    if not article:
        return name
    right = "an" if name[0].lower() in "aeiou" and not name.lower().startswith("eu") else "a"
    return (right.capitalize() if article[0].isupper() else right) + space + name


@cache
def _names() -> tuple[re.Pattern[str], Mapping[str, tuple[Gender, str]]]:
    """What finds a first name, and gender and origin of each by its lower-case form."""
    found: dict[str, tuple[Gender, str]] = {}
    for gender, known in terms().known.items():
        found |= {name.lower(): (gender, "European") for name in known}
    for gender, origins in terms().names.items():
        found |= {name.lower(): (gender, origin) for origin, names in origins.items() for name in names}
    return re.compile(rf"\b(?:{_either(found)})\b", re.IGNORECASE), found


def _rename(text: str, pick: int, *, gender: Gender | None = None, origin: str | None = None) -> str:
    """Other names, of this gender or origin; what is not given stays as it is."""
    pattern, known = _names()
    order = list(dict.fromkeys(match[0].lower() for match in pattern.finditer(text)))

    def other(match: re.Match[str]) -> str:
        name = match[0].lower()
        own_gender, own_origin = known[name]
        names = terms().names[gender or own_gender][origin or own_origin]
        return _in_case_of(match[0], _pick(names, pick + order.index(name)))

    return pattern.sub(other, text)


@cache
def _gendered() -> tuple[re.Pattern[str], Mapping[Gender, Mapping[str, str]]]:
    """What finds a word with a gender, and its form for either gender; his, him, her and hers are not in the lists."""
    male, female = (terms().words[gender] for gender in ("male", "female"))
    forms: dict[Gender, Mapping[str, str]] = {
        "male": dict(zip(female, male)),
        "female": dict(zip(male, female)),
    }
    return re.compile(rf"\b(?:{_either([*male, *female, 'his', 'him', 'her', 'hers'])})\b", re.IGNORECASE), forms


def _gender_words(text: str, gender: Gender) -> str:
    pattern, forms = _gendered()

    def other(match: re.Match[str]) -> str:
        word, rest = match[0].lower(), text[match.end() :]
        if word in ("his", "him", "her", "hers"):
            return _in_case_of(match[0], _pronoun(word, gender, before_noun=bool(BEFORE_NOUN.match(rest))))
        return _in_case_of(match[0], forms[gender].get(word, word))

    return pattern.sub(other, text)


def _pronoun(word: str, gender: Gender, *, before_noun: bool) -> str:
    """English has one form where the other gender has two; a word that may be a noun behind it decides."""
    if gender == "female":
        return {"him": "her", "his": "her" if before_noun else "hers"}.get(word, word)
    return {"hers": "his", "her": "his" if before_noun else "him"}.get(word, word)


def _pick(names: tuple[str, ...], pick: int) -> str:
    return names[pick % len(names)]


def _either(words: Mapping[str, object] | list[str] | tuple[str, ...]) -> str:
    """An alternative of a pattern per word, longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _in_case_of(pattern: str, word: str) -> str:
    """In small letters or in capitals where `pattern` is; else as the word is written, or with a capital."""
    if pattern.islower():
        return word.lower()
    return word.upper() if pattern.isupper() and len(pattern) > 1 else word[:1].upper() + word[1:]
