"""How far the autopilot of each route is, and what it did: documents of the project."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from nanosmith.core.errors import Damaged
from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import Document

AUTOPILOT, EVENT = "autopilot", "autopilot.event"
Phase: TypeAlias = Literal["observe", "train", "shadow", "canary", "serve"]


class Local(msgspec.Struct, frozen=True):
    """A model that the autopilot made, by its name and bundle digest. It learnt from `lessons` examples, and answers
    from the confidence `threshold` on; `since` is the Unix time when it entered its phase. `certificate` is the path of
    the one that says so."""

    model: str
    digest: str
    lessons: int
    since: int
    threshold: float = 1.0
    certificate: str | None = None


class State(msgspec.Struct, frozen=True):
    """`serving` answers all requests but a few, which go to the teacher to keep watch; `candidate` is on its way there.
    `tried` counts the models made, `lessons` what there was to learn from at the last attempt. What was captured before
    `learn_from` (Unix time) is not used any more. `why` says in a sentence what was decided last."""

    phase: Phase = "observe"
    candidate: Local | None = None
    serving: Local | None = None
    tried: int = 0
    lessons: int = 0
    learn_from: int = 0
    why: str = ""


def read_state(ledger: Ledger, route: str) -> State:
    """Raises Damaged."""
    row = ledger.document(AUTOPILOT, route)
    if row is None:
        return State()
    try:
        return msgspec.convert(row.body, State)
    except msgspec.ValidationError as error:
        raise Damaged("the state of the autopilot cannot be read", where=route, got=str(error)) from error


def write_state(
    ledger: Ledger, route: str, state: State, figures: dict[str, Any] | None = None, also: Iterable[Document] = ()
) -> None:
    """The state and, in the same transaction, what led to it, for the audit trail, and what is in `also`."""
    now, body = int(time.time()), msgspec.to_builtins(state)
    event = Document(EVENT, new_id("auto-"), now, {"phase": state.phase, "why": state.why} | (figures or {}), route)
    if ledger.document(AUTOPILOT, route) is None:
        ledger.add(Document(AUTOPILOT, route, now, body), event, *also)
    else:
        ledger.update_document(AUTOPILOT, route, also=[event, *also], body=body)


def trail(ledger: Ledger, route: str, limit: int = 100) -> list[Document]:
    """What was decided, newest first: `body` has the phase, why, and the figures."""
    return list(ledger.documents(EVENT, parent=route, limit=limit))
