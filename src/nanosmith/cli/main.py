"""`nanosmith VERB …`: the list of verbs. Everything heavy is imported inside the verbs' functions."""

from __future__ import annotations

import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nanosmith.cli.autopilot import autopilot, captured
from nanosmith.cli.budgets import budgets
from nanosmith.cli.cascade import cascade
from nanosmith.cli.certify import certify
from nanosmith.cli.check import check
from nanosmith.cli.compress import compress
from nanosmith.cli.costs import costs
from nanosmith.cli.errors import user_errors
from nanosmith.cli.eval import eval_
from nanosmith.cli.export import export
from nanosmith.cli.import_ import import_
from nanosmith.cli.keys import keys, projects
from nanosmith.cli.label import label
from nanosmith.cli.ls import ls
from nanosmith.cli.models import models
from nanosmith.cli.predict import predict
from nanosmith.cli.profile import profile
from nanosmith.cli.providers import providers
from nanosmith.cli.routes import routes
from nanosmith.cli.serve import serve
from nanosmith.cli.show import show
from nanosmith.cli.tune import tune
from nanosmith.cli.webhooks import webhooks
from nanosmith.cli.worker import worker
from nanosmith.version import __version__

TERMINATED = 143  # 128 + SIGTERM, as shells report it


class Verbs(TyperGroup):
    """The group of all verbs; the errors of every verb are shown in one way."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with user_errors(as_json=ctx.meta["json"]):
            return super().invoke(ctx)


app = typer.Typer(name="nanosmith", cls=Verbs, no_args_is_help=True, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nanosmith {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Fine-tune, keep and run small language models on your own machine."""


app.command("check")(check)
app.command("tune")(tune)
app.command("cascade")(cascade)
app.command("label")(label)
app.command("compress")(compress)
app.command("profile")(profile)
app.command("eval")(eval_)
app.command("certify")(certify)
app.command("predict")(predict)
app.command("serve")(serve)
app.command("worker")(worker)
app.command("import")(import_)
app.command("export")(export)
app.command("autopilot")(autopilot)
app.command("captured")(captured)
app.command("ls")(ls)
app.command("models")(models)
app.command("routes")(routes)
app.command("show")(show)
app.add_typer(keys, name="keys")
app.add_typer(projects, name="projects")
app.add_typer(providers, name="providers")
app.add_typer(webhooks, name="webhooks")
app.command("costs")(costs)
app.add_typer(budgets, name="budgets")


def main() -> None:
    """The entry point of the `nanosmith` command."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that temporary folders are removed
    app(prog_name="nanosmith")
