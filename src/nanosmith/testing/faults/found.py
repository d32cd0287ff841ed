"""What comes of a fault: an outcome, or what was found."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

import msgspec

SHOWN = 5

Tick: TypeAlias = Callable[[int, int], None]
"""Told how many of how many times a fault was done."""


def unheard(_done: int, _total: int) -> None:
    """A Tick for those who do not listen."""


class Outcome(msgspec.Struct, frozen=True):
    """A fault that found nothing: it was done `times`, and `checked` things that were acknowledged were found again."""

    times: int
    checked: int


class Findings(msgspec.Struct):
    """What is wrong, in words: what was acknowledged and is lost, what is there twice, and anything else."""

    lost: list[str] = []
    duplicates: list[str] = []
    wrong: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.lost or self.duplicates or self.wrong)

    def raise_if_any(self) -> None:
        """Raises FaultFound."""
        if self:
            raise FaultFound(self)


class FaultFound(AssertionError):
    """Something was lost, is there twice, half there, or written by whom it must not be."""

    def __init__(self, found: Findings) -> None:
        self.found = found
        named = {"lost": found.lost, "duplicate": found.duplicates, "wrong": found.wrong}
        super().__init__("; ".join(f"{len(what)} {name}: {_listed(what)}" for name, what in named.items() if what))


class NotPossible(Exception):
    """This machine cannot do the fault; the message says what is missing and the remedy."""


def _listed(what: Collection[str]) -> str:
    shown = ", ".join(list(what)[:SHOWN])
    return f"{shown} and {len(what) - SHOWN} more" if len(what) > SHOWN else shown
