"""What calls cost, as people read it: names of groups, figures of their sums, and what they do not tell."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec

from nanosmith.core.budget import LOCAL
from nanosmith.core.money import NANO
from nanosmith.score.render import figures
from nanosmith.store.ledger.budgets import Standing
from nanosmith.store.ledger.costs import By, CostGroup
from nanosmith.store.ledger.spending import Sums

HEADINGS = ("spent", "saved", "requests", "tokens in", "tokens out")
NO_NAME = {"route": "(no route)", "key": "(no key)"}


class CostReport(msgspec.Struct, frozen=True):
    """Sums of all calls from `since` on (Unix seconds; 0: all that were kept), each way of grouping them, and how each
    budget stands, by its id."""

    since: int
    created_at: int
    tables: Mapping[By, Sequence[CostGroup]]
    budgets: Sequence[tuple[str, Standing]] = ()

    @property
    def total(self) -> CostGroup:
        summed = Sums()
        for group in self.tables["project"]:
            for name in Sums.__struct_fields__:
                setattr(summed, name, getattr(summed, name) + getattr(group.sums, name))
        return CostGroup(("total",), summed)

    @property
    def local_share(self) -> float:
        """Of all requests, how many were answered here."""
        here = sum(group.sums.requests for group in self.tables["provider"] if group.name[0] == LOCAL)
        return here / max(1, self.total.sums.requests)

    @property
    def notes(self) -> list[str]:
        """What the figures do not tell."""
        unknown, unsettled = self.total.sums.unknown, sum(standing.unsettled for _, standing in self.budgets)
        told = []
        if unknown:
            told.append(f"{unknown:,} requests have no known cost: their models have no price.")
        if unsettled:
            told.append(
                f"Processes that ended without a word held up to {dollars(unsettled)}; it counts as spent in budgets, "
                "and not here (nanosmith budgets release)."
            )
        return told

    @staticmethod
    def name(by: By, group: CostGroup) -> str:
        if by == "day":
            return time.strftime("%Y-%m-%d", time.gmtime(int(group.name[0])))
        return "/".join(part for part in group.name if part) or NO_NAME.get(by, figures.NONE)


def cells(sums: Sums) -> tuple[str, ...]:
    """One figure per heading."""
    counts = (sums.requests, sums.input_tokens, sums.output_tokens)
    return dollars(sums.cost), dollars(sums.saved), *(f"{count:,}" for count in counts)


def dollars(nano: int) -> str:
    return figures.dollars(nano / NANO)
