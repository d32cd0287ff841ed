"""Findings and their order."""

from __future__ import annotations

from nanosmith.core.example import Example, Message
from nanosmith.core.task import Task
from nanosmith.data.audit.findings import Finding, findings, problem_findings
from nanosmith.data.audit.suspects import Suspect
from nanosmith.data.dataset import Dataset
from nanosmith.data.problem import Problem

CARD = "4111 1111 1111 1111"


def dataset(rows: list[tuple[str, str]], system: str | None = None) -> Dataset:
    examples = [Example((Message("user", text),), label, i + 1) for i, (text, label) in enumerate(rows)]
    return Dataset(tuple(examples), Task("choice", tuple(sorted({label for _, label in rows})), system=system))


TRAIN = dataset([
    ("where is my parcel", "delivery"), ("I want my money back", "refund"), ("Where is my parcel?", "login"),
    ("I want my money back!", "refund"), (f"card {CARD} was charged twice", "refund"), ("sign me in", "refund"),
])  # fmt: skip


def found_by(code: str, all_of_them: list[Finding]) -> list[Finding]:
    return [one for one in all_of_them if one.code == code]


def test_order() -> None:
    """What is sure and harmful comes first: errors, conflicts, a sure label error, personal data, a doubtful one."""
    problems = [Problem("error", "bad_label", "no label", 9), Problem("warning", "imbalance", "imbalanced")]
    found = findings(TRAIN, [Suspect(5, "login", 0.99), Suspect(1, "login", 0.51)], problems)
    assert [one.code for one in found] == [
        "bad_label", "conflicting_labels", "label_error", "pii_card", "label_error", "imbalance", "duplicates",
    ]  # fmt: skip
    assert [one.priority for one in found] == sorted((one.priority for one in found), reverse=True)


def test_label_error() -> None:
    """A label error says where, what was given, what fits better and how sure that is."""
    (one,) = found_by("label_error", findings(TRAIN, [Suspect(5, "login", 0.9)]))
    assert (one.file, one.line, one.given, one.suggested, one.probability) == ("train", 6, "refund", "login", 0.9)


def test_pairs_name_the_other_line() -> None:
    """Conflicts and duplicates name the line with which they were compared."""
    found = findings(TRAIN, [])
    assert [(one.line, one.other_line) for one in found_by("conflicting_labels", found)] == [(3, 1)]
    assert [(one.line, one.other_line) for one in found_by("duplicates", found)] == [(4, 2)]


def test_near_duplicates_with_other_answers_come_first() -> None:
    """Nearly equal texts are a conflict where the answers differ."""
    text = "could you please tell me where my parcel number {} is at the moment"
    rows = [(text.format(1), "a"), (text.format(2), "b"), (text.format(3), "a")]
    assert [(one.code, one.line) for one in findings(dataset(rows), [])] == [
        ("near_conflict", 2),
        ("near_duplicates", 3),
    ]


def test_leakage() -> None:
    """A test text that is in the training file is named with both lines, with its other answer if it has one."""
    test = dataset([("something new", "login"), ("where is my parcel", "refund")])
    (one,) = found_by("shared_text", findings(TRAIN, [], (), test))
    assert (one.file, one.line, one.other_file, one.other_line) == ("test", 2, "train", 1)
    assert "delivery" in one.message


def test_personal_data_is_masked_everywhere() -> None:
    """Neither texts nor messages hold it, also where a text is shown for another reason."""
    twice = dataset([(f"card {CARD}", "a"), (f"card {CARD}!", "b"), ("mail", "a")], system="Ask bob@corp.org.")
    problem = Problem("warning", "long_text", f"long: card {CARD}")
    found = findings(twice, [Suspect(0, "b", 0.9)], [problem])
    assert {"conflicting_labels", "label_error", "pii_card", "pii_email"} <= {one.code for one in found}
    assert CARD not in str(found)
    assert "bob@" not in str(found)
    assert "[card]" in str(found)


def test_personal_data_once_per_line() -> None:
    """The same number twice in a line is one finding."""
    assert len(found_by("pii_card", findings(dataset([(f"{CARD} or {CARD}", "a"), ("x", "b")]), []))) == 1


def test_summaries_are_not_repeated() -> None:
    """Problems whose examples are findings of their own are left out, the others are kept."""
    problems = [Problem("warning", "duplicates", "duplicates: 1"), Problem("warning", "label_once", "once")]
    assert [one.code for one in problem_findings(problems, ())] == ["label_once"]
