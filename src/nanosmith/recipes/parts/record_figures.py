"""How right records are: whole ones, their parts, and what their confidences are fitted on.

Letters: N examples, R parts of all answers and the answers themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core.record import RecordForm
from nanosmith.predict.record import Scores
from nanosmith.predict.record_answer import ENTITY, Answer, Answerer, Text
from nanosmith.predict.record_layout import Confidences, Platt
from nanosmith.predict.record_reader import Reader
from nanosmith.recipes.parts.record_rows import RecordSamples
from nanosmith.score.items import columns_of, entities_of, json_key, record_key, value_at
from nanosmith.score.platt import fit_platt

TYPES = ("choice", "choices", "span", "spans", ENTITY, "record")
RECORD = TYPES.index("record")


class Figures(NamedTuple):
    """Shares in [0, 1]: of wholly right records, and F1 over all fields that have a value and all entities, micro."""

    match: float
    f1: float


def answers(reader: Reader, answerer: Answerer, samples: RecordSamples, scores: Sequence[Scores]) -> list[Answer]:
    """The records for the scores of samples (N)."""
    found = []
    for text, turn, one in zip(samples.texts, samples.turns, scores):
        units = reader.read(text, turn).spans
        found.append(answerer.answer(Text(text, turn, units), one.tags, one.choices))
    return found


def figures(form: RecordForm, given: Sequence[str], wanted: Sequence[str]) -> Figures:
    """Of JSON objects (N) as they are written."""
    got, want = ([msgspec.json.decode(one) for one in side] for side in (given, wanted))
    both = total = 0
    for column in columns_of(form, want):
        for a, b in zip(got, want):
            items, others = column.items(a), column.items(b)
            both += (items & others).total()
            total += items.total() + others.total()
    match = sum(record_key(a, form) == record_key(b, form) for a, b in zip(got, want)) / max(1, len(want))
    return Figures(match, 2 * both / total if total else 1.0)


def outcomes(form: RecordForm, given: Sequence[Answer], wanted: Sequence[str]) -> NDArray[np.float32]:
    """Rows (R, 3): the place in TYPES, the uncalibrated probability, and whether it was right."""
    rows: list[tuple[int, float, bool]] = []
    paths = {field.name: field.path for field in form.fields}
    for answer, text in zip(given, wanted):
        want = msgspec.json.decode(text)
        places = {(one.get("label"), one.get("start"), one.get("end")) for one in entities_of(want)}
        for part, kind in zip(answer.parts, answer.types):
            if kind in TYPES:
                right = (
                    (part.name, *part.spans[0]) in places
                    if kind == ENTITY
                    else _same(part.value, value_at(want, paths[part.name]), kind)
                )
                rows.append((TYPES.index(kind), part.confidence or 0.0, right))
        right = record_key(msgspec.json.decode(answer.value), form) == record_key(want, form)
        rows.append((RECORD, answer.probability, right))
    return np.array(rows, dtype=np.float32).reshape(-1, 3)


def confidences(rows: NDArray[np.float32]) -> Confidences:
    """Scales fitted on `outcomes`."""
    scales = {}
    for place in np.unique(rows[:, 0]).astype(int).tolist():
        own = rows[rows[:, 0] == place]
        scales[TYPES[place]] = Platt(*fit_platt(own[:, 1], own[:, 2] > 0))
    whole = scales.pop("record", Platt())
    return Confidences(scales, whole, int((rows[:, 0] == RECORD).sum()))


def _same(given: Any, wanted: Any, kind: str) -> bool:
    """Whether a field's value is the wanted one; what is missing in any way is equal, and choices have no order."""
    if given in (None, "", []) or wanted in (None, "", []):
        return given in (None, "", []) and wanted in (None, "", [])
    if kind == "choices" and isinstance(given, list) and isinstance(wanted, list):
        given, wanted = (sorted(side, key=json_key) for side in (given, wanted))
    return json_key(given) == json_key(wanted)
