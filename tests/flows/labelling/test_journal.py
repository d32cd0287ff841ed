"""The journal of answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.core.errors import Damaged, InputError
from nanosmith.flows.labelling.journal import Entry, Journal

ANSWER = Entry("k1", "refund", {"refund": 0.9}, cost=7)
ENTRIES = [ANSWER, Entry("k2", ("a", "b"), cost=1), Entry("k3", cost=5), Entry("k3", cost=9, sure=False)]


def test_entries_come_back(tmp_path: Path) -> None:
    """Answers by key, and what all runs spent for sure and perhaps."""
    out = tmp_path / "out.jsonl"
    with Journal(out) as journal:
        journal.add(ENTRIES)
        journal.add([])
    with Journal(out) as again:
        assert again.answers["k1"] == ANSWER
        assert again.answers["k2"].value == ("a", "b")
        assert "k3" not in again.answers
        assert (again.cost, again.unsure) == (13, 9)


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_half_a_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    """A run that was killed while it wrote loses that line alone, and what is added then can be read."""
    out = tmp_path / "out.jsonl"
    with Journal(out) as journal:
        journal.add(ENTRIES)
        path = journal.path
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - min(cut, len(content.splitlines()[-1]))])
    with Journal(out) as journal:
        assert (len(journal.answers), journal.unsure) == (2, 0)
        journal.add([Entry("k4", "login")])
    with Journal(out) as again:
        assert set(again.answers) == {"k1", "k2", "k4"}


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A file that is no journal is named, and left as it is."""
    out = tmp_path / "out.jsonl"
    path = out.with_name("out.jsonl.journal")
    path.write_text('{"text": "a"}\n')
    with pytest.raises(Damaged, match=r"out\.jsonl\.journal:1"), Journal(out):
        pass
    assert path.read_text() == '{"text": "a"}\n'


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    """The second run over one file is told of the first."""
    with Journal(tmp_path / "o"), pytest.raises(InputError, match="another run"), Journal(tmp_path / "o"):
        pass
