"""The plan: what becomes what. Each Step knows its Item, and how to make it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol, TypeAlias

import msgspec
from sqlalchemy.exc import IntegrityError

from nanosmith.core.errors import InputError
from nanosmith.core.watch import Watch
from nanosmith.server.services import Services
from nanosmith.store.ledger import ALPHABET

Kind: TypeAlias = Literal["file", "completions", "eval", "job", "other"]
State: TypeAlias = Literal["ready", "done", "blocked", "left"]
STAGE = "importing"


class Item(msgspec.Struct):
    """One line of the plan: the file that it stands in, its name, and what it is.

    `ready`: it will be made; `done`: it is there, as the ids in `made`; `blocked`: `why` says what to do first; `left`:
    it does not come along, and `why` says why.
    """

    kind: Kind
    source: str
    name: str
    what: str
    state: State
    becomes: str | None = None
    why: str | None = None
    notes: list[str] = []
    made: list[str] = []

    def block(self, why: str) -> None:
        self.state, self.becomes, self.why = "blocked", None, why

    def done(self, *made: str) -> None:
        self.state, self.made = "done", list(made)


class Step(Protocol):
    """Makes what its item says. Killed in the middle, it can be made again; nothing is made twice."""

    item: Item

    def make(self, home: Services, watch: Watch) -> None: ...


class Plan(msgspec.Struct):
    """`steps` in the order in which they can be made; `left` is what does not come along."""

    steps: list[Step]
    left: list[Item]

    @property
    def items(self) -> list[Item]:
        return [*(step.item for step in self.steps), *self.left]

    def make(self, home: Services, watch: Watch) -> None:
        """Make all that is ready; what proves wrong only now is blocked. Stops at what the disk or the project's limits
        do not allow."""
        steps = [step for step in self.steps if step.item.state == "ready"]
        for made, step in enumerate(steps, start=1):
            try:
                step.make(home, watch)
            except InputError as error:
                step.item.block(str(error))
            watch.progress(STAGE, made, len(steps))


def made_id(prefix: str, *parts: str) -> str:
    """An id that follows from `parts`: what is imported once more is found under it, and not made again."""
    number = int.from_bytes(hashlib.sha256(msgspec.json.encode(parts)).digest())
    return prefix + "".join(ALPHABET[number // 62**i % 62] for i in range(24))


@contextmanager
def unless_there(is_there: Callable[[], object]) -> Iterator[None]:
    """Rows that another import adds in the same moment are as good as ours."""
    try:
        yield
    except IntegrityError:
        if not is_there():
            raise


def number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def joined(names: Sequence[str]) -> str:
    """The first name, and how many follow."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
