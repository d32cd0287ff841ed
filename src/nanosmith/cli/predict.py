"""`nanosmith predict`: ask a bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nanosmith.cli.inputs import Numbered
    from nanosmith.core.errors import InputError
    from nanosmith.core.example import Input
    from nanosmith.core.explanation import Explanation
    from nanosmith.core.prediction import Prediction, Predictor
    from nanosmith.core.task import Task

TOP = 5  # labels shown with their probabilities
SHOWN_CHARS = 100


def predict(
    bundle: Annotated[str, typer.Argument(help="A bundle's folder, or the name of a model.")],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts to answer; - reads stdin.")
    ] = None,
    file: Annotated[
        str | None, typer.Option(help='JSONL of {"text"} or chat lines, or one text per line; - reads stdin.')
    ] = None,
    explain: Annotated[bool, typer.Option(help="Also tell which words carried the answer.")] = False,
    spans: Annotated[bool, typer.Option("--spans", help="Also show the text with what was copied marked.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per input.")] = False,
) -> None:
    """Answer texts with a tuned model.

    A line that cannot be read is reported in its place, the others are answered, and the exit code is 2.
    """
    from nanosmith.cli.resolve import bundle_path
    from nanosmith.core.errors import InputError
    from nanosmith.predict.open import open_predictor

    inputs = _inputs(texts or [], file)
    predictor = open_predictor(bundle_path(bundle))
    if explain and predictor.task.kind not in ("choice", "labels"):
        raise InputError(
            "words are weighed for labels alone", got=f"a model of kind {predictor.task.kind}", param="explain",
            remedy="For a record, --spans marks the words that were copied.",
        )  # fmt: skip
    show = partial(_show_json, predictor.task) if as_json else partial(_show_text, predictor.task, spans)
    wrong = 0
    for line, given in inputs:
        answer = given if isinstance(given, InputError) else _answer(predictor, given)
        wrong += isinstance(answer, InputError)
        show(line, given, answer, _explained(predictor, given, answer) if explain else None)
    if wrong:
        raise typer.Exit(InputError.exit_code)


def _inputs(texts: list[str], file: str | None) -> Iterator[Numbered]:
    from nanosmith.cli.inputs import STDIN, from_arguments, from_file
    from nanosmith.core.errors import InputError

    if texts == [STDIN]:
        texts, file = [], STDIN
    if bool(texts) == bool(file):
        raise InputError(
            "give either texts or --file" if texts else "there is nothing to answer",
            remedy="Pass texts as arguments, --file FILE, or - for stdin.",
        )
    return from_file(file) if file else from_arguments(texts)


def _answer(predictor: Predictor, given: Input) -> Prediction | InputError:
    from nanosmith.core.errors import InputError

    try:
        return predictor.predict([given])[0]
    except InputError as error:
        return error


def _explained(predictor: Predictor, given: Input | InputError, answer: Prediction | InputError) -> Explanation | None:
    from nanosmith.core.errors import InputError
    from nanosmith.predict.explain import explain

    if isinstance(given, InputError) or isinstance(answer, InputError):
        return None
    return explain(predictor, given, answer.value)


def _show_json(
    task: Task, line: int | None, given: Input | InputError, answer: Prediction | InputError, why: Explanation | None
) -> None:
    from msgspec import to_builtins

    from nanosmith.cli.errors import error_object

    place: dict[str, Any] = {} if line is None else {"line": line}
    if isinstance(answer, Exception) or isinstance(given, Exception):
        content = error_object(answer)  # type: ignore[arg-type]  # what could not be read is not answered
    else:
        content = as_object(answer, task, given)
    more: dict[str, Any] = {} if why is None else {"explanation": to_builtins(why)}
    typer.echo(json.dumps(place | content | more, ensure_ascii=False))


def _show_text(
    task: Task,
    spans: bool,
    line: int | None,
    given: Input | InputError,
    answer: Prediction | InputError,
    why: Explanation | None,
) -> None:
    from nanosmith.cli.errors import say

    if isinstance(answer, Exception) or isinstance(given, Exception):
        say(str(answer) if line is None else f"line {line}: {answer}")
        return
    if task.kind in ("record", "text"):
        from nanosmith.cli import written

        written.show(task, given, answer, spans)
        return
    shown = answer.answer
    value = shown if isinstance(shown, str) else ", ".join(shown) or "(no label)"
    confidence = "" if answer.confidence is None else f"  {answer.confidence:.2f}"
    cut = "  (end not read)" if answer.dropped_tokens else ""
    far = "  (out of scope)" if answer.refused else ""
    typer.echo(f"{value}{confidence}{far}{cut}  {_shortened(given)}")
    if why is not None:
        from nanosmith.cli import explained

        explained.show(why)


def as_object(answer: Prediction, task: Task, given: Input) -> dict[str, Any]:
    """An answer as JSON: `value` is what is answered, `probabilities` those of the most probable labels,
    `out_of_scope` in [0, 1] (null where nothing tells it) refused from 0.5 on; `truncated` when the end was not
    read. A record and a text have no labels; a record has its fields."""
    if task.kind in ("record", "text"):
        from nanosmith.cli import written

        return written.as_object(task, given, answer)
    return {
        "value": answer.answer,
        "confidence": answer.confidence,
        "probabilities": dict(answer.top(TOP)),
        "out_of_scope": answer.out_of_scope,
        "refused": answer.refused,
        "tokens": answer.tokens,
        "truncated": answer.dropped_tokens > 0,
    }


def _shortened(given: Input) -> str:
    text = given if isinstance(given, str) else given[-1].content
    text = " ".join(text[: 2 * SHOWN_CHARS].split())
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"
