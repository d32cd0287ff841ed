"""`nanosmith budgets`: how much money calls of remote models may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanosmith.cli.keys import AsJson, Folder, find_project, opened_ledger, print_rows

if TYPE_CHECKING:
    from nanosmith.core.budget import Budget
    from nanosmith.store.home import Home
    from nanosmith.store.ledger import Ledger
    from nanosmith.store.ledger.budgets import Standing

budgets = typer.Typer(no_args_is_help=True, help="Budgets of money: set, list, remove, release.")
FILE = "nanosmith.toml"
AMOUNTS = ("spent", "reserved", "unsettled", "left")


@budgets.command("set")
def set_budget(
    allowance: Annotated[str, typer.Argument(help='Such as "20 USD / month": per hour, day, week, month, or once.')],
    project: Annotated[str | None, typer.Option(help="Name or id of a project. None: all.")] = None,
    key: Annotated[str | None, typer.Option(help="Id of a key, as `nanosmith keys ls` shows it. None: all.")] = None,
    route: Annotated[str | None, typer.Option(help="Name of a route. None: all.")] = None,
    provider: Annotated[str | None, typer.Option(help="Name of a provider, such as openai. None: all.")] = None,
    home: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Set what the calls with all these values may cost per period, or change it. Running servers obey in seconds."""
    from nanosmith.core.budget import Budget
    from nanosmith.core.money import parse_allowance
    from nanosmith.store.ledger.budgets import Budgets

    amount, period = parse_allowance(allowance)
    with opened_ledger(home) as ledger:
        _check(ledger, key, route, provider, home)
        id = find_project(ledger, project).id if project else ""
        kept = Budgets(ledger.database)
        row = kept.set(Budget(amount, period, id, key or "", route or "", provider or ""))
        standing = kept.standings([row.budget])[0]
    _show(row.id, standing, as_json=as_json)


@budgets.command("list")
def list_budgets(home: Folder = None, as_json: AsJson = False) -> None:
    """List all budgets, also those of nanosmith.toml, with what is spent, reserved and left in their period."""
    from nanosmith.store.home import open_home

    with opened_ledger(home) as ledger:
        rows = standings(ledger, open_home(home))
    if as_json:
        print_rows([as_object(*row) for row in rows], as_json=True)
    for id, standing in rows if not as_json else ():
        _show(id, standing, as_json=False)
    if not rows and not as_json:
        typer.echo('No budgets yet. Set one: nanosmith budgets set "20 USD / month"')


@budgets.command("remove")
def remove_budget(
    id: Annotated[str, typer.Argument(help="The budget's id, as `nanosmith budgets list` shows it.")],
    home: Folder = None,
) -> None:
    """Remove a budget. One of nanosmith.toml is removed there."""
    from nanosmith.core.errors import NotFound
    from nanosmith.store.ledger.budgets import Budgets

    with opened_ledger(home) as ledger:
        if not Budgets(ledger.database).remove(id):
            raise NotFound("no such budget", got=repr(id), remedy="`nanosmith budgets list` shows all ids.", param="id")
    typer.echo(f"Removed {id}.")


@budgets.command("release")
def release(home: Folder = None) -> None:
    """Give back what processes held that ended without a word, such as by kill -9. It counts as spent until then, as
    nobody knows what they spent of it: compare the provider's bill first."""
    from nanosmith.core.money import shown_usd
    from nanosmith.store.ledger.budgets import Budgets

    with opened_ledger(home) as ledger:
        amount = Budgets(ledger.database).release()
    typer.echo(f"Gave back {shown_usd(amount)}.")


def standings(ledger: Ledger, home: Home) -> list[tuple[str, Standing]]:
    """Every budget's id, or the file it stands in, and how it stands. Raises InputError for a wrong file."""
    from nanosmith.core.budget import configured_budgets
    from nanosmith.store.config import find_config, read_config
    from nanosmith.store.ledger.budgets import Budgets

    kept, config = Budgets(ledger.database), read_config(find_config(home))
    rows: list[tuple[str, Budget]] = [(row.id, row.budget) for row in kept.rows()]
    rows += [(FILE, budget) for budget in kept.named(configured_budgets(config.budgets, config.routes.values()))]
    return list(zip((id for id, _ in rows), kept.standings(budget for _, budget in rows)))


def _check(ledger: Ledger, key: str | None, route: str | None, provider: str | None, folder: Any) -> None:
    """Raises NotFound for a key that is not there. A route or provider that is not known may come later: a warning."""
    from nanosmith.core.errors import NotFound, did_you_mean
    from nanosmith.predict.endpoint.catalogue import open_catalogue
    from nanosmith.server.access.keys import FROM_ENVIRONMENT
    from nanosmith.store.config import find_config, read_config
    from nanosmith.store.home import open_home

    config = read_config(find_config(open_home(folder)))
    rows = ledger.keys()
    ids = [FROM_ENVIRONMENT, *(row.id for row in rows)]
    if key is not None and key not in ids:
        remedy = did_you_mean(key, ids) or "`nanosmith keys ls` shows all ids."
        raise NotFound("no such key", got=repr(key), remedy=remedy, param="key")
    for kind, name, known in (
        ("route", route, config.routes),
        ("provider", provider, open_catalogue(config.providers).providers),
    ):
        if name is not None and name not in known:
            typer.echo(f"note: no {kind} {name!r} is known yet. {did_you_mean(name, known) or ''}".rstrip(), err=True)


def as_object(id: str, standing: Standing) -> dict[str, Any]:
    """For --json; amounts are US dollars."""
    from nanosmith.core.budget import FOR_EVER, SCOPES
    from nanosmith.core.money import NANO

    budget = standing.budget
    amounts = {"allowed": budget.amount, **{name: getattr(standing, name) for name in AMOUNTS}}
    return {
        "id": id, **{name: getattr(budget, name) or None for name in (*SCOPES, "period")},
        **{f"{name}_usd": amount / NANO for name, amount in amounts.items()},
        "renewed_at": standing.ends_at if standing.ends_at < FOR_EVER else None,
    }  # fmt: skip


def _show(id: str, standing: Standing, *, as_json: bool) -> None:
    from nanosmith.core.money import shown_usd

    if as_json:
        print_rows([as_object(id, standing)], as_json=True, one=True)
        return
    amounts = {"allowed": standing.budget.amount, **{name: getattr(standing, name) for name in AMOUNTS}}
    told = ", ".join(f"{shown_usd(amount)} {name}" for name, amount in amounts.items() if amount or name != "unsettled")
    typer.echo(f"{id}  {standing.budget.name}: {told}")
