"""A Report as one HTML page: style and plots inside, nothing loaded from elsewhere, light and dark, printable.

Labels and texts come from users' files: Jinja2 escapes whatever it inserts, and no plot contains any of them.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from nanosmith.core.errors import MissingExtra
from nanosmith.score.render import deep, explained, figures, made, plots, written
from nanosmith.score.report import Report

MODULES = ("jinja2", "matplotlib")
SHOWN_CLASSES = 20  # above this many, the others are behind a fold
SHOWN_WRONG = 200


def check_html() -> None:
    """Raises MissingExtra when a page could not be made; to be called before any long work."""
    for module in MODULES:
        if find_spec(module) is None:
            raise MissingExtra(module, "train")


def as_html(report: Report) -> str:
    """The page as text. Raises MissingExtra without jinja2 or matplotlib."""
    check_html()
    return page_of("page.html", report=report, plots=_plots(report), **_parts(report))


def page_of(template: str, **values: Any) -> str:
    """A template of this folder, filled in. Raises MissingExtra without jinja2."""
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise MissingExtra("jinja2", "train") from error
    folder = files("nanosmith.score.render")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(
        percent=figures.percent,
        interval=figures.interval,
        ms=figures.milliseconds,
        size=figures.size,
        dollars=figures.dollars,
        answer=figures.answer,
        day=figures.day,
        breakable=_breakable,
        segments=explained.segments,
    )
    page = environment.from_string(folder.joinpath(template).read_text(encoding="utf-8"))
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    return page.render(style=style, **values)


def _parts(report: Report) -> dict[str, Any]:
    """What the page shows beside the plain fields of the report."""
    classes = sorted(report.per_class, key=lambda row: (row.f1, -row.support, row.label))
    return {
        "candidates": made.candidates(report),
        "why": made.why(report),
        "made": made.facts(report),
        "shown_classes": classes[:SHOWN_CLASSES],
        "other_classes": classes[SHOWN_CLASSES:],
        "wrong": report.wrong[:SHOWN_WRONG],
        **deep.parts(report),
        **written.parts(report),
        "most_confused": max((row.count for row in report.confusions), default=1),
        "most_expensive": max(row.usd for row in report.cost.rows) or 1.0,
    }


def _plots(report: Report) -> dict[str, str]:
    """SVG of each plot by its name."""
    drawn = {"latency": plots.latency(report.latency_ms)}
    if report.calibration:
        drawn["reliability"] = plots.reliability(report.calibration.reliability)
        drawn["coverage"] = plots.coverage(report.calibration.coverage)
    if report.scope and report.scope.curve:
        drawn["scope"] = plots.scope(report.scope)
    if report.robustness:
        drawn["typos"] = plots.typos(report.robustness)
    return drawn


def _breakable(text: str) -> str:
    """Escaped text whose lines may break after an underscore; labels are often long names."""
    from markupsafe import Markup, escape

    return escape(text).replace("_", Markup("_<wbr>"))
