"""Task recognition from the assistant's answers."""

from __future__ import annotations

import json
import random
from itertools import cycle, islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.task import Kind
from nanosmith.data.infer import Recognition, recognise

RANDOM = random.Random(0)
TAGS = [f"tag {i}" for i in range(12)]


def repeated(answers: list[str], n: int) -> list[str]:
    return list(islice(cycle(answers), n))


def essay(i: int) -> str:
    return f"Thank you for asking about item {i}; we will look into it as soon as we can."


def tag_sets(n: int, most: int) -> list[list[str]]:
    return [RANDOM.sample(TAGS, RANDOM.randint(1, most)) for _ in range(n)]


CHOICES: dict[str, list[str]] = {
    "two labels, ten examples": repeated(["a", "b"], 10),
    "nine to one": ["spam"] * 9 + ["ham"],
    "few examples, each label once or twice": list("aabbccddefgh"),
    "77 labels, two examples each": repeated([f"intent_{i}" for i in range(77)], 154),
    "a comma inside labels": repeated(["Books, films", "Toys, games", "Food"], 30),
    "a shared word before the comma": repeated(["Books, films", "Books, games", "Toys"], 30),
    "two-level labels": repeated(["Sales, EU", "Sales, US", "Support, EU", "Support, US"], 40),
    "canned replies": repeated([essay(i) for i in range(5)], 100),
    "canned replies and three others": repeated([essay(i) for i in range(5)], 100) + [essay(i) for i in range(7, 10)],
    "short labels and rare typos": repeated(["refund", "login"], 970) + [f"refun{i}" for i in range(30)],
    "numbers": repeated(["1", "2", "3", "4", "5"], 50),
    "decimal commas": repeated(["1,5", "2,5", "1,2", "5"], 40),
    "two spellings": ["Refund"] * 5 + ["refund"] * 5,
    "short sentences": repeated(["Yes.", "No."], 20),
    "another script": repeated(["退款", "登录"], 20),
    "more labels than are allowed": repeated([f"category {i}" for i in range(3_000)], 30_000),
}
TEXTS: dict[str, list[str]] = {
    "ten long answers": [essay(i) for i in range(10)],
    "one frequent answer, many essays": ["I don't know."] * 850 + [essay(i) for i in range(150)],
    "names": [f"Name{i} Surname{i}" for i in range(30)],
    "measurements": [f"{i / 977:.4f}" for i in range(1_000)],
    "places": [f"City{i}, {RANDOM.choice(['UK', 'FR'])}" for i in range(60)],
    "chat": [
        "lol",
        "lol",
        "no way",
        "see you at 5",
        "nice one",
        "what?",
        "fine",
        "sure thing",
        "maybe later",
        "ok then",
    ],
    "broken JSON": ['{"a": ' + str(i) for i in range(20)],
}


@pytest.mark.parametrize("name", CHOICES)
def test_choice(name: str) -> None:
    """A small closed set of strings is a choice, whatever the strings look like."""
    found = recognise(CHOICES[name])
    assert (found.kind, found.form) == ("choice", "plain")
    assert f"{len(CHOICES[name]):,} answers" in found.why[0]


@pytest.mark.parametrize("name", TEXTS)
def test_text(name: str) -> None:
    """Answers that hardly repeat are free text."""
    assert recognise(TEXTS[name]).kind == "text"


@pytest.mark.parametrize("separator", [", ", ",", "; ", " | ", "\n"])
@pytest.mark.parametrize("n", [40, 2_000])
def test_separated_labels(separator: str, n: int) -> None:
    """Parts that recombine are labels; the separator is found with its spaces."""
    found = recognise([separator.join(tags) for tags in tag_sets(n, 3)])
    assert (found.kind, found.form, found.separator) == ("labels", "separated", separator)


@pytest.mark.parametrize("answers", [["a", "b", "a, b"], ["a, b", "b, c", "a, c"], ["a, b", "b, a", "c, a", "c, b"]])
def test_small_sets_of_labels(answers: list[str]) -> None:
    """Answers that are few themselves are still sets, if parts stand alone or at several places."""
    assert recognise(repeated(answers, 30)).kind == "labels"


def test_json_list() -> None:
    """JSON lists of strings from a closed set are labels; empty lists are fine."""
    found = recognise([json.dumps(tags) for tags in tag_sets(100, 3)] + ["[]"] * 5)
    assert (found.kind, found.form, found.field) == ("labels", "json_list", None)


def test_json_field_with_a_list() -> None:
    """So are JSON objects whose only field holds such a list."""
    found = recognise([json.dumps({"tags": tags}) for tags in tag_sets(100, 3)])
    assert (found.kind, found.form, found.field) == ("labels", "json_field", "tags")


def test_json_field() -> None:
    """JSON objects with one text field from a closed set are a choice; a few misfits do not count."""
    found = recognise([*repeated(['{"intent": "a"}', '{"intent":"b"}'], 40), '{"intent": "b"'])
    assert (found.kind, found.form, found.field) == ("choice", "json_field", "intent")


RECORDS: list[list[Any]] = [
    [{"a": "x", "b": i % 2} for i in range(20)],
    [{"name": f"n{i}"} for i in range(20)],
    [{"spam": i % 2 == 0} for i in range(20)],
    [{"a": "x"}] * 8 + [{"a": "x", "b": "y"}] * 4,
    [[f"n{i}"] for i in range(20)],
    [[{"a": 1}]] * 20,
    [{}] * 20,
]


@pytest.mark.parametrize("answers", RECORDS)
def test_record(answers: list[Any]) -> None:
    """JSON with several fields, other types or values from no closed set is a record."""
    assert recognise([json.dumps(answer) for answer in answers]).kind == "record"


@pytest.mark.parametrize("kind", ["choice", "labels", "record", "text"])
def test_kind_is_given(kind: Kind) -> None:
    """A given kind stands, and the reasons say that it was given."""
    found = recognise([essay(i) for i in range(10)], kind)
    assert found.kind == kind
    assert "given" in " ".join(found.why)


def test_labels_are_given_for_plain_answers() -> None:
    """Labels that were asked for are separated by the mark that occurs most."""
    assert recognise(["a;b", "c;d", "e"], "labels").separator == ";"
    assert recognise(["a", "b"], "labels").separator == ", "


def test_why_has_the_figures() -> None:
    """The reason names the number of answers, of labels, and the most and least frequent label."""
    why = recognise(["b"] * 1_200 + ["a"] * 34).why[0]
    assert why.startswith("All 1,234 answers are one of 2 strings; ")
    assert why.endswith('the most frequent is "b" (1,200 times), the least frequent "a" (34).')
    assert "numbers" in " ".join(recognise(["1", "2"] * 5).why)


@given(
    st.lists(st.text() | st.sampled_from(["a", "b", "a, b", "[", "{}", '["a"]', '{"x":"a"}', "[[" * 5_000]), min_size=1)
)
def test_any_answers(answers: list[str]) -> None:
    """Any answers are recognised as something, with a reason."""
    found = recognise(answers)
    assert isinstance(found, Recognition)
    assert found.why
