"""What a teacher answers to many texts: bundles on this machine, or a remote model whose answers are kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

import msgspec

from nanosmith.core.errors import InputError, OverBudget, Unavailable
from nanosmith.core.example import Input, as_messages
from nanosmith.core.money import shown_usd
from nanosmith.core.task import Task, Value
from nanosmith.core.watch import Watch
from nanosmith.flows.labelling.asking import Asking, Outcome, Question, ask_all
from nanosmith.flows.labelling.journal import Journal
from nanosmith.flows.labelling.purse import Purse, Rate
from nanosmith.flows.labelling.teachers import Asker, RemoteTeacher, Turns
from nanosmith.flows.teacher import Teacher, open_teacher
from nanosmith.store.home import Home
from nanosmith.store.paid import HomePurse


class Opinions(msgspec.Struct, frozen=True):
    """One value per text, None where the teacher gave none. `weights` say what asking about each text costs beside the
    others; `cost` is what was paid now, in nano-dollars (None: nobody knows); `digests` are those of its bundles."""

    values: list[Value | None]
    weights: list[float]
    cost: int | None
    digests: dict[str, str]


def fitting_teacher(name: str, home: Home, task: Task) -> Teacher:
    """The teacher of this name. Raises NotFound, Damaged, Misconfigured (its key), InputError (another task)."""
    teacher = open_teacher(name, home, task=task)
    _check_kind(teacher, task)
    return teacher


def second_opinions(
    teacher: Teacher, inputs: Sequence[Input], home: Home, *, budget: int | None, watch: Watch
) -> Opinions:
    """Ask the teacher. A remote one is asked what it was not asked before; what that will cost is told first. Raises
    EndpointError, OverBudget, Unavailable, Cancelled."""
    if teacher.remote is None:
        return _local(teacher, inputs, watch)
    return _remote(teacher, [as_messages(one) for one in inputs], home, budget, watch)


def _check_kind(teacher: Teacher, task: Task) -> None:
    """Raises InputError for a teacher that can never agree."""
    own = teacher.predictor.task
    if own.kind != task.kind or (task.labels and not set(task.labels) & set(own.labels)):
        raise InputError(
            "the teacher answers something else", got=f"{teacher.name}: {own.kind}, {_shown(own)}",
            allowed=f"{task.kind}, {_shown(task)}", param="teacher", remedy="Name a teacher of the same task.",
        )  # fmt: skip


def _shown(task: Task) -> str:
    return ", ".join(task.labels[:5]) or "no labels"


def _local(teacher: Teacher, inputs: Sequence[Input], watch: Watch) -> Opinions:
    values: list[Value | None] = []
    for done, given in enumerate(inputs, start=1):
        values.append(teacher.predictor.predict([given])[0].answer)
        watch.check()
        watch.progress("ask the teacher", done, len(inputs))
    lengths = [float(1 + sum(len(turn.content) for turn in as_messages(one))) for one in inputs]
    return Opinions(values, lengths, 0, teacher.digests)


def _remote(teacher: Teacher, inputs: Sequence[Turns], home: Home, budget: int | None, watch: Watch) -> Opinions:
    with closing(HomePurse(home)) as purse:
        asker = RemoteTeacher(teacher.predictor, purse)  # type: ignore[arg-type]  # a remote one is an EndpointPredictor
        return _asked(asker, teacher, inputs, home, budget, watch)


def _asked(
    asker: RemoteTeacher, teacher: Teacher, inputs: Sequence[Turns], home: Home, budget: int | None, watch: Watch
) -> Opinions:
    keys = [asker.key(turns, 0) for turns in inputs]
    likely = [asker.estimate(turns).likely for turns in inputs]
    file = home.cache / "teachers" / hashlib.sha256(teacher.name.encode()).hexdigest()[:16]
    with Journal(file) as journal:
        new = {key: i for i, key in enumerate(keys) if key not in journal.answers}
        _tell(asker, sum(likely[i] for i in new.values()), len(new), len(keys), watch)
        before = journal.cost + journal.unsure
        questions = [Question(asker, inputs[i], key) for key, i in new.items()]
        outcome = ask_all(questions, journal, Asking(), Purse(budget, 0), Rate(None), watch)
        paid = journal.cost + journal.unsure - before
        watch.message(f"Asking {teacher.name} cost {shown_usd(paid) if asker.prices else 'what nobody knows'}.")
        if outcome.stopped:
            raise _stopped(outcome.stopped, outcome.why)
        _tell_left_out(outcome, watch)
        values = [journal.answers[key].answer if key in journal.answers else None for key in keys]
    weights = [float(one) for one in likely] if asker.prices else [float(1 + len(str(one))) for one in inputs]
    return Opinions(list(values), weights, paid if asker.prices else None, {})


def _tell(asker: Asker, likely: int, new: int, total: int, watch: Watch) -> None:
    price = f"about {shown_usd(likely)}" if asker.prices else "its price is not known"
    watch.message(f"{asker.name} is asked about {new:,} of {total:,} texts, the others were asked before: {price}.")


def _tell_left_out(outcome: Outcome, watch: Watch) -> None:
    """How many questions have no answer, and why, the most frequent reason first."""
    reasons = Counter(failure.reason for failure in outcome.failures.values())
    if reasons:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        example = next(iter(outcome.failures.values())).message
        watch.message(f"No answer of use to {reasons.total():,}: {counts}; {example}", "warn")


def _stopped(reason: str, why: str) -> OverBudget | Unavailable:
    """What was answered is kept, so that the next run goes on."""
    if reason == "budget":
        return OverBudget(f"the teacher was not asked about all texts: {why}", remedy="Run it again with more.")
    return Unavailable(f"the teacher was not asked about all texts: {why}", remedy="Run it again later.")
