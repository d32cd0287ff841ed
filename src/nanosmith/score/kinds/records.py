"""Figures of `record`: whole records, each field, all spans together, validity.

Letters: N examples, F columns (fields and labels of entities). Spans are counted as by seqeval and the shared task of
CoNLL-2003 (Tjong Kim Sang and De Meulder 2003): an entity is right with its label and both borders, and all are pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from nanosmith.core.errors import InputError
from nanosmith.core.json_schema import fits
from nanosmith.core.prediction import Prediction
from nanosmith.core.record import RecordForm
from nanosmith.core.task import Task, Value
from nanosmith.score import metrics
from nanosmith.score.calibration import expected_calibration_error
from nanosmith.score.confidence import confidence_figures
from nanosmith.score.intervals import Interval, bootstrap, wilson
from nanosmith.score.items import Column, columns_of, record_key
from nanosmith.score.metrics import Confusion, Counts, shorten
from nanosmith.score.record_figures import Difference, FieldRow, RecordFigures, SpanFigures, WrongRecord
from nanosmith.score.run import Run
from nanosmith.score.wrong import wrong_rows

MAX_WORST = 50
MAX_CONFUSIONS = 20
VALUE_CHARS = 120


def figures(task: Task, run: Run, outside: Sequence[Prediction]) -> dict[str, Any]:
    """The fields of a Report that tell how good the records are; `outside` does not count."""
    form = task.record or RecordForm()
    wanted, given = _records(run.wanted), _records(run.given)
    columns = columns_of(form, wanted)
    found = _counts(columns, wanted, given)
    right = np.array([record_key(want, form) == record_key(got, form) for want, got in zip(wanted, given)])
    texts = [task.text_of(one) for one in run.inputs]
    macro_low, macro_high = bootstrap(found, metrics.macro_f1)
    total = Counts(*(table.sum(axis=0) for table in found))
    return {
        "n": len(right),
        "accuracy": float(right.mean()),
        "accuracy_interval": wilson(int(right.sum()), len(right)),
        "macro_f1": float(metrics.macro_f1(total)),
        "macro_f1_interval": (float(macro_low), float(macro_high)),
        "micro_f1": metrics.micro_f1(total),
        "per_class": (),
        "confusions": _confusions(columns, wanted, given, texts),
        "calibration": confidence_figures(run.predictions, right),
        "wrong_count": int((~right).sum()),
        "wrong": wrong_rows(run, right),
        "record": RecordFigures(
            fields=_rows(columns, found, wanted, given, run.predictions),
            spans=_spans(columns, found),
            valid=_valid(form, given),
            worst=_worst(columns, run, wanted, given, right, texts),
        ),
    }


def remarks(task: Task, run: Run) -> list[str]:
    """Labels of entities that were wanted and that the model does not have."""
    form = task.record or RecordForm()
    unknown = [column.name for column in columns_of(form, _records(run.wanted)) if column.name not in form.entities]
    unseen = [repr(shorten(name, 40)) for name in unknown if name not in {field.name for field in form.fields}]
    if not unseen:
        return []
    return [f"Wanted, but not labels of the model: {', '.join(unseen[:5])}, {len(unseen)} in all. They count as wrong."]


def _records(values: Sequence[Value]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(value) if isinstance(value, str) else {} for value in values]


def _counts(columns: Sequence[Column], wanted: Sequence[dict[str, Any]], given: Sequence[dict[str, Any]]) -> Counts:
    """Of each example and column (N, F), how many items are right, given and wanted."""
    right, got, want = (np.zeros((len(wanted), len(columns)), dtype=np.int32) for _ in range(3))
    for i, (theirs, ours) in enumerate(zip(wanted, given, strict=True)):
        for j, column in enumerate(columns):
            a, b = column.items(theirs), column.items(ours)
            right[i, j], got[i, j], want[i, j] = (a & b).total(), b.total(), a.total()
    return Counts(right, got, want)


def _rows(
    columns: Sequence[Column], found: Counts, wanted: Sequence[dict[str, Any]], given: Sequence[dict[str, Any]],
    predictions: Sequence[Prediction],
) -> tuple[FieldRow, ...]:  # fmt: skip
    low, high = bootstrap(found, metrics.f1)  # (F) each
    whole = (found.right == found.given) & (found.right == found.wanted)  # (N, F)
    fields = sum(column.field is not None for column in columns)
    rows = []
    for j, column in enumerate(columns):
        right, got, want = (int(table[:, j].sum()) for table in found)
        rows.append(
            FieldRow(
                name=column.name,
                type=column.type,
                precision=right / got if got else 0.0,
                precision_interval=wilson(right, got),
                recall=right / want if want else 0.0,
                recall_interval=wilson(right, want),
                f1=_f1(right, got, want),
                f1_interval=(float(low[j]), float(high[j])),
                accuracy=float(whole[:, j].mean()),
                support=want,
                given=got,
                ece=_ece(column, j, fields, whole[:, j], wanted, predictions),
            )
        )
    return tuple(rows)


def _spans(columns: Sequence[Column], found: Counts) -> SpanFigures | None:
    copied = [j for j, column in enumerate(columns) if column.is_copied]
    if not copied:
        return None
    pooled = Counts(*(table[:, copied].sum(axis=1, keepdims=True) for table in found))  # (N, 1)
    right, got, want = (int(table.sum()) for table in pooled)
    low, high = bootstrap(pooled, metrics.f1)
    interval: Interval = (float(low[0]), float(high[0]))
    precision, recall = right / got if got else 0.0, right / want if want else 0.0
    return SpanFigures(precision, recall, _f1(right, got, want), interval, want, got)


def _f1(right: int, given: int, wanted: int) -> float:
    return 2 * right / (given + wanted) if given + wanted else 0.0


def _ece(
    column: Column, j: int, fields: int, whole: metrics.Bools, wanted: Sequence[dict[str, Any]],
    predictions: Sequence[Prediction],
) -> float | None:  # fmt: skip
    """Of a field's answers, one per example; or of all entities that were given this label, which follow the `fields`
    of an answer."""
    if column.field is not None:
        pairs = [(p.fields[j].confidence, bool(ok)) for p, ok in zip(predictions, whole) if len(p.fields) > j]
    else:
        pairs = []
        for prediction, theirs in zip(predictions, wanted):
            places = column.items(theirs)
            entities = [one for one in prediction.fields[fields:] if one.name == column.name and one.spans]
            pairs += [(one.confidence, "{}:{}".format(*one.spans[0]) in places) for one in entities]
    known = [(confidence, ok) for confidence, ok in pairs if confidence is not None]
    if not known or len(known) < len(pairs):
        return None
    confidences, rights = zip(*known)
    return expected_calibration_error(np.array(confidences), np.array(rights))


def _valid(form: RecordForm, given: Sequence[dict[str, Any]]) -> float | None:
    """The share of answers that obey the schema; None where the schema has words that we do not know."""
    schema = dict(form.schema)
    try:
        return sum(fits(record, schema, schema) for record in given) / len(given)
    except InputError:
        return None


def _confusions(
    columns: Sequence[Column], wanted: Sequence[dict[str, Any]], given: Sequence[dict[str, Any]], texts: Sequence[str]
) -> tuple[Confusion, ...]:
    """The most frequent confusions of the fields that are chosen, each value with its field's name."""
    found: list[Confusion] = []
    for column in columns:
        if column.type in ("choice", "choices"):
            want, got = ([_named(column, record) for record in records] for records in (wanted, given))
            found += metrics.worst_confusions(want, got, texts)
    return tuple(sorted(found, key=lambda row: -row.count)[:MAX_CONFUSIONS])


def _named(column: Column, record: dict[str, Any]) -> Value:
    return tuple(f"{column.name}: {_text(part)}" for part in column.parts(record))


def _worst(
    columns: Sequence[Column], run: Run, wanted: Sequence[dict[str, Any]], given: Sequence[dict[str, Any]],
    right: metrics.Bools, texts: Sequence[str],
) -> tuple[WrongRecord, ...]:  # fmt: skip
    """The wrong records of the highest confidence, field by field."""
    rows = sorted(np.flatnonzero(~right).tolist(), key=lambda i: -(run.predictions[i].confidence or 0.0))[:MAX_WORST]
    return tuple(
        WrongRecord(i, shorten(texts[i]), run.predictions[i].confidence, _differences(columns, wanted[i], given[i]))
        for i in rows
    )


def _differences(columns: Sequence[Column], wanted: dict[str, Any], given: dict[str, Any]) -> tuple[Difference, ...]:
    differing = [column for column in columns if column.items(wanted) != column.items(given)]
    return tuple(Difference(one.name, _shown(one, wanted), _shown(one, given)) for one in differing)


def _shown(column: Column, record: dict[str, Any]) -> str | None:
    return shorten(", ".join(map(_text, column.parts(record))), VALUE_CHARS) or None


def _text(part: Any) -> str:
    """A value as a person reads it; an entity with its place."""
    if isinstance(part, dict) and {"start", "end", "text"} <= part.keys():
        return f"{part['text']} [{part['start']}–{part['end']}]"
    return part if isinstance(part, str) else msgspec.json.encode(part).decode()
