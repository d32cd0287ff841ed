"""Checks over all examples of a Dataset: labels, lengths, duplicates, conflicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanosmith.core.example import Message
from nanosmith.core.limits import MAX_ENCODER_TOKENS, MAX_LABELS, MAX_TFIDF_WORDS
from nanosmith.core.task import SYSTEM_ROLES, Value
from nanosmith.data.dataset import Dataset
from nanosmith.data.near import near_pairs
from nanosmith.data.normal import groups, normalise
from nanosmith.data.problem import Problem, shown
from nanosmith.data.summary import label_counts, labels_of

ASIDE = ", case and punctuation aside"
EXAMPLES = 3  # shown of each warning
ANSWER_CHARS = 100  # of an answer that is shown; a longer one is cut
LONG_CHARS = 8 * MAX_ENCODER_TOKENS  # characters that certainly are more tokens than an encoder reads
IMBALANCE = 20  # times as many examples of the most frequent label as of the least frequent


def training_problems(dataset: Dataset) -> list[Problem]:
    """Everything that is worth knowing before training on these examples."""
    keys = [normalise(text) for text in dataset.texts]
    return [*_label_problems(dataset), *_long_texts(dataset), *_repeated(dataset, keys), *_near(dataset, keys)]


def evaluation_problems(dataset: Dataset) -> list[Problem]:
    """Everything that is worth knowing before testing on these examples, whose task is known."""
    keys = [normalise(text) for text in dataset.texts]
    unseen = unseen_labels(dataset, dataset.task.labels)
    return [*unseen, *_other_prompts(dataset), *_long_texts(dataset), *_repeated(dataset, keys)]


def unseen_labels(dataset: Dataset, known: Sequence[str]) -> list[Problem]:
    """A warning when examples have labels that are not among the known ones."""
    if dataset.task.kind in ("record", "text"):
        return []
    names = set(known)
    members = [i for i, value in enumerate(dataset.values) if not names.issuperset(labels_of(value))]
    new = [label for label in label_counts(dataset) if label not in names]
    message = (
        f"examples with labels that the training data lacks ({listed(new)}): {len(members):,} of {len(dataset):,}; "
        "they can only be answered wrongly"
    )
    remedy = "Add training examples for these labels, or remove the lines."
    return warning("unseen_label", message, remedy, dataset, members)


def warning(
    code: str, message: str, remedy: str, dataset: Dataset, members: Sequence[int],
    describe: Callable[[int], str] | None = None,
) -> list[Problem]:  # fmt: skip
    """One warning about the examples at these positions, with the first few of them; none where there are none."""
    if not members:
        return []
    examples = tuple((describe or _described(dataset))(i) for i in members[:EXAMPLES])
    line = dataset.examples[members[0]].line
    return [Problem("warning", code, message, line, remedy, len(members), examples)]


def listed(names: Sequence[str]) -> str:
    """The first names in quotes, and how many follow."""
    more = f" and {len(names) - EXAMPLES:,} more" if len(names) > EXAMPLES else ""
    return ", ".join(shown(name) for name in names[:EXAMPLES]) + more


def value_text(value: Value) -> str:
    text = ", ".join(labels_of(value)) or "(no label)"
    return text if len(text) <= ANSWER_CHARS else shown(text)


def _described(dataset: Dataset) -> Callable[[int], str]:
    def describe(i: int) -> str:
        return f"line {dataset.examples[i].line}: {shown(dataset.texts[i])}"

    return describe


def _label_problems(dataset: Dataset) -> list[Problem]:
    if dataset.task.kind in ("record", "text"):
        return []
    counts = label_counts(dataset)
    problems: list[Problem] = []
    always = len(counts) == 1 and all(labels_of(value) for value in dataset.values)
    if not counts or always:
        what = f"the only label is {shown(next(iter(counts)))}" if counts else "no example has a label"
        problems.append(Problem("error", "one_label", what, remedy="Add examples of at least one other label."))
    if len(counts) > MAX_LABELS:
        message = f"too many labels (got {len(counts):,}; allowed {MAX_LABELS:,})"
        problems.append(Problem("error", "many_labels", message, remedy="Merge rare labels, or split the task."))
    return [*problems, *_seen_once(dataset, counts), *spelling_problems(counts), *_imbalance(counts)]


def _seen_once(dataset: Dataset, counts: dict[str, int]) -> list[Problem]:
    once = {label for label, count in counts.items() if count == 1}
    members = [i for i, value in enumerate(dataset.values) if not once.isdisjoint(labels_of(value))]
    message = f"labels that occur once: {len(once):,}; they are learnt, but cannot be held out to be checked"
    remedy = "Add a second example of each, or remove the label."

    def describe(i: int) -> str:
        return f"line {dataset.examples[i].line}: {listed([x for x in labels_of(dataset.values[i]) if x in once])}"

    return warning("label_once", message, remedy, dataset, members, describe)


def spelling_problems(counts: dict[str, int]) -> list[Problem]:
    """Labels that differ in case or spacing only; they are not merged."""
    names = list(counts)
    alike = [[names[i] for i in group] for group in groups(" ".join(name.casefold().split()) for name in names)]
    alike = [group for group in alike if len(group) > 1]
    if not alike:
        return []
    examples = tuple(" / ".join(f"{shown(name)} ({counts[name]:,})" for name in group) for group in alike[:EXAMPLES])
    message = f"labels written in several ways: {len(alike):,}; each spelling is a label of its own"
    remedy = "Write each label in one way."
    return [Problem("warning", "label_spelling", message, None, remedy, len(alike), examples)]


def _imbalance(counts: dict[str, int]) -> list[Problem]:
    if len(counts) < 2:
        return []
    (most, most_count), *_, (least, least_count) = counts.items()
    if most_count < IMBALANCE * least_count:
        return []
    message = f"imbalanced labels: {shown(most)} has {most_count:,} examples, {shown(least)} has {least_count:,}"
    return [Problem("warning", "imbalance", message, None, "Look at the scores of rare labels; add examples of them.")]


def _long_texts(dataset: Dataset) -> list[Problem]:
    """Of the kinds whose encoders read the beginning of a text alone."""
    if dataset.task.kind in ("record", "text"):
        return []
    sizes = [len(text) for text in dataset.texts]
    members = [i for i, size in enumerate(sizes) if size > LONG_CHARS]
    message = (
        f"texts longer than {LONG_CHARS:,} characters: {len(members):,}, the longest has {max(sizes):,}; "
        f"encoders read the first {MAX_ENCODER_TOKENS} tokens of a text alone, TF-IDF {MAX_TFIDF_WORDS:,} words"
    )
    remedy = "Put what matters first, or shorten the text."

    def describe(i: int) -> str:
        return f"line {dataset.examples[i].line}: {sizes[i]:,} characters"

    return warning("long_text", message, remedy, dataset, members, describe)


def same_texts(values: Sequence[Value], keys: Sequence[str]) -> tuple[dict[int, int], dict[int, list[int]]]:
    """Positions whose normalised texts (keys) are equal: each one that repeats an earlier answer, with the first of
    that answer; and the first of each text with several answers, with the first position of every answer."""
    repeated: dict[int, int] = {}
    conflicts: dict[int, list[int]] = {}
    for group in groups(keys):
        first_of = {values[i]: i for i in reversed(group)}
        repeated |= {i: first_of[values[i]] for i in group if first_of[values[i]] != i}
        if len(first_of) > 1:
            conflicts[group[0]] = sorted(first_of.values())
    return repeated, conflicts


def near_texts(keys: Sequence[str]) -> dict[int, int]:
    """Positions whose normalised texts (keys) are nearly the same as an earlier one, which is the value."""
    first = [group[0] for group in groups(keys)]
    return {first[i]: first[j] for i, j in near_pairs([keys[i] for i in first])}


def _repeated(dataset: Dataset, keys: Sequence[str]) -> list[Problem]:
    """Texts that are equal after normalisation: with the same answer (duplicates), with different ones (conflicts).

    A text may be answered by several other texts.
    """
    values = dataset.values
    repeated, conflicts = same_texts(values, keys)
    conflicts = {} if dataset.task.kind == "text" else conflicts

    def describe(i: int) -> str:
        answers = " / ".join(f"{value_text(values[j])} (line {dataset.examples[j].line})" for j in conflicts[i])
        return f"{shown(dataset.texts[i])}: {answers}"

    same = f"examples that repeat an earlier text with the same answer{ASIDE}: {len(repeated):,}"
    different = f"texts with different answers{ASIDE}: {len(conflicts):,}"
    return [
        *warning("conflicting_labels", different, "Decide on one answer for each.", dataset, list(conflicts), describe),
        *warning("duplicates", same, "Remove them, unless they should count more.", dataset, sorted(repeated)),
    ]


def _near(dataset: Dataset, keys: Sequence[str]) -> list[Problem]:
    pairs = near_texts(keys)
    differ = sum(dataset.values[i] != dataset.values[j] for i, j in pairs.items())

    def describe(i: int) -> str:
        j = pairs[i]
        lines = f"lines {dataset.examples[j].line} and {dataset.examples[i].line}"
        return f"{lines}: {shown(dataset.texts[j])} / {shown(dataset.texts[i])}"

    message = f"texts that are nearly the same as an earlier one: {len(pairs):,}, with another answer: {differ:,}"
    members = sorted(pairs, key=lambda i: (dataset.values[i] == dataset.values[pairs[i]], i))
    remedy = "Look at those with another answer first."
    return warning("near_duplicates", message, remedy, dataset, members, describe)


def _other_prompts(dataset: Dataset) -> list[Problem]:
    """System prompts that differ from the one of the training data, which is left out of the input."""
    if dataset.task.system is None:
        return []
    members = [
        i for i, example in enumerate(dataset.examples)
        if (prompt := system_prompt(example.messages)) is not None and prompt != dataset.task.system
    ]  # fmt: skip
    message = f"examples with another system prompt than the training data: {len(members):,}; no system prompt is read"
    return warning("other_system_prompt", message, "Use the training data's system prompt, or none.", dataset, members)


def system_prompt(messages: Sequence[Message]) -> str | None:
    """The system and developer messages of an input, joined by line breaks; None where there are none."""
    prompts = [m.content for m in messages if m.role in SYSTEM_ROLES]
    return "\n".join(prompts) if prompts else None
