"""What `nanosmith check --deep` adds: everything worth a look, in the order in which a person should look."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from nanosmith.data.audit.findings import Finding
    from nanosmith.data.load import Inspection
    from nanosmith.flows.audit import Audit


def deep_audit(train: Inspection, test: Inspection | None, base: str | None) -> Audit:
    """Audit the examples that could be read. Raises MissingExtra, NotFound, InputError, Damaged."""
    from nanosmith.cli.progress import RichWatch
    from nanosmith.core.settings import TuneSettings
    from nanosmith.flows.assemble import open_base, require_training
    from nanosmith.flows.audit import Audit, LabelErrorsFound, audit
    from nanosmith.store.home import open_home

    tests = test.readable if test is not None else None
    test_problems = test.problems if test is not None else ()
    if train.readable is None or not len(train.readable):
        from nanosmith.data.audit.findings import problem_findings

        return Audit(problem_findings(train.problems, test_problems), LabelErrorsFound([], 0, 0))
    require_training()
    with RichWatch() as watch:
        opened = open_base(base or TuneSettings().base, open_home())
        return audit(
            train.readable, opened, problems=train.problems, test=tests, test_problems=test_problems, watch=watch
        )


def as_deep(audited: Audit) -> dict[str, Any]:
    """The JSON form; see docs/data.md."""
    import msgspec

    errors = audited.label_errors
    return {
        "counts": dict(Counter(one.code for one in audited.findings)),
        "label_errors": {"judged": errors.judged, "found": len(errors.suspects)},
        "findings": [
            {"rank": rank, **msgspec.to_builtins(one)} for rank, one in enumerate(audited.findings, start=1)
        ],
    }  # fmt: skip


def show_audit(audited: Audit, train: Path, test: Path | None) -> None:
    """Every finding on a line of its own, then what to do about each kind."""
    errors = audited.label_errors
    typer.echo(f"\n{len(audited.findings):,} findings, in the order to look at them:")
    for rank, one in enumerate(audited.findings, start=1):
        typer.echo(f"{rank:>6,}  {_line(one, train if one.file == 'train' else test)}")
    counts = Counter(one.code for one in audited.findings)
    remedies = {one.code: one.remedy for one in audited.findings}
    for code, count in counts.items():
        typer.echo(f"{code}, {count:,}: {remedies[code] or 'see above'}")
    if errors.judged:
        typer.echo(f"likely label errors: {len(errors.suspects):,} of {errors.judged:,} examples")


def _line(one: Finding, file: Path | None) -> str:
    from nanosmith.data.checks import value_text
    from nanosmith.data.problem import shown

    where = f"{file.name if file else one.file}:{one.line}" if one.line else str(file.name if file else one.file)
    parts = [f"{one.code} {where}", one.text]
    if one.given is not None:
        parts.append(f"given: {shown(value_text(one.given))}")
    parts.append(one.message)
    if one.probability is not None:
        parts.append(f"{one.probability:.0%} sure")
    if one.other_line is not None:
        parts.append(f"see {'the training file, ' if one.other_file != one.file else ''}line {one.other_line}")
    return " | ".join(part for part in parts if part)
