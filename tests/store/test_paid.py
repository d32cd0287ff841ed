"""Paid calls of commands and audits: their meter, and the purse of a data folder."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from nanosmith.core.errors import OverBudget
from nanosmith.core.money import NANO, Usage, prices_of
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.ledger.costs import CostRows
from nanosmith.store.ledger.spending import Sums
from nanosmith.store.paid import HomePurse, PurseMeter

PRICES = prices_of(1.0, 2.0)
MOST = 100_000


def meter(purse: HomePurse) -> PurseMeter:
    return purse.meter("openai", "big", PRICES, MOST)


def sums(home: Home) -> Sums:
    with closing(open_ledger(home)) as ledger:
        (group,) = CostRows(ledger.database).groups("model")
    assert group.name == ("openai", "big")
    return group.sums


def test_tries_are_paid_one_by_one(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A try that failed at no charge gives back what it held; each one that answered is booked; one that may have been
    answered counts as the most."""
    monkeypatch.chdir(home.root)
    (home.root / "nanosmith.toml").write_text(f'[budget]\ntotal = "{2 * MOST / NANO:.9f} USD"\n')
    with closing(HomePurse(home)) as purse:
        one = meter(purse)
        for _ in range(5):
            one.before()  # the fifth is the first that is answered
        one.after(Usage(10, 5))
        one.before()
        one.after(None)
        one.close()
        other = purse.meter("openai", "big", PRICES, 2 * MOST)
        with pytest.raises(OverBudget, match="all calls, given once"):
            other.before()
        other.close()
    found = sums(home)
    assert (found.requests, found.cost, found.input_tokens) == (2, 20_000 + MOST, 10)


def test_commands_wait_for_what_others_hold(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where calls under way hold the rest of a budget, the next one begins when they give something back."""
    monkeypatch.chdir(home.root)
    (home.root / "nanosmith.toml").write_text(f'[budget]\ntotal = "{MOST / NANO:.9f} USD"\n')
    with closing(HomePurse(home)) as purse:
        one, other = meter(purse), meter(purse)
        one.before()
        threading.Timer(0.4, one.close).start()
        other.before()
        other.after(Usage(MOST // 2_000, 0))
    assert sums(home).requests == 1


def test_no_ledger_where_nothing_costs(home: Home) -> None:
    """A command that asks nothing paid makes no ledger."""
    HomePurse(home).close()
    assert not home.has_ledger
