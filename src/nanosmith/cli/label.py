"""`nanosmith label`: texts in, a data file with teachers' labels out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from nanosmith.cli.progress import RichWatch
    from nanosmith.flows.label import Hardest, LabelReport, LabelSettings, LeftOut, Plan
    from nanosmith.store.home import Home

ASK_ABOVE_USD = 1.0
SHOWN = 10  # inputs that are named for each reason


def label(
    file: Annotated[Path, typer.Argument(help="Texts: one per line, or any data file; its answers are not used.")],
    teacher: Annotated[
        str, typer.Option(help="A bundle's folder or a model's name, several by commas, PROVIDER/MODEL, or URL#MODEL.")
    ],
    out: Annotated[Path, typer.Option(help="The data file to make. FILE.journal beside it keeps every answer.")],
    labels: Annotated[str | None, typer.Option(help="The labels, separated by commas.")] = None,
    like: Annotated[Path | None, typer.Option(help="A data file whose answers are of the kind wanted.")] = None,
    schema: Annotated[Path | None, typer.Option(help="JSON schema of the answers, which are records.")] = None,
    kind: Annotated[
        Literal["choice", "labels", "record", "text"] | None, typer.Option(help="Kind of answer; none: recognised.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, max=32, help="Answers per text from each remote teacher.")] = 1,
    hardest: Annotated[
        int | None, typer.Option(min=1, help="Ask about so many texts alone: the hardest for --student.")
    ] = None,
    student: Annotated[str | None, typer.Option(help="A bundle's folder, or the name of a model.")] = None,
    budget: Annotated[str | None, typer.Option(help='Stop before more is spent, in all: "2 USD".')] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, whatever it may cost.")] = False,
    rate: Annotated[str | None, typer.Option(help="At most so many requests: 5/s, 300/m.")] = None,
    parallel: Annotated[int, typer.Option(min=1, max=256, help="Requests under way at the same time.")] = 8,
    timeout: Annotated[str, typer.Option(help="For one request.")] = "60s",
    retries: Annotated[int, typer.Option(min=0, max=20, help="Further tries of a request that failed.")] = 3,
    patience: Annotated[str, typer.Option(help="How long a teacher may answer nothing, before the run stops.")] = "2m",
    home: Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")] = False,
) -> None:
    """Label texts with teachers. A second run goes on where the first one ended, and pays nothing twice.

    Exit code 0: done, or the budget is spent; 1: the teacher stopped answering, or there is no label at all.
    """
    from nanosmith.core.money import parse_usd
    from nanosmith.core.settings import parse_duration
    from nanosmith.flows.label import LabelSettings, as_object
    from nanosmith.flows.labelling.asking import Asking
    from nanosmith.flows.labelling.purse import parse_rate
    from nanosmith.flows.labelling.task import Wanted
    from nanosmith.flows.labelling.teachers import Asked
    from nanosmith.predict.endpoint.client import Patience
    from nanosmith.store.home import open_home

    opened = open_home(home)
    one_s = parse_duration(timeout)
    tries = Patience(timeout_s=one_s, deadline_s=2 * one_s, retries=retries)
    settings = LabelSettings(
        asked=Asked(tuple(name.strip() for name in teacher.split(",") if name.strip()), samples, tries),
        wanted=Wanted(tuple(labels.split(",")) if labels else (), like, schema, kind),
        how=Asking(parallel, parse_duration(patience)),
        budget=None if budget is None else parse_usd(budget),
        rate_per_s=None if rate is None else parse_rate(rate),
        hardest=_hardest(hardest, student, opened),
    )
    report = _run(file, out, settings, opened, yes=yes)
    _show(report)
    if as_json:
        typer.echo(json.dumps(as_object(report), ensure_ascii=False))
    if report.stopped == "teacher" or not report.labelled:
        raise typer.Exit(1)


def _hardest(most: int | None, student: str | None, home: Home) -> Hardest | None:
    """Raises InputError unless both are given, or none; NotFound."""
    from nanosmith.cli.resolve import bundle_path
    from nanosmith.core.errors import InputError
    from nanosmith.flows.label import Hardest

    if (most is None) != (student is None):
        raise InputError("--hardest and --student go together", param="hardest" if most is None else "student",
                         remedy="Say how many texts to ask about, and which model is to learn from them.")  # fmt: skip
    return None if most is None or student is None else Hardest(most, bundle_path(student, home))


def _run(file: Path, out: Path, settings: LabelSettings, home: Home, *, yes: bool) -> LabelReport:
    from nanosmith.cli.progress import RichWatch
    from nanosmith.core.errors import InputError
    from nanosmith.flows.label import label as label_flow

    if out.resolve() == file.resolve() or out.is_dir():
        raise InputError("the labels need a file of their own", got=str(out), param="out")
    with RichWatch() as watch:
        return label_flow(
            file, out, settings, home, watch=watch,
            confirm=lambda plan: _confirm(plan, watch, may=yes or settings.budget is not None),
        )  # fmt: skip


def _confirm(plan: Plan, watch: RichWatch, *, may: bool) -> None:
    """Say what is about to be asked. Raises InputError where it is dear, and neither --yes nor a budget is there."""
    from nanosmith.core.errors import InputError
    from nanosmith.core.money import NANO

    cost = "of a price that is not known" if plan.likely is None else f"about {_usd(plan.likely)}"
    earlier = f"; earlier runs spent up to {_usd(plan.spent)}" if plan.spent else ""
    watch.message(
        f"{plan.inputs:,} texts, {plan.cached:,} labelled before, {plan.questions:,} questions, {cost}{earlier}"
    )
    if plan.likely is not None and plan.likely > ASK_ABOVE_USD * NANO and not may:
        raise InputError("this may be dear", got=_usd(plan.likely), allowed=f"{ASK_ABOVE_USD:g} USD without asking",
                         param="yes", remedy='Add --yes, or a bound such as --budget "2 USD".')  # fmt: skip


def _show(report: LabelReport) -> None:
    """On stderr, as progress is."""
    cost = "its cost is not known" if report.cost is None else f"it cost {_usd(report.cost)}"
    unsure = f", and up to {_usd(report.unsure)} for tries without an answer" if report.unsure else ""
    typer.echo(
        f"{report.labelled:,} labelled, {report.cached:,} of them before, {len(report.left_out):,} left out; {cost}"
        f"{unsure} ({report.seconds:.0f} s)", err=True,
    )  # fmt: skip
    by_reason: dict[str, list[LeftOut]] = {}
    for one in report.left_out:
        by_reason.setdefault(one.reason, []).append(one)
    for reason, members in by_reason.items():
        lines = ", ".join(str(one.line) for one in members[:SHOWN]) + (" …" if len(members) > SHOWN else "")
        typer.echo(f"  left out, {reason}: {len(members):,} (lines {lines}): {members[0].message}", err=True)
    if report.stopped:
        typer.echo(f"stopped: {report.why}. The same command goes on from here.", err=True)
    typer.echo(f"{report.out}" if report.labelled else "nothing was written", err=True)


def _usd(nano: int) -> str:
    from nanosmith.core.money import NANO

    return f"{nano / NANO:.4f} USD"
