"""`nanosmith compress`: from a bundle to a smaller one that holds a budget, or an honest no."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from nanosmith.core.goal import Goal
    from nanosmith.core.settings import TuneSettings
    from nanosmith.flows.compress import Compressed
    from nanosmith.score.front import Point

NOTHING_HOLDS = 1
PLAIN_WIDTH = 120  # columns of the table, where it is not on a terminal


def compress(
    bundle: Annotated[
        str, typer.Argument(help="The teacher: a bundle's folder, the name of a model, or several with commas.")
    ],
    data: Annotated[Path, typer.Option(help="Examples to learn from, best those that the teacher was tuned on.")],
    max_latency: Annotated[str | None, typer.Option(help="Bound of the median answer's time, such as 2ms.")] = None,
    max_bytes: Annotated[str | None, typer.Option(help="Bound of the bundle's size, such as 8MB.")] = None,
    max_loss: Annotated[float | None, typer.Option(help="Bound of the accuracy lost, in points.")] = None,
    test: Annotated[
        Path | None,
        typer.Option(help="Examples to measure the loss on; none: some of DATA that the teacher has not seen."),
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Times of another device, from nanosmith profile; none: measured here.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="Time for the whole run, such as 10m; none: no bound.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data; none: chosen.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of splits, copies and training.")] = 0,
    plot: Annotated[Path | None, typer.Option(help="Also draw the trade-off into this SVG file.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; none: made from the teacher's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle; none: inside the data folder.")] = None,
    home: Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")] = False,
) -> None:  # fmt: skip
    """Make a smaller model that holds bounds of time, size and accuracy lost."""
    from nanosmith.cli.outputs import check_out
    from nanosmith.core.goal import Goal, parse_bytes
    from nanosmith.core.settings import TuneSettings, parse_duration

    goal = Goal(
        latency_ms=None if max_latency is None else _milliseconds(max_latency),
        bytes=None if max_bytes is None else parse_bytes(max_bytes),
        loss_points=max_loss,
    )
    settings = TuneSettings(
        seed=seed, name=name, epochs=epochs, budget_s=None if budget is None else parse_duration(budget)
    )
    if plot is not None:
        check_out(plot, "plot")
    began = time.monotonic()
    made = _run(bundle, data, goal, test, profile, settings, home, out)
    if plot is not None:
        _draw(made, plot)
    _show(made, time.monotonic() - began, as_json=as_json)
    if made.bundle is None:
        raise typer.Exit(NOTHING_HOLDS)


def _run(
    bundle: str, data: Path, goal: Goal, test: Path | None, profile: Path | None, settings: TuneSettings,
    home: Path | None, out: Path | None,
) -> Compressed:  # fmt: skip
    from nanosmith.cli.progress import RichWatch
    from nanosmith.core.device import read_device
    from nanosmith.flows.compress import compress as compress_flow
    from nanosmith.store.home import open_home

    device = None if profile is None else read_device(profile)
    with RichWatch() as watch:
        return compress_flow(
            bundle, data, goal=goal, test=test, settings=settings, home=open_home(home), out=out, watch=watch,
            device=device,
        )  # fmt: skip


def _milliseconds(text: str) -> float:
    """Raises InputError; for a number alone, too, which would be so many seconds."""
    from nanosmith.core.errors import InputError
    from nanosmith.core.settings import parse_duration

    found = parse_duration(text, "--max-latency", "2ms")
    if text.strip()[-1].isdigit():
        raise InputError(
            "a time without its unit", where="--max-latency", got=repr(text), allowed="a number with us, ms or s",
            remedy=f"Try --max-latency {text.strip()}ms.", param="max_latency",
        )  # fmt: skip
    return 1000 * found


def _draw(made: Compressed, file: Path) -> None:
    from nanosmith.score.render.front import plot
    from nanosmith.store.atomic import write_atomic

    write_atomic(file, plot({made.teacher.name: (made.teacher, made.front)}).encode())
    typer.echo(f"The plot is in {file}.", err=True)


def as_object(made: Compressed, seconds: float) -> dict[str, Any]:
    """What scripts read; `bundle` is null where nothing holds the bounds."""
    from msgspec import to_builtins

    return {
        "bundle": None if made.bundle is None else str(made.bundle.path.resolve()),
        "name": made.model_name,
        "chosen": to_builtins(made.chosen),
        "nearest": to_builtins(made.nearest),
        "front": to_builtins(made.front),
        "teacher": to_builtins(made.teacher),
        "goal": to_builtins(made.goal),
        "judged_on": made.source,
        "seconds": round(seconds, 1),
    }


def _show(made: Compressed, seconds: float, *, as_json: bool) -> None:
    from rich.console import Console

    console = Console(stderr=as_json, highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    _show_table(console, made)
    if made.bundle is not None:
        console.print(f"\nThe model {made.model_name} is in {made.bundle.path} ({seconds:.0f} s).", soft_wrap=True)
    else:
        console.print(f"\nNo student holds the bounds ({seconds:.0f} s).{_nearest(made)}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(as_object(made, seconds), ensure_ascii=False))


def _nearest(made: Compressed) -> str:
    from nanosmith.score.render import figures

    if made.nearest is None or made.nearest.loss is None:
        return " None is small and quick enough; the least are in the table."
    one = made.nearest
    return (f" {one.name} misses them least: {figures.size(one.bytes)}, {figures.milliseconds(one.latency_ms)}, "
            f"{made.nearest.loss.points:.2f} points lost.")  # fmt: skip


def _show_table(console: Any, made: Compressed) -> None:
    """All students, smallest first, after their teacher."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=f"Loss in points of accuracy, on examples {made.source}")
    for heading in ("student", "size", "p50", "accuracy", "lost", "95 % interval", ""):
        justify: Literal["left", "right"] = "left" if heading in ("student", "") else "right"
        table.add_column(heading, justify=justify, no_wrap=heading != "")
    for point in (made.teacher, *made.front):
        mark = "chosen" if point == made.chosen else "front" if point.on_front else point.why or ""
        if point is made.teacher:
            mark = "teacher, chosen" if mark == "chosen" else "teacher"
        table.add_row(*_cells(point), mark)
    console.print(table)


def _cells(point: Point) -> list[str]:
    from nanosmith.score.render import figures

    cells = [point.name, figures.size(point.bytes), figures.milliseconds(point.latency_ms)]
    if point.loss is None:
        return [*cells, figures.NONE, figures.NONE, figures.NONE]
    low, high = point.loss.interval
    return [*cells, figures.percent(point.loss.accuracy), f"{point.loss.points:.2f}", f"{low:.2f} – {high:.2f}"]
