"""The form of records: from the examples' answers, and from a JSON schema where one is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nanosmith.core.record import Field, RecordForm
from nanosmith.data.checks import listed
from nanosmith.data.problem import shown
from nanosmith.data.record.columns import ABSENT, Column, Unlike, columns, entities_of, have_entities, inner_objects
from nanosmith.data.record.decide import Decision, chosen_field, decide, members_field
from nanosmith.data.record.locate import Text
from nanosmith.data.record.schema import Spec, schema_of, specs_of

KINDS = {
    "span": "copied", "spans": "a list of copies", "choice": "one of {} values",
    "choices": "a list of some of {} values", "constant": "always the same",
}  # fmt: skip

NAMED = 12  # fields of one sentence


class Built(msgspec.Struct, frozen=True):
    """A form (None where no field could have the values) and the sentences that say why. `open` names the fields whose
    values are neither a closed set nor found in the texts: they make the task one of free text."""

    form: RecordForm | None
    why: tuple[str, ...]
    open: tuple[str, ...] = ()


def build(
    answers: Sequence[Mapping[str, Any]], texts: Sequence[str], *, schema: Mapping[str, Any] | None = None,
    function: str | None = None,
) -> Built:  # fmt: skip
    """The form of these answers (N) to these texts (N)."""
    with_entities = [answer for answer in answers if entities_of(answer)] if have_entities(answers) else []
    labels = tuple(sorted({entity["label"] for answer in with_entities for entity in entities_of(answer)}))
    specs = {} if schema is None else specs_of(schema)
    try:
        found = columns(answers)
        looked_in = [Text(text) for text in texts]
        decisions = [_decided(column, looked_in, specs.get(column.path)) for column in found]
    except Unlike as unlike:
        return Built(None, (f"{str(unlike).capitalize()}.",))
    fields = tuple(decision.field for decision in decisions)
    form = RecordForm(fields, labels, {}, function, inner_objects(answers))
    form = msgspec.structs.replace(form, schema=schema_of(form) if schema is None else schema)
    openly = [decision for decision in decisions if decision.open]
    why = [f"The field {shown(decision.field.name)}: {decision.why}." for decision in openly]
    return Built(form, tuple(why) or _sentences(form), tuple(decision.field.name for decision in openly))


def _decided(column: Column, texts: Sequence[Text], spec: Spec | None) -> Decision:
    """What the schema says stands; it is silent of what is copied and how, and of what is missing where."""
    if spec is None or spec.values is None:
        return decide(column, texts, is_open=spec is not None)
    if spec.many:
        return Decision(members_field(column, spec.values), "the schema names its values")
    seen = {msgspec.json.encode(value).decode() for value in column.values if value is not ABSENT}
    values = {*spec.values, *({"null"} & seen)}
    return Decision(chosen_field(column, values), "the schema names its values")


def _sentences(form: RecordForm) -> tuple[str, ...]:
    sentences = []
    if form.fields:
        named = [f"{shown(one.name)} is {KINDS[one.type].format(len(one.values))}{_how(one)}" for one in form.fields]
        more = f" and {len(named) - NAMED:,} more" if len(named) > NAMED else ""
        count = f"{len(named):,} fields" if len(named) > 1 else "the field"
        sentences.append(f"The answers are JSON objects with {count}: {', '.join(named[:NAMED])}{more}.")
    if form.entities:
        count = f"{len(form.entities):,} labels" if len(form.entities) > 1 else "the label"
        sentences.append(f"Entities with offsets have {count}: {listed(form.entities)}.")
    return tuple(sentences)


def _how(field: Field) -> str:
    return f" ({field.normal})" if field.type in ("span", "spans") else ""
