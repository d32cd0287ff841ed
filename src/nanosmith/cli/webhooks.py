"""`nanosmith webhooks`: addresses that are told when jobs and batches end, and what becomes of routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanosmith.cli.keys import AsJson, Folder, find_project, opened_ledger, print_rows

if TYPE_CHECKING:
    from nanosmith.store.ledger import Ledger
    from nanosmith.store.records import Document

webhooks = typer.Typer(no_args_is_help=True, help="Webhooks: add, ls, rm.")
Project = Annotated[str, typer.Option(help="Name or id of the project.")]


@webhooks.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Where events are posted to: https, or http of this machine.")],
    event: Annotated[
        list[str] | None, typer.Option(help="Such as batch.completed; repeat it for more. None: all.")
    ] = None,
    name: Annotated[str, typer.Option(help="What it is for; only shown in lists.")] = "",
    allow_http: Annotated[bool, typer.Option("--allow-http", help="Let events be sent unencrypted.")] = False,
    project: Project = "default",
    home: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Tell an address of a project's events, and print the secret that signs them: it is not shown again."""
    from nanosmith.jobs.webhooks.webhooks import EVENTS, add_endpoint, new_endpoint

    row = new_endpoint(url, event or EVENTS, name=name, allow_http=allow_http)
    with opened_ledger(home) as ledger:
        add_endpoint(ledger.of(find_project(ledger, project).id), row)
    secret = row.body["secret"]
    if as_json:
        print_rows([{"id": row.id, "url": url, "events": row.body["events"], "secret": secret}], as_json=True, one=True)
        return
    typer.echo(secret)
    typer.echo(f"{row.id}: keep the secret, it is not shown again. The receiver checks signatures with it.", err=True)


@webhooks.command("ls")
def list_webhooks(project: Project = "default", home: Folder = None, as_json: AsJson = False) -> None:
    """List a project's webhooks, oldest first, with how many deliveries wait, were taken and were given up."""
    from nanosmith.jobs.webhooks.webhooks import ENDPOINT, MAX_ENDPOINTS

    with opened_ledger(home) as ledger:
        own = ledger.of(find_project(ledger, project).id)
        rows = own.documents(ENDPOINT, limit=MAX_ENDPOINTS, newest_first=False)
        shown = [_shown(own, row) for row in rows]
    print_rows(shown, as_json=as_json)


@webhooks.command("rm")
def remove(
    id: Annotated[str, typer.Argument(help="The webhook's id, as `nanosmith webhooks ls` shows it.")],
    project: Project = "default",
    home: Folder = None,
) -> None:
    """Tell an address nothing any more, also not what waits to be told."""
    from nanosmith.jobs.webhooks.webhooks import remove_endpoint

    with opened_ledger(home) as ledger:
        remove_endpoint(ledger.of(find_project(ledger, project).id), id)
    typer.echo(f"Removed {id}.")


def _shown(ledger: Ledger, row: Document) -> dict[str, Any]:
    from nanosmith.jobs.webhooks.webhooks import DELIVERY

    counts = {
        status: ledger.count_documents(DELIVERY, parent=row.id, status=status)
        for status in ("waiting", "delivered", "failed")
    }
    return {
        "id": row.id, "created_at": row.created_at, "name": row.body.get("name", ""), "url": row.body["url"],
        "reach": row.body.get("reach", "public"), "events": row.body["events"], "deliveries": counts,
        "problem": _problem(ledger, row),
    }  # fmt: skip


def _problem(ledger: Ledger, row: Document) -> str:
    """Of the newest delivery that was not taken; empty when all were."""
    from nanosmith.jobs.webhooks.webhooks import DELIVERY

    for status in ("waiting", "failed"):
        for delivery in ledger.documents(DELIVERY, parent=row.id, status=status, limit=20):
            if delivery.body.get("problem"):
                return str(delivery.body["problem"])
    return ""
