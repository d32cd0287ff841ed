"""`nanosmith certify`: what can be promised of a route's local answers, signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nanosmith.core.certificate import Certificate, Method
    from nanosmith.core.example import Input
    from nanosmith.core.task import Task
    from nanosmith.flows.certify import Local, Outcome, Promise
    from nanosmith.store.home import Home

REFUSED = 1


def certify(
    route: Annotated[
        str | None, typer.Argument(help="A route of nanosmith.toml, the name of a model, or a bundle's folder.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Whose answers count: bundles with commas, PROVIDER/MODEL, or URL#MODEL.")
    ] = None,
    agreement: Annotated[float, typer.Option(help="Share of the local answers that are the teacher's.")] = 0.97,
    confidence: Annotated[float, typer.Option(help="How sure the promise is to be.")] = 0.95,
    data: Annotated[
        Path | None, typer.Option(help="Texts, or examples whose answers are ignored; none: the captured traffic.")
    ] = None,
    bound: Annotated[str, typer.Option(help="How agreement is bounded: exact or betting.")] = "exact",
    classes: Annotated[bool, typer.Option("--classes", help="Also bound the agreement of each label.")] = False,
    sample: Annotated[
        int, typer.Option(min=1, help="Texts that are asked at most; of more, so many are drawn.")
    ] = 4000,
    budget: Annotated[str | None, typer.Option(help='What asking may cost, such as "2 USD"; none: no bound.')] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    show: Annotated[Path | None, typer.Option(help="Check and show this certificate instead.")] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Show how the route's certificate fares instead.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Also draw agreement against coverage into this SVG file.")] = None,
    home: Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Promise how often a route's local answers are its teacher's, where that can be shown."""
    from nanosmith.cli.audit_state import show_audit
    from nanosmith.core.errors import InputError
    from nanosmith.core.money import parse_usd
    from nanosmith.flows.certify import Promise, check
    from nanosmith.score.render import check_html
    from nanosmith.store.home import open_home

    opened = open_home(home)
    if plot is not None:
        check_html()  # what would stop the drawing at the end is found at the start
    if show is not None:
        _show_file(show, opened, plot, as_json=as_json)
        return
    if audit and route is not None:
        show_audit(route, opened, plot, as_json=as_json)
        return
    if route is None or teacher is None:
        raise InputError("name a route and its teacher", allowed="nanosmith certify ROUTE --teacher T",
                         param="teacher" if route else "route")  # fmt: skip
    promise = Promise(
        agreement, confidence, _method(bound), classes, None if budget is None else parse_usd(budget), sample, seed
    )
    check(promise)
    outcome = _run(route, teacher, data, promise, opened)
    if plot is not None and outcome.certificate is not None:
        _draw(outcome.certificate, plot)
    typer.echo(json.dumps(as_object(outcome), ensure_ascii=False) if as_json else as_text(outcome))
    if outcome.certificate is None:
        raise typer.Exit(REFUSED)


def _method(name: str) -> Method:
    from nanosmith.core.errors import InputError

    if name == "exact":
        return "exact"
    if name == "betting":
        return "betting"
    raise InputError("no such bound", got=repr(name), allowed="exact or betting", param="bound")


def _run(route: str, teacher: str, data: Path | None, promise: Promise, home: Home) -> Outcome:
    from nanosmith.cli.progress import RichWatch
    from nanosmith.flows.certify import captured, certify, find_local

    local = find_local(route, home)
    inputs = captured(route, home, promise.sample) if data is None else _texts(data, local)
    source = "captured traffic" if data is None else data.name
    with RichWatch() as watch:
        return certify(local, teacher, inputs, promise, home, source=source, watch=watch)


def _texts(data: Path, local: Local) -> list[Input]:
    """All inputs of a file. Raises InputError for the first line that cannot be read."""
    from nanosmith.cli.inputs import from_file
    from nanosmith.core.errors import InputError

    if data.suffix.lower() == ".csv":
        return _examples(data, local.bundle.manifest.task)
    found: list[Input] = []
    for line, given in from_file(str(data)):
        if isinstance(given, InputError):
            raise InputError(str(given), where=f"{data}:{line}", param="data")
        found.append(given)
    return found


def _examples(data: Path, task: Task) -> list[Input]:
    from nanosmith.data.as_labels import load_test

    return [example.messages for example in load_test(data, task).examples]


def _show_file(file: Path, home: Home, plot: Path | None, *, as_json: bool) -> None:
    from nanosmith.core.certificate import sentence
    from nanosmith.core.errors import GateRefused, NanosmithError
    from nanosmith.store import certificates

    found = certificates.read(file, home)
    problem: NanosmithError | None = None
    try:
        certificates.check_in_service(home, found)
    except GateRefused as error:
        problem = error
    if plot is not None:
        _draw(found, plot)
    if as_json:
        typer.echo(json.dumps(_fields(found, file) | {"in_service": problem is None}, ensure_ascii=False))
        return
    typer.echo(sentence(found))
    typer.echo(_details(found))
    if problem is not None:
        typer.echo(f"It holds no longer: {problem}", err=True)


def _draw(found: Certificate, file: Path) -> None:
    from nanosmith.score.render.promise import draw
    from nanosmith.store.atomic import write_atomic

    write_atomic(file, draw(found).encode())
    typer.echo(f"The plot is in {file}.", err=True)


def as_object(outcome: Outcome) -> dict[str, Any]:
    """What scripts read; `threshold`, `coverage`, `bound` and `certificate` are null where nothing can be promised."""
    more = {"left_out": outcome.left_out, "cost_usd": None if outcome.cost is None else outcome.cost / 1e9}
    if outcome.certificate is not None and outcome.file is not None:
        return _fields(outcome.certificate, outcome.file) | more
    refusal = outcome.refusal
    assert refusal is not None
    return {
        "feasible": False, "threshold": None, "coverage": None, "bound": None, "n": refusal.n, "certificate": None,
        "reason": refusal.reason, "more_examples": refusal.more, "reachable": refusal.reachable, **more,
    }  # fmt: skip


def _fields(one: Certificate, file: Path) -> dict[str, Any]:
    import msgspec

    from nanosmith.core.certificate import sentence

    return {
        "feasible": True, "threshold": one.threshold, "coverage": one.coverage, "bound": one.bound, "n": one.n,
        "certificate": str(file.resolve()), "sentence": sentence(one), "route": one.route, "model": one.model,
        "teacher": one.teacher, "agreement": one.target, "confidence": one.confidence, "answered": one.answered,
        "agreed": one.agreed, "cost_share": one.cost_share, "classes": msgspec.to_builtins(one.classes),
    }  # fmt: skip


def as_text(outcome: Outcome) -> str:
    from nanosmith.core.certificate import sentence

    if outcome.certificate is not None:
        return f"{sentence(outcome.certificate)}\n{_details(outcome.certificate)}\ncertificate   {outcome.file}"
    refusal = outcome.refusal
    assert refusal is not None
    lines = [f"Nothing can be promised: {refusal.reason}."]
    if refusal.more:
        lines.append(f"About {refusal.more:,} more texts would do, if the models agree on them as often.")
    if refusal.reachable:
        lines.append(f"With these texts at most {refusal.reachable:.2%} could be shown.")
    if not refusal.more:
        lines.append("Ask for less agreement, or tune a better model.")
    return "\n".join(lines)


def _details(one: Certificate) -> str:
    from nanosmith.cli.ls import time_text

    rows = [
        ("threshold", f"{one.threshold:.6g}"),
        ("sample", f"{one.n:,} texts, {one.source}"),
        ("answered", f"{one.answered:,} here, {one.agreed:,} as {one.teacher}"),
        ("bound", f"{one.bound:.2%} ({one.method})"),
        ("made", f"{time_text(one.created_at)}, nanosmith {one.nanosmith}"),
        *(("label", f"{row.label}: {row.agreed:,} of {row.answered:,}, bound {row.bound:.1%}") for row in one.classes),
    ]
    return "\n".join(f"{name:<14}{value}" for name, value in rows)
