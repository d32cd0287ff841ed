"""Bad input through the public doors: each gets one clear error, the right exit code, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nanosmith.store.bundles import Bundle
from nanosmith.testing import tiny_bundle, topic_rows, write_chat

NANOSMITH = [sys.executable, "-m", "nanosmith"]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command; whatever happens, there is no traceback."""
    done = subprocess.run([*NANOSMITH, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr + done.stdout
    return done


def refused(path: Path, *words: str) -> str:
    """`check` and `tune` both refuse the file with exit code 2, and say all of `words`."""
    checked, tuned = run("check", path), run("tune", path)
    assert (checked.returncode, tuned.returncode) == (2, 2)
    for word in words:
        assert word in checked.stdout + checked.stderr
        assert word in tuned.stderr
    return tuned.stderr


def warned(path: Path, code: str) -> dict[str, object]:
    """`check` accepts the file with exit code 0 and warns with `code`."""
    done = run("check", path, "--json")
    assert done.returncode == 0
    problems = [problem for problem in json.loads(done.stdout)["problems"] if problem["code"] == code]
    assert [problem["level"] for problem in problems] == ["warning"] * max(1, len(problems))
    return problems[0]  # type: ignore[no-any-return]


@pytest.fixture
def rows() -> list[tuple[str, str]]:
    return topic_rows(30)


def test_not_utf8(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """The line of the byte that is not UTF-8 is named."""
    path = write_chat(tmp_path / "t.jsonl", rows)
    path.write_bytes(path.read_bytes().replace(b"password is not accepted on 4", b"passw\xf6rd", 1))
    refused(path, "line 5", "UTF-8")


def test_json_error_at_line_7000(tmp_path: Path) -> None:
    """One broken line among thousands is named by its number."""
    path = write_chat(tmp_path / "t.jsonl", topic_rows(9_000))
    lines = path.read_text().splitlines(keepends=True)
    lines[6_999] = lines[6_999].replace('"role"', '"role', 1)
    path.write_text("".join(lines))
    assert re.search(r"line 7,?000", refused(path, "JSON"))


def test_nine_examples(tmp_path: Path) -> None:
    """Nine examples are one too few; ten are wanted."""
    refused(write_chat(tmp_path / "t.jsonl", topic_rows(9)), "9", "10")


def test_no_assistant_message(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """A line without an answer is named."""
    path = write_chat(tmp_path / "t.jsonl", rows)
    with path.open("a") as file:
        file.write('{"messages": [{"role": "user", "content": "hello"}]}\n')
    refused(path, "line 31", "assistant")


def test_one_label_only(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """There is nothing to learn from one label."""
    refused(write_chat(tmp_path / "t.jsonl", [(text, "yes") for text, _ in rows]), "yes")


def test_label_seen_once(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """A label with one example can be trained on, and is warned about by name."""
    path = write_chat(tmp_path / "t.jsonl", [*rows, ("the app crashes", "crash")])
    assert "crash" in json.dumps(warned(path, "label_once"))


def test_empty_text(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """An empty text is named by its line."""
    refused(write_chat(tmp_path / "t.jsonl", [*rows, ("  ", "refund")]), "line 31", "empty")


def test_text_of_200_000_characters(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """A huge text is warned about, since only its start is read."""
    path = write_chat(tmp_path / "t.jsonl", [*rows, ("word " * 40_000, "refund")])
    assert warned(path, "long_text")["line"] == 31


def test_duplicate_ids(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """Two lines with one id are both named."""
    path = tmp_path / "t.jsonl"
    given = [{"id": i % 29, "text": text, "label": label} for i, (text, label) in enumerate(rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    refused(path, "lines 1 and 30")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle")


def test_truncated_bundle(bundle: Bundle) -> None:
    """A file that is too short is found before anything is answered."""
    weights = bundle.file("static.safetensors")
    os.truncate(weights, weights.stat().st_size - 1)
    done = run("predict", bundle.path, "refund")
    assert (done.returncode, done.stdout) == (1, "")
    assert "wrong size" in done.stderr


def test_bundle_with_a_changed_byte(bundle: Bundle) -> None:
    """One changed byte is found by its digest."""
    weights = bundle.file("static.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = run("predict", bundle.path, "refund")
    assert (done.returncode, done.stdout) == (1, "")
    assert "was changed" in done.stderr


def test_wrong_model_name(bundle: Bundle) -> None:
    """A name that stands for nothing is refused."""
    done = run("predict", "no-such-model", "refund")
    assert done.returncode == 2
    assert "no-such-model" in done.stderr


def test_full_disk_while_training(tmp_path: Path, tiny_disk: Path, base_folder: Path) -> None:
    """A disk that is full ends the run with exit code 1, one line, and no part of a bundle."""
    train = write_chat(tmp_path / "t.jsonl", topic_rows(30))
    home = tiny_disk / "home"
    home.mkdir()
    run("ls", "--home", home)
    (tiny_disk / "filler").write_bytes(bytes(750 * 1024))
    done = run("tune", train, "--base", base_folder, "--recipe", "tune_encoder", "--epochs", "1", "--home", home)
    assert done.returncode == 1
    assert "disk is full" in done.stderr
    assert not list((home / "bundles").glob("*"))


def test_interrupt_while_tuning(tmp_path: Path, base_folder: Path, own_home: Path) -> None:
    """Ctrl-C in the middle of the training: exit code 130, no bundle, no leftovers."""
    train = write_chat(tmp_path / "t.jsonl", topic_rows(60))
    command = [*NANOSMITH, "tune", str(train), "--base", str(base_folder), "--recipe", "tune_encoder", "--epochs", "50",
               "--out", str(tmp_path / "out")]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train "):
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert not (tmp_path / "out").exists()
    assert not list((own_home / "bundles").glob("*"))
