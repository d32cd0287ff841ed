"""`nanosmith costs` and `nanosmith budgets`: what is shown, set and refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nanosmith.cli.main import app
from nanosmith.core.budget import Call
from nanosmith.core.money import Usage
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.ledger.costs import CostRows
from nanosmith.store.ledger.spending import Spending, Sums
from nanosmith.store.purse import Purse
from nanosmith.store.records import KeyRow, ProjectRow

DAY_S = 86_400
OLD = 1_760_000_400
"""A full hour, long ago."""


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def json_of(*words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = open_ledger(home)
    yield opened
    opened.close()


@pytest.fixture
def spent(ledger: Ledger) -> Ledger:
    """Calls of two models in two projects now, and one of long ago."""
    ledger.add(ProjectRow("proj_a", "acme", 1))
    purse = Purse(ledger.database)
    for project, provider, model, usage, cost in (
        ("default", "openai", "big", Usage(1000, 100, cached=400), 3 * 10**9),
        ("proj_a", "openai", "big", Usage(1000, 100), 10**9),
        ("proj_a", "mistral", "small", Usage(10, 1), 10**6),
    ):
        call = Call(project, "", "support", provider, model)
        purse.settle(purse.reserve(call, cost), usage, cost)
    purse.settle(purse.reserve(Call("proj_a", "", "", "mistral", "free"), None), Usage(5, 5))
    purse.count_local(Call("default", "key_1", "support", "local", "nano"), Usage(50, 1), 2 * 10**9)
    purse.close()
    old = Call("default", "", "support", "openai", "big")
    Spending(ledger.database).settle("old", "x:1", 1, {(OLD, old): Sums(requests=7, cost=5)}, {})
    return ledger


def test_costs_by_model(spent: Ledger) -> None:
    """Models with their provider, the dearest first; the total is that of all rows."""
    found = json_of("costs")
    assert [(group["name"], group["requests"], group["cost_usd"]) for group in found["groups"]] == [
        ("openai/big", 9, 4.000000005), ("mistral/small", 1, 0.001), ("local/nano", 1, 0.0), ("mistral/free", 1, 0.0),
    ]  # fmt: skip
    assert found["groups"][0]["cached_tokens"] == 400
    assert found["groups"][2]["saved_usd"] == 2.0
    assert found["groups"][3]["unknown_cost_requests"] == 1
    assert found["total"] == {
        "requests": 12, "input_tokens": 2065, "cached_tokens": 400, "output_tokens": 207, "cost_usd": 4.001000005,
        "saved_usd": 2.0, "unknown_cost_requests": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("route", ["support", "(no route)"]),
        ("key", ["(no key)", "key_1"]),
        ("project", ["default", "proj_a"]),
        ("provider", ["openai", "mistral", "local"]),
        ("day", [time.strftime("%Y-%m-%d", time.gmtime(OLD)), time.strftime("%Y-%m-%d", time.gmtime())]),
    ],
)
def test_other_sums(spent: Ledger, by: str, names: list[str]) -> None:
    """The same calls by what else they have; days in their order."""
    found = json_of("costs", "--by", by)
    assert [group["name"] for group in found["groups"]] == names
    assert sum(group["requests"] for group in found["groups"]) == 12


def test_a_part_of_the_costs(spent: Ledger) -> None:
    """Of one project, and since some time."""
    assert json_of("costs", "--project", "acme")["total"]["cost_usd"] == 1.001
    assert json_of("costs", "--since", "7d")["total"]["requests"] == 5
    assert json_of("costs", "--since", "2025-01-01")["total"]["requests"] == 12


@pytest.mark.parametrize(
    "words",
    [("--since", "yesterday"), ("--since", "2026-13-01"), ("--project", "nobody"), ("--forget-before", "7x"),
     ("--by", "colour"), ("--html", ".")],
)  # fmt: skip
def test_what_costs_refuses(ledger: Ledger, words: tuple[str, ...]) -> None:
    """A wrong option is exit code 2 with what would do, never a traceback."""
    done = run("costs", *words)
    assert done.exit_code == 2
    assert "Traceback" not in done.output + done.stderr


def test_the_table_and_the_page(spent: Ledger, tmp_path: Path) -> None:
    """The table has the totals and what they do not tell; the page all tables, with what users named escaped."""
    purse = Purse(spent.database)
    purse.settle(purse.reserve(Call("default", "", "<b>x</b>", "openai", "big"), 1), Usage(), 1)
    purse.close()
    run("budgets", "set", "8 USD", "--project", "acme")
    done = run("costs", "--html", str(tmp_path / "costs.html"))
    assert done.exit_code == 0, done.output
    assert "openai/big" in done.stdout
    assert "1 requests have no known cost" in done.stdout
    page = (tmp_path / "costs.html").read_text()
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    for part in ("$4.00 spent, $2.00 saved", "By route", "By day", "project proj_<wbr>a, given once", "12.5 %"):
        assert part in page


def test_nothing_was_spent(ledger: Ledger) -> None:
    """An empty ledger is told as such."""
    assert "Nothing was spent" in run("costs").stdout
    assert json_of("costs")["groups"] == []


def test_old_rows_are_forgotten(spent: Ledger) -> None:
    """Rows older than asked go; budgets that ran keep what they have spent."""
    json_of("budgets", "set", "9 USD", "--route", "support")
    purse = Purse(spent.database)
    purse.release(purse.reserve(Call("default", "", "support", "openai", "big"), 1))
    purse.close()
    assert json_of("costs", "--forget-before", "24h") == {"forgotten": 1}
    assert json_of("costs")["total"]["requests"] == 5
    assert json_of("budgets", "list")[0]["spent_usd"] == pytest.approx(4.001000005, abs=1e-12)
    assert CostRows(spent.database).forget(int(time.time()) + DAY_S) > 0


def test_budgets(ledger: Ledger) -> None:
    """Set, changed, listed with what is spent and left, removed."""
    ledger.add(KeyRow("key_1", "default", "laptop", "0" * 64, 1))
    made = json_of("budgets", "set", "20 USD / month", "--key", "key_1", "--provider", "openai")
    assert made["id"].startswith("budget_")
    assert made["renewed_at"] > time.time()
    changed = json_of("budgets", "set", "5 USD / month", "--key", "key_1", "--provider", "openai")
    assert (changed["id"], changed["allowed_usd"]) == (made["id"], 5.0)
    json_of("budgets", "set", "1 USD", "--project", "default")
    purse = Purse(ledger.database)
    purse.settle(purse.reserve(Call("default", "key_1", "", "openai", "big"), 10**9), Usage(), 10**9)
    purse.close()
    listed = json_of("budgets", "list")
    assert [(row["key"], row["project"], row["period"], row["spent_usd"], row["left_usd"]) for row in listed] == [
        ("key_1", None, "month", 1.0, 4.0), (None, "default", None, 1.0, 0.0),
    ]  # fmt: skip
    assert (
        "project default, given once: 1 USD allowed, 1 USD spent, 0 USD reserved, 0 USD left"
        in run("budgets", "list").stdout
    )
    assert run("budgets", "remove", made["id"]).exit_code == 0
    assert len(json_of("budgets", "list")) == 1
    assert "Gave back 0 USD" in run("budgets", "release").stdout


def test_budgets_of_the_file(ledger: Ledger, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of nanosmith.toml are listed, too, as the file's; a wrong one is told with its place."""
    monkeypatch.chdir(home.root)
    file = home.root / "nanosmith.toml"
    file.write_text('[budget]\ntotal = "3 USD / day"\n')
    assert [(row["id"], row["allowed_usd"]) for row in json_of("budgets", "list")] == [("nanosmith.toml", 3.0)]
    file.write_text('[budget]\ntotal = "3 EUR / day"\n')
    done = run("budgets", "list")
    assert (done.exit_code, "budget.total: not a budget" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("set", "5"), "not a budget"),
        (("set", "5 USD / year"), "not a budget"),
        (("set", "-5 USD"), "No such option"),
        (("set", "5 USD", "--key", "key_nobody"), "no such key"),
        (("set", "5 USD", "--project", "nobody"), "no such project"),
        (("remove", "budget_x"), "no such budget"),
    ],
)
def test_what_budgets_refuse(ledger: Ledger, words: tuple[str, ...], message: str) -> None:
    """A wrong budget is exit code 2 with the reason."""
    done = run("budgets", *words)
    assert (done.exit_code, message in done.output + done.stderr) == (2, True), done.output + done.stderr


def test_a_name_that_is_not_known(ledger: Ledger) -> None:
    """A route or provider that may come later is taken, with a note and what is near."""
    done = run("budgets", "set", "5 USD", "--provider", "opnai")
    assert done.exit_code == 0
    assert "no provider 'opnai' is known yet. Did you mean openai?" in done.stderr
