"""From a file to a checked Dataset of one Task."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nanosmith.core import registry
from nanosmith.core.errors import InputError
from nanosmith.core.example import Example
from nanosmith.core.limits import MIN_EXAMPLES
from nanosmith.core.task import Kind, Task, Value
from nanosmith.data.checks import evaluation_problems, system_prompt, training_problems
from nanosmith.data.dataset import Dataset
from nanosmith.data.detect import detect
from nanosmith.data.infer import Recognition, recognise
from nanosmith.data.lines import file_problem
from nanosmith.data.problem import Problem, grouped, shown
from nanosmith.data.reading import Reading
from nanosmith.data.record.one_field import is_copied
from nanosmith.data.record.report import record_problems, unseen_values
from nanosmith.data.record.task import Wanted, record_dataset
from nanosmith.data.summary import labels_of

NAMED = 20  # problems named in one error message
DECLARED: dict[Kind | None, Task] = {"choice": Task("choice"), "labels": Task("labels", form="json_list")}
FROM_ENTITIES: dict[Kind, Task] = {
    "choice": Task("choice", form="json_field", field="label"),
    "labels": Task("labels", form="json_field", field="label"),
}
"""What the answers of rows with entities are to other kinds: their label alone."""


class Inspection(msgspec.Struct, frozen=True):
    """What was found in a file.

    `dataset` is None when there is an error; `readable` then still holds the examples that could be read, if their task
    was recognised. `format` is "unknown" when no reader fits; `kind` is None when there was nothing to recognise.
    """

    dataset: Dataset | None
    problems: tuple[Problem, ...]
    format: str = "unknown"
    kind: Kind | None = None
    why: tuple[str, ...] = ()
    readable: Dataset | None = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.level == "error")


def load(
    path: Path | str, *, kind: Kind | None = None, task: Task | None = None, min_examples: int = MIN_EXAMPLES,
    format: str | None = None, schema: Path | str | None = None, labels_alone: bool = False,
) -> Dataset:  # fmt: skip
    """The Dataset of a file; see `inspect` for the arguments. Raises InputError that names all errors (20 in full)."""
    found = inspect(
        path, kind=kind, task=task, min_examples=min_examples, format=format, schema=schema, labels_alone=labels_alone
    )
    if found.dataset is not None:
        return found.dataset
    groups, more = grouped(found.errors, NAMED)
    named = [f"  {group.text}. {group.remedy or ''}".rstrip() for group in groups]
    if more:
        named.append(f"  And {more:,} more: run nanosmith check.")
    count = f"{len(found.errors):,} errors" if len(found.errors) > 1 else "1 error"
    raise InputError(f"the file cannot be used, {count}:\n" + "\n".join(named), where=str(path), code="invalid_file")


def inspect(
    path: Path | str, *, kind: Kind | None = None, task: Task | None = None, min_examples: int = MIN_EXAMPLES,
    format: str | None = None, schema: Path | str | None = None, labels_alone: bool = False,
) -> Inspection:  # fmt: skip
    """Read and check a file; whatever its content, nothing is raised (NotFound for a `format` without a reader).

    `kind` overrides task recognition. With `task` (a test file) the answers are read as that task's, and neither
    `min_examples` nor the checks of training data apply. `format` names the reader instead of looking at the content.
    `schema` is a file with the JSON schema of the records. `labels_alone`: of labels with entities take the labels.
    """
    path = Path(path)
    reader = None if format is None else registry.load("readers", format)
    problem = file_problem(path)
    found = problem or format or detect(path)
    if isinstance(found, Problem):
        return Inspection(None, (found,))
    reading = (reader or registry.load("readers", found))(path)
    problems = [*reading.problems, *_too_few(reading, 1 if task else min_examples)]
    if not reading.examples:
        return Inspection(None, tuple(problems), found)
    if task is None:
        asked = kind or ("choice" if labels_alone and reading.answer_key == "entities" else None)
        return _recognised(path, found, reading, Wanted(asked, schema), problems)
    dataset, misfits = _as_dataset(path, found, reading.examples, _written(reading, task.kind), task)
    more = evaluation_problems(dataset) if len(dataset) else []
    more += unseen_values(dataset) if task.kind == "record" else []
    return _finished(dataset, [*problems, *misfits, *more])


def _recognised(path: Path, format: str, reading: Reading, wanted: Wanted, problems: list[Problem]) -> Inspection:
    examples = reading.examples
    recognition = _recognise(examples, reading.declared, wanted.kind if wanted.schema is None else "record")
    if wanted.kind is None and recognition.field is not None and is_copied(examples, recognition.field):
        recognition = Recognition("record", (f"The values of the one field, {recognition.field!r}, are in the texts.",))
    system = _constant_prompt(examples)
    if recognition.kind == "text":
        system = system or None  # whoever writes reads all that is said
    task = Task(recognition.kind, (), recognition.form, recognition.field, recognition.separator, system)
    why = recognition.why
    if task.kind == "record":
        dataset, found, why = record_dataset(
            Dataset(tuple(examples), task, source=path, format=format, why=why), reading, wanted
        )
    else:
        dataset, found = _as_dataset(path, format, examples, _reread(reading.declared, task.kind), task)
    if not len(dataset):
        return Inspection(None, (*problems, *found), format, task.kind, why)
    task = _with_labels(dataset)
    about = () if task.kind == "text" else _about_prompts(examples, task.system)
    whole = Dataset(dataset.examples, task, source=path, format=format, why=(*why, *about))
    more = record_problems(whole) if task.kind == "record" else []
    return _finished(whole, [*problems, *found, *more, *training_problems(whole)])


def _with_labels(dataset: Dataset) -> Task:
    """The task with the labels that the examples have."""
    if dataset.task.kind in ("record", "text"):
        return dataset.task
    labels = sorted({label for value in dataset.values for label in labels_of(value)})
    return msgspec.structs.replace(dataset.task, labels=tuple(labels))


def _recognise(examples: list[Example], declared: Kind | None, kind: Kind | None) -> Recognition:
    """What the file's keys declare stands, unless `kind` says otherwise."""
    answers = [example.answer for example in examples]
    if any(example.rejected is not None for example in examples):
        return Recognition("text", ("Each line prefers one answer to another one.",))
    if declared == "record" and kind in (None, "record"):
        return Recognition("record", ())
    if declared == "record" and kind in FROM_ENTITIES:
        return Recognition(
            kind, ("The kind was given; of the entities' lines the label alone is used.",), DECLARED[kind].form
        )
    if declared is None or kind in ("record", "text") or (declared, kind) == ("choice", "labels"):
        return recognise(answers, kind)
    if declared == "labels" and kind == "choice":
        return Recognition("choice", ("The kind was given; the file names its answers `labels`.",))
    sentence = recognise(answers, declared).why[0]
    return Recognition(
        declared,
        (f"The file names its answers `{'label' if declared == 'choice' else 'labels'}`.", sentence),
        DECLARED[declared].form,
    )


def _reread(declared: Kind | None, kind: Kind) -> Task | None:
    """The task in whose form a training file's answers stand, where that is another than the recognised one."""
    if declared == "record":
        return FROM_ENTITIES.get(kind)
    return DECLARED[declared] if declared == "labels" and kind == "choice" else None


def _written(reading: Reading, kind: Kind) -> Task | None:
    """The same for a test file: the answers of plain rows are written in the task's form."""
    if reading.answer_key == "entities":
        return FROM_ENTITIES.get(kind)
    return DECLARED.get(reading.declared) if kind in ("choice", "labels") else None


def _as_dataset(
    path: Path, format: str, examples: list[Example], written: Task | None, task: Task
) -> tuple[Dataset, list[Problem]]:
    """The examples whose answers are the task's, and a Problem for each of the others.

    `written` is the task in whose form the answers stand, where it is not `task`'s; they are then rewritten.
    """
    kept, problems = [], []
    for example in examples:
        try:
            value = _fitting((written or task).parse(example.answer), task.kind)
        except InputError:
            problems.append(_misfit(example, task))
            continue
        if "" in labels_of(value) or (task.kind == "text" and not str(value).strip()):
            message, remedy = "a label of the answer is empty", "Write a label, or remove the line."
            problems.append(Problem("error", "empty_answer", message, example.line, remedy))
            continue
        kept.append(msgspec.structs.replace(example, answer=task.render(value)) if written else example)
    return Dataset(tuple(kept), task, source=path, format=format), problems


def _fitting(value: Value, kind: Kind) -> Value:
    """A value as one of this kind. Raises InputError where it has not exactly one label and the kind is choice."""
    if kind in ("record", "text"):
        return value
    if kind == "labels":
        return labels_of(value)
    labels = labels_of(value)
    if len(labels) != 1:
        raise InputError("a choice has one label", got=len(labels))
    return labels[0]


def _misfit(example: Example, task: Task) -> Problem:
    forms = {
        "plain": "one label as text",
        "json_field": f"a JSON object with the field {task.field!r}",
        "json_list": "a JSON list of strings",
        "separated": f"labels separated by {task.separator!r}",
    }
    allowed = "a JSON object" if task.kind == "record" else forms[task.form]
    message = f"the answer has not the form of the others (got {shown(example.answer)}; allowed {allowed})"
    return Problem("error", "answer_form", message, example.line, "Write all answers in one form.")


def _finished(dataset: Dataset, problems: list[Problem]) -> Inspection:
    """Errors first; each Problem once."""
    ordered = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.level != "error"))
    whole = Dataset(
        dataset.examples, dataset.task, source=dataset.source, format=dataset.format, problems=ordered, why=dataset.why
    )
    has_errors = any(problem.level == "error" for problem in ordered)
    return Inspection(None if has_errors else whole, ordered, whole.format, whole.task.kind, whole.why, whole)


def _too_few(reading: Reading, least: int) -> list[Problem]:
    if reading.rows >= least or any(problem.code == "csv_header" for problem in reading.problems):
        return []
    if reading.rows == 0:
        return [Problem("error", "empty_file", "the file holds no example", None, "Write one example per line.")]
    message = f"too few examples (got {reading.rows}; needed {least})"
    return [Problem("error", "few_examples", message, None, "Add examples; 50 to 100 are a good start.")]


def _constant_prompt(examples: list[Example]) -> str | None:
    """The system prompt that all examples share, an empty one where they have none; None where it varies."""
    prompts = {system_prompt(example.messages) or "" for example in examples}
    return prompts.pop() if len(prompts) == 1 else None


def _about_prompts(examples: list[Example], system: str | None) -> tuple[str, ...]:
    if system == "":
        return ()
    if system is not None:
        return (f"All examples have the same system prompt; it is left out of the model's input: {shown(system)}.",)
    return ("System prompts differ between examples and are part of the model's input.",)
