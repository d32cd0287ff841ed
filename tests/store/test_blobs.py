"""Uploaded files, wherever they are kept: the same tests for a folder and for S3."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.s3_server import BUCKET

from nanosmith.core.errors import NotFound, StorageFull
from nanosmith.store.atomic import PART, sweep_parts
from nanosmith.store.blobs import BlobFolder, Blobs, open_blobs
from nanosmith.store.home import BLOBS_VARIABLE, VARIABLE, Home, open_home

WRITER = """
import itertools, os
from nanosmith.store.blobs import open_blobs
from nanosmith.store.home import open_home
blobs = open_blobs(open_home())
for i in itertools.count():
    blob = blobs.put([os.urandom(3000), b"x" * i])
    os.write(1, f"{blob.sha256} {blob.bytes}\\n".encode())
"""

CRASHER = """
import itertools, os
from pathlib import Path
from nanosmith.store.blobs import open_blobs
from nanosmith.store.home import open_home

def dying(step):
    left = [step]
    def tick():
        left[0] -= 1
        if not left[0]:
            os._exit(9)
    def around(real):
        def call(*given, **named):
            tick()
            made = real(*given, **named)
            tick()
            return made
        return call
    return around

def run(step):
    home = open_home()
    around = dying(step)
    os.fsync, Path.replace = around(os.fsync), around(Path.replace)
    if home.blob_url:
        from nanosmith.store.blobs.s3 import S3Blobs
        S3Blobs._send, S3Blobs._size = around(S3Blobs._send), around(S3Blobs._size)
    blobs = open_blobs(home.of("crash"))
    for name in "ab":
        blob = blobs.put([f"{step}{name}".encode()])
        os.write(1, f"{blob.sha256}\\n".encode())
    os._exit(0)

for step in itertools.count(1):
    child = os.fork()
    if not child:
        run(step)
    if not os.waitpid(child, 0)[1]:
        break
print(step)
"""


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A data folder whose blobs lie in it, and one whose blobs lie in S3; also for processes that are started."""
    if request.param == "folder":
        return home
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in request.getfixturevalue("s3_server").settings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(BLOBS_VARIABLE, f"s3://{BUCKET}/{uuid.uuid4().hex}")
    return open_home()


@pytest.fixture
def blobs(place: Home) -> Blobs:
    return open_blobs(place)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def forget_copies(home: Home) -> None:
    """What is in the cache alone is gone."""
    shutil.rmtree(home.cache, ignore_errors=True)


def read(home: Home, sha256: str) -> bytes | None:
    """What is really kept, not a copy; None when there is nothing."""
    forget_copies(home)
    try:
        return open_blobs(home).path(sha256).read_bytes()
    except NotFound:
        return None


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_name_is_the_digest(place: Home, blobs: Blobs) -> None:
    """The same content has the same name, whatever its chunks."""
    first, second = blobs.put([b"ab", b"", b"c"]), blobs.put(iter([b"a", b"bc"]))
    assert first == second
    assert (first.sha256, first.bytes) == (sha256_of(b"abc"), 3)
    assert blobs.path(first.sha256).read_bytes() == b"abc" == read(place, first.sha256)
    assert len(files_in(place.root)) == 1


def test_round_trip(place: Home) -> None:
    """Any bytes come back as they were."""

    @given(chunks=st.lists(st.binary(max_size=100), max_size=5))
    @settings(max_examples=25, deadline=None)
    def check(chunks: list[bytes]) -> None:
        blob = open_blobs(place).put(chunks)
        assert read(place, blob.sha256) == b"".join(chunks)
        assert blob.bytes == len(b"".join(chunks))

    check()


def test_unknown_digest(blobs: Blobs) -> None:
    """NotFound, also where no blob was ever put."""
    with pytest.raises(NotFound):
        blobs.path("0" * 64)
    blobs.put([b"another"])
    with pytest.raises(NotFound):
        blobs.path("0" * 64)


def test_removed(place: Home, blobs: Blobs) -> None:
    """What was removed is not found, there or as a copy; removing nothing is no error; it can be put again."""
    sha256 = blobs.put([b"content"]).sha256
    blobs.remove(sha256)
    with pytest.raises(NotFound):
        blobs.path(sha256)
    assert files_in(place.root) == []
    blobs.remove(sha256)
    blobs.remove("0" * 64)
    assert read(place, blobs.put([b"content"]).sha256) == b"content"


def test_projects_are_apart(place: Home) -> None:
    """The blob of one project is neither found nor removed by another, even when both know its digest."""
    mine, theirs = open_blobs(place.of("mine")), open_blobs(place.of("theirs"))
    sha256 = mine.put([b"secret"]).sha256
    with pytest.raises(NotFound):
        theirs.path(sha256)
    theirs.remove(sha256)
    assert read(place.of("mine"), sha256) == b"secret"
    theirs.put([b"secret"])
    mine.remove(sha256)
    assert read(place.of("theirs"), sha256) == b"secret"
    assert read(place.of("mine"), sha256) is None


class Model(RuleBasedStateMachine):
    """Blobs are what a dictionary per project would be."""

    place: Home
    PROJECTS = st.sampled_from(["default", "proj_a"])
    CONTENTS = st.sampled_from([b"", b"a", b"bc"])

    @initialize()
    def start(self) -> None:
        root = f"{self.place.blob_url}/{uuid.uuid4().hex}" if self.place.blob_url else None
        self.home = msgspec.structs.replace(self.place, root=self.place.root / uuid.uuid4().hex, blob_url=root)
        self.kept: dict[str, set[bytes]] = {"default": set(), "proj_a": set()}

    @rule(project=PROJECTS, content=CONTENTS)
    def put(self, project: str, content: bytes) -> None:
        assert open_blobs(self.home.of(project)).put([content]).sha256 == sha256_of(content)
        self.kept[project].add(content)

    @rule(project=PROJECTS, content=CONTENTS)
    def remove(self, project: str, content: bytes) -> None:
        open_blobs(self.home.of(project)).remove(sha256_of(content))
        self.kept[project].discard(content)

    @rule()
    def lose_copies(self) -> None:
        forget_copies(self.home)

    @invariant()
    def same(self) -> None:
        for project, contents in getattr(self, "kept", {}).items():
            blobs = open_blobs(self.home.of(project))
            for content in (b"", b"a", b"bc"):
                try:
                    assert blobs.path(sha256_of(content)).read_bytes() == content
                    assert content in contents
                except NotFound:
                    assert content not in contents


def test_like_a_dictionary(place: Home) -> None:
    """Any order of putting, removing and losing copies, in two projects, keeps what was put and not removed."""
    machine = type("Here", (Model,), {"place": place})
    run_state_machine_as_test(machine, settings=settings(max_examples=6, stateful_step_count=8, deadline=None))


def test_at_the_same_time(place: Home) -> None:
    """Many threads that put equal and other contents all have theirs."""
    contents = [b"%d" % (i % 5) for i in range(20)]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda content: open_blobs(place).put([content]).sha256, contents))
    assert [read(place, sha256) for sha256 in made] == contents


def test_broken_source_leaves_nothing(place: Home, blobs: Blobs) -> None:
    """An upload that breaks off is not stored, in no part."""

    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        blobs.put(chunks())
    assert files_in(place.root) == []
    assert read(place, sha256_of(b"half")) is None


def test_full_disk_leaves_nothing(place: Home, tiny_disk: Path) -> None:
    """StorageFull in words; what was there stays, and smaller blobs still fit."""
    tiny = msgspec.structs.replace(place, root=tiny_disk)
    blobs = open_blobs(tiny)
    kept = blobs.put([b"kept"])
    with pytest.raises(StorageFull, match="the disk is full"):
        blobs.put(bytes(64 * 1024) for _ in range(100))
    assert files_in(tiny_disk) == [blobs.path(kept.sha256)]
    assert blobs.put([b"also"]).bytes == 4


def test_acknowledged_blobs_survive_kill(place: Home) -> None:
    """Killed again and again while storing: every digest that was given out names a whole blob."""
    acknowledged = []
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(0.05)
        writer.kill()
        rest, _ = writer.communicate()
        acknowledged += [line.split() for line in (first + rest).decode().splitlines() if line.count(" ") == 1]
    assert len(acknowledged) >= 3
    for sha256, size in acknowledged:
        content = read(place, sha256)
        assert content is not None
        assert (sha256_of(content), len(content)) == (sha256, int(size))
    named = [path for path in files_in(place.root) if not path.name.startswith(PART)]
    assert all(sha256_of(path.read_bytes()) == path.name for path in named)


def test_ended_before_and_after_every_step(place: Home) -> None:
    """Wherever a process ends, a blob is whole or not there; what was given out is there; the next one tidies up."""
    done = subprocess.run([sys.executable, "-c", CRASHER], stdout=subprocess.PIPE, check=True, text=True)
    *acknowledged, steps = done.stdout.split()
    home = place.of("crash")
    open_blobs(home).put([b"next"])
    sweep_parts(home.blobs)  # as a server does when it starts; copies of what lies in S3 are swept by themselves
    assert [path for path in files_in(home.root) if path.name.startswith(PART)] == []
    assert int(steps) > 8
    for content in (f"{step}{name}".encode() for step in range(1, int(steps) + 1) for name in "ab"):
        found = read(home, sha256_of(content))
        assert found in (content, None)
        assert found == content or sha256_of(content) not in acknowledged


def test_default_project_lies_where_it_always_did(home: Home) -> None:
    """A data folder of an earlier version is read as it is."""
    sha256 = BlobFolder(home.root / "blobs").put([b"old"]).sha256
    assert open_blobs(home).path(sha256) == home.root / "blobs" / sha256[:2] / sha256
    assert os.environ[VARIABLE] == str(home.root)
