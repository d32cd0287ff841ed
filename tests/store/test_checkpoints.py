"""Training states on disk."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanosmith.core.errors import StorageFull
from nanosmith.core.manifest import MANIFEST_NAME
from nanosmith.store import checkpoints

SAVER = """
import os, signal, sys
from pathlib import Path
from nanosmith.store import checkpoints
calls, real = 0, os.fsync
def fsync(handle):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    real(handle)
os.fsync = fsync
def write(folder):
    (folder / "sub").mkdir()
    (folder / "weights").write_bytes(b"new" * 1000)
    (folder / "sub" / "more").write_bytes(b"more")
checkpoints.save(Path(sys.argv[1]), 2, write)
"""


def writer(content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "weights").write_bytes(content)
        (folder / "empty").touch()

    return write


def save_steps(folder: Path, *steps: int) -> None:
    for step in steps:
        checkpoints.save(folder, step, writer(b"%d" % step))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_newest_is_found(tmp_path: Path) -> None:
    """The state of the highest step comes back with its files, from a folder that did not exist before."""
    folder = tmp_path / "new" / "states"
    assert checkpoints.newest(folder) is None
    save_steps(folder, 9, 10)
    saved = checkpoints.newest(folder)
    assert saved is not None
    assert (saved.step, (saved.path / "weights").read_bytes()) == (10, b"10")


def test_two_older_ones_stay(tmp_path: Path) -> None:
    """Of many states the newest and two older ones are kept."""
    save_steps(tmp_path, 1, 2, 5, 7, 8)
    assert [saved.step for saved in checkpoints.all_right(tmp_path)] == [5, 7, 8]
    assert len(names(tmp_path)) == 3


def test_going_on_from_an_older_one(tmp_path: Path) -> None:
    """Saving a step replaces the state of that step and removes newer ones, which are of a run that was left."""
    save_steps(tmp_path, 1, 2, 3)
    checkpoints.save(tmp_path, 2, writer(b"again"))
    saved = checkpoints.newest(tmp_path)
    assert saved is not None
    assert (saved.step, (saved.path / "weights").read_bytes()) == (2, b"again")
    assert len(names(tmp_path)) == 2


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def replace_by_file(state: Path) -> None:
    shutil.rmtree(state)
    state.touch()


def swap_manifest(state: Path) -> None:
    shutil.copyfile(state.with_name("step-000000002") / MANIFEST_NAME, state / MANIFEST_NAME)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "truncated": lambda state: truncate(state / "weights"),
    "emptied": lambda state: (state / "weights").write_bytes(b""),
    "changed": lambda state: (state / "weights").write_bytes(b"4"),
    "missing": lambda state: (state / "empty").unlink(),
    "extra": lambda state: (state / "extra").touch(),
    "manifest truncated": lambda state: truncate(state / MANIFEST_NAME),
    "manifest emptied": lambda state: (state / MANIFEST_NAME).write_bytes(b""),
    "manifest missing": lambda state: (state / MANIFEST_NAME).unlink(),
    "manifest no JSON": lambda state: (state / MANIFEST_NAME).write_bytes(b"\xff\x00"),
    "of another step": swap_manifest,
    "a file instead": replace_by_file,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damaged_newest_is_passed_over(damage: Callable[[Path], None], tmp_path: Path) -> None:
    """Whatever is wrong with the newest state, the one before it is found, and a sentence tells of the damage."""
    save_steps(tmp_path, 1, 2, 3)
    damage(tmp_path / "step-000000003")
    told: list[str] = []
    saved = checkpoints.newest(tmp_path, told.append)
    assert saved is not None
    assert saved.step == 2
    assert told == ["The training state step-000000003 is damaged and is passed over."]


def test_nothing_right_is_nothing(tmp_path: Path) -> None:
    """Where every state is damaged there is none."""
    save_steps(tmp_path, 1, 2)
    for state in tmp_path.iterdir():
        truncate(state / "weights")
    assert checkpoints.newest(tmp_path) is None


@given(position=st.integers(0, 10_000), value=st.integers(1, 255))
@settings(max_examples=40, deadline=None)
def test_any_changed_byte_is_seen(position: int, value: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No byte of a state's data can change unseen."""
    folder = tmp_path_factory.mktemp("states")
    save_steps(folder, 123456789)
    file = folder / "step-123456789" / "weights"
    content = bytearray(file.read_bytes())
    content[position % len(content)] ^= value
    file.write_bytes(content)
    assert checkpoints.newest(folder) is None


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """When the writing breaks off, the earlier states are as they were, and nothing lies beside them."""
    save_steps(tmp_path, 1, 2)

    def broken(folder: Path) -> None:
        (folder / "weights").write_bytes(b"half")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        checkpoints.save(tmp_path, 2, broken)
    assert [saved.step for saved in checkpoints.all_right(tmp_path)] == [1, 2]
    assert len(names(tmp_path)) == 2


def test_full_disk_leaves_nothing(tiny_disk: Path) -> None:
    """StorageFull in words; the earlier state stays, and there is room for it to be read and for smaller ones."""
    folder = tiny_disk / "states"
    save_steps(folder, 1)
    with pytest.raises(StorageFull, match="the disk is full"):
        checkpoints.save(folder, 2, writer(bytes(2 * 1024 * 1024)))
    assert names(folder) == ["step-000000001"]
    save_steps(folder, 2)
    assert [saved.step for saved in checkpoints.all_right(folder)] == [1, 2]


def test_killed_before_each_flush(tmp_path: Path) -> None:
    """Killed before any of its fsyncs, a save leaves the old state or the new one; the next save tidies up."""
    killed, done = 0, False
    while not done:
        folder = tmp_path / str(killed)
        save_steps(folder, 1)
        command = [sys.executable, "-c", SAVER, str(folder), str(killed + 1)]
        status = subprocess.run(command, check=False).returncode
        done = status == 0
        assert done or status == -signal.SIGKILL
        saved = checkpoints.newest(folder)
        assert saved is not None
        assert saved.step == 2 or not done
        assert (saved.path / "weights").read_bytes() == (b"1" if saved.step == 1 else b"new" * 1000)
        save_steps(folder, 3)
        assert not [name for name in names(folder) if not name.startswith("step-")]
        killed += 1
    assert killed >= 7  # two files, two folders, the manifest, its folder, the rename
