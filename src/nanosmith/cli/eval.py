"""`nanosmith eval`: how good a bundle is on a file of examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nanosmith.score.report import Report


def eval_(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or the name of a model.")],
    file: Annotated[
        Path, typer.Argument(help="Examples with the wanted answers: chat-format JSONL, text/label JSONL or CSV.")
    ],
    html: Annotated[Path | None, typer.Option(help="Also write the report as one HTML page to this file.")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Your own price table (TOML) for the costs; none: the one that comes along.")
    ] = None,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also measure typos, an attack by single characters, and swapped names."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the samples and typos of --deep.")] = 0,
    oos_label: Annotated[
        str | None, typer.Option(help="Label of the examples that are out of scope; none: as the model was tuned.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as one JSON object.")] = False,
) -> None:
    """Measure accuracy, confidence, latency, cost and robustness of a tuned model."""
    from nanosmith.cli.page import write_page
    from nanosmith.cli.resolve import bundle_path
    from nanosmith.score.render import as_html, as_text
    from nanosmith.score.render import as_json as json_of

    if html is not None:
        _check_page(html)
    report = _run(bundle_path(bundle), file, prices, seed if deep else None, oos_label)
    if html is not None:
        write_page(as_html(report), html)
    typer.echo(json_of(report) if as_json else as_text(report))


def _check_page(html: Path) -> None:
    """Raises MissingExtra, InputError."""
    from nanosmith.cli.page import check_target
    from nanosmith.score.render import check_html

    check_html()
    check_target(html)


def _run(bundle: Path, file: Path, prices: Path | None, deep_seed: int | None, oos_label: str | None) -> Report:
    from nanosmith.cli.progress import RichWatch
    from nanosmith.flows.evaluate import evaluate
    from nanosmith.score.cost import load_prices

    table = load_prices(prices)
    with RichWatch() as watch:
        return evaluate(bundle, file, watch=watch, prices=table, deep_seed=deep_seed, oos_label=oos_label)
