"""Plans as a whole: interrupted, repeated, and of whatever files there are."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.migration import exports

from nanosmith.core.errors import InputError
from nanosmith.core.watch import Watch
from nanosmith.data.completions import KIND
from nanosmith.server.evals.records import EVAL
from nanosmith.server.migration.plan import Plan, made_id
from nanosmith.server.migration.planner import make_plan, named_files
from nanosmith.server.models.names import ALIAS
from nanosmith.server.services import Services, open_services
from nanosmith.store.blobs import BlobFolder
from nanosmith.store.home import open_home
from nanosmith.store.ledger import Ledger

ALL = {"files": 3, "jobs": 1, "work": 1, KIND: 3, EVAL: 1, ALIAS: 1}


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def services(root: Path) -> Iterator[Services]:
    opened = open_services(open_home(root))
    with closing(opened.ledger):
        yield opened


def import_all(root: Path, export: Path) -> Plan:
    with services(root) as here:
        plan = make_plan(here, [export], named={}, watch=Watch())
        plan.make(here, Watch())
        return plan


def counts(root: Path) -> dict[str, int]:
    with services(root) as here:
        ledger = here.ledger
        found = {"files": len(ledger.files()), "jobs": len(ledger.jobs()), "work": len(ledger.open_work())}
        return found | {kind: ledger.count_documents(kind) for kind in (KIND, EVAL, ALIAS)}


def test_everything_once(tmp_path: Path) -> None:
    """All that an export holds is imported; a second import finds it done and adds nothing."""
    export = exports.save_all(tmp_path / "export")
    assert {item.state for item in import_all(tmp_path / "home", export).items} == {"done"}
    assert counts(tmp_path / "home") == ALL
    assert {item.state for item in import_all(tmp_path / "home", export).items} == {"done"}
    assert counts(tmp_path / "home") == ALL


@pytest.mark.parametrize(("owner", "name"), [(Ledger, "_write"), (BlobFolder, "put")])
@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, is_done: bool) -> None:
    """Stopped before or after any write, the import goes on when it is run again: all is there, nothing twice."""
    export = exports.save_all(tmp_path / "export")
    real = getattr(owner, name)
    for number in itertools.count():
        root, calls = tmp_path / f"home{number}", itertools.count()

        def stopping(self: Any, *args: Any, calls: Any = calls, last: int = number) -> Any:
            if next(calls) != last:
                return real(self, *args)
            if is_done:
                real(self, *args)
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(owner, name, stopping)
            try:
                import_all(root, export)
                was_killed = False
            except Killed:
                was_killed = True
        import_all(root, export)
        assert counts(root) == ALL
        if not was_killed:
            break
    assert number >= 3


def test_other_projects_see_nothing(tmp_path: Path) -> None:
    """What is imported belongs to one project; the same export can be imported into another one too."""
    export = exports.save_all(tmp_path / "export")
    import_all(tmp_path / "home", export)
    with services(tmp_path / "home") as default:
        here = default.of("other")
        assert here.ledger.files() == []
        plan = make_plan(here, [export], named={}, watch=Watch())
        assert {item.state for item in plan.items} == {"ready"}
        plan.make(here, Watch())
        assert (len(here.ledger.files()), len(here.ledger.jobs())) == (3, 1)
    assert counts(tmp_path / "home") == ALL | {"work": 2}


def test_what_stays_behind_is_told(plan_of: Callable[..., Plan], tmp_path: Path) -> None:
    """Objects that do not come along are counted by what they are, with the reason."""
    records = [{"object": "fine_tuning.job.event", "id": f"ftevent-{i}"} for i in range(12)]
    path = exports.save(tmp_path / "all.json", [*records, {"object": "eval.run", "id": "evalrun_1"}, {"x": 1}])
    told = [(item.name, item.state) for item in plan_of(path).items]
    assert told == [
        ("all.json: events of a job (12)", "left"), ("all.json: runs of an eval (1)", "left"),
        ("all.json: objects (1)", "blocked"),
    ]  # fmt: skip


def test_bad_lines_beside_good_objects(plan_of: Callable[..., Plan], here: Services, tmp_path: Path) -> None:
    """A line that cannot be read does not keep the others from being imported."""
    path = exports.save_lines(tmp_path / "c.jsonl", [exports.completion(0)])
    path.write_text(path.read_text() + "oops\n")
    plan = plan_of(path)
    assert [(item.name, item.state) for item in plan.items] == [
        ("stored completions", "ready"), ("c.jsonl: lines", "blocked"),
    ]  # fmt: skip
    plan.make(here, Watch())
    assert here.ledger.count_documents(KIND) == 1


def test_unreadable_files(plan_of: Callable[..., Plan], tmp_path: Path) -> None:
    """Files that cannot be read are told, each with its reason."""
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "packed.json").write_bytes(b"PK\x03\x04 and so on")
    (tmp_path / "utf16.json").write_bytes("{}".encode("utf-16"))
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    names = ("empty.jsonl", "packed.json", "utf16.json", "loop.json")
    why = {item.source: str(item.why) for item in plan_of(*(tmp_path / name for name in names)).items}
    assert "is empty" in why["empty.jsonl"]
    assert "zip" in why["packed.json"]
    assert "UTF-16" in why["utf16.json"]
    assert "cannot be read" in why["loop.json"]


def test_named_files_are_checked(tmp_path: Path) -> None:
    """--file wants an id and a file that is there."""
    path = exports.save(tmp_path / "a=b.json", {})
    assert named_files([f"file-abc={path}"]) == {"file-abc": path}
    for wrong in ("file-abc", "=x", "file-abc=", f"file-abc={tmp_path}"):
        with pytest.raises(InputError):
            named_files([wrong])


def test_ids_follow_from_what_is_imported() -> None:
    """The same parts give the same id, and parts cannot run into each other."""
    assert made_id("file-", "a", "b") == made_id("file-", "a", "b")
    assert made_id("file-", "a", "b") != made_id("file-", "ab", "")
    assert len(made_id("file-")) == len("file-") + 24


NAMES = st.sampled_from([
    "object", "id", "data", "messages", "role", "content", "model", "training_file", "status", "choices", "message",
    "created", "metadata", "method", "type", "item", "text", "label", "prompt", "completion", "input", "custom_id",
    "body", "testing_criteria", "data_source_config", "created_at", "filename", "bytes", "hyperparameters", "seed",
    "fine_tuned_model", "suffix", "weight", "index", "finish_reason", "preferred_output", "content_parts", "schema",
])  # fmt: skip
WORDS = st.sampled_from([
    "list", "fine_tuning.job", "chat.completion", "eval", "file", "user", "assistant", "system", "supervised", "dpo",
    "gpt-4.1-nano", "eval_abc", "chatcmpl-1-0", "chatcmpl-1", "file-1", "failed", "custom", "string_check", "stop", "",
    "\x00", "ft:a:b:c:d", "batch", "../..",
])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=8),
    max_leaves=25,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=10)
MADE = st.builds(
    lambda make, changes: make() | changes, st.sampled_from([exports.job, exports.completion, exports.eval_]), OBJECTS
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(OBJECTS | MADE, max_size=4), as_lines=st.booleans(), more=st.binary(max_size=40))
def test_any_file(here: Services, tmp_path: Path, records: list[dict[str, Any]], as_lines: bool, more: bytes) -> None:
    """Whatever JSON and bytes the files hold, there is a plan, and it can be made."""
    path = tmp_path / "any"
    path.write_text("".join(json.dumps(one) + "\n" for one in records) if as_lines else json.dumps(records))
    (tmp_path / "more").write_bytes(more)
    plan = make_plan(here, [path, tmp_path / "more"], named={"file-1": path}, watch=Watch())
    plan.make(here, Watch())
    assert all(item.why for item in plan.items if item.state in ("blocked", "left"))
    assert not any(item.state == "ready" for item in plan.items)
