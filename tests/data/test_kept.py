"""Examples that are kept for a retraining."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.core.errors import Damaged
from nanosmith.core.example import Example, Message
from nanosmith.core.task import Task
from nanosmith.data.dataset import Dataset
from nanosmith.data.kept import TRAIN_FILE, Kept, find_kept, forget, keep
from nanosmith.data.load import load

TASK = Task("choice", ("login", "refund"))
TRAIN = Dataset(
    (
        Example((Message("user", "hi"), Message("assistant", "yes?"), Message("user", "money ☂")), "refund", 3, 0.25),
        Example((Message("system", "Which?"), Message("user", "password")), "login", 4, soft={"login": 0.7}),
    ),
    TASK,
)
TEST = Dataset((Example((Message("user", "sign in"),), "login", 9),), TASK)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    """Turns, answers, lines and weights are those that were kept; the held-out examples are apart."""
    keep(tmp_path, TRAIN.digest, Kept(TRAIN, TEST))
    found = find_kept(tmp_path, TRAIN.digest, TASK)
    assert found is not None
    assert (found.train.examples, found.test.examples) == (TRAIN.examples, TEST.examples)
    assert found.train.digest == TRAIN.digest


def test_file_is_a_data_file(tmp_path: Path) -> None:
    """What is kept can be read as a training file in the chat format; context stays context."""
    keep(tmp_path, TRAIN.digest, Kept(TRAIN, TEST))
    again = load(tmp_path / TRAIN.digest / TRAIN_FILE, task=TASK)
    assert [(example.messages, example.answer) for example in again.examples] == [
        (example.messages, example.answer) for example in TRAIN.examples
    ]


def test_nothing_kept(tmp_path: Path) -> None:
    """Without a folder of that digest, or after it was forgotten, there is nothing."""
    assert find_kept(tmp_path, "absent", TASK) is None
    assert find_kept(tmp_path, "", TASK) is None
    keep(tmp_path, "d", Kept(TRAIN, TEST))
    forget(tmp_path, "d")
    assert find_kept(tmp_path, "d", TASK) is None


def test_damaged_file_is_named(tmp_path: Path) -> None:
    """A file that cannot be read gives an error that names it and says what to do."""
    keep(tmp_path, TRAIN.digest, Kept(TRAIN, TEST))
    (tmp_path / TRAIN.digest / TRAIN_FILE).write_text('{"messages": 3}\n')
    with pytest.raises(Damaged, match=r"train\.jsonl.*--replay"):
        find_kept(tmp_path, TRAIN.digest, TASK)


def test_digest_names_no_other_folder(tmp_path: Path) -> None:
    """A manifest that names a path as its digest reaches nothing outside of the folder."""
    (tmp_path / "precious").mkdir()
    forget(tmp_path / "examples", "../precious")
    keep(tmp_path / "examples", "../other", Kept(TRAIN, TEST))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["examples", "precious"]
