"""Bodies, heads and names that are meant to harm: refused soon and in little memory, and the next request is served."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from starlette.applications import Starlette
from tests.server.app_routes import calls
from tests.server.target import CHAT, FORM, JSON, MIB, Target, chunks, form, has_come, head, part
from tests.server.test_process import Process

from nanosmith.core.limits import MAX_BODY_BYTES, MAX_FILE_BYTES, MAX_JSON_VALUES, MAX_PART_BYTES
from nanosmith.server.app import create_app
from nanosmith.store.home import VARIABLE, Home

CHECK = {"type": "string_check", "name": "a", "input": "a", "reference": "b", "operation": "eq"}
ROWS = {"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {}}]}}
BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": CHAT,
    "chat/completions/x": {"metadata": {}},
    "responses": {"model": "tiny", "input": "x"},
    "responses/input_tokens": {"model": "tiny", "input": "x"},
    "embeddings": {"model": "tiny", "input": "x"},
    "decisions": {"model": "tiny", "input": "x", "questions": [{"type": "predicate", "instructions": "refund"}]},
    "fine_tuning/jobs": {"model": "nanosmith-nano", "training_file": "file-x"},
    "fine_tuning/alpha/graders/run": {"grader": CHECK, "model_sample": "x"},
    "fine_tuning/alpha/graders/validate": {"grader": CHECK},
    "fine_tuning/checkpoints/x/permissions": {"project_ids": ["default"]},
    "batches": {"input_file_id": "file-x", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    "uploads": {"filename": "a", "purpose": "fine-tune", "bytes": 4, "mime_type": "text/jsonl"},
    "uploads/x/complete": {"part_ids": ["a"]},
    "evals": {"data_source_config": {"type": "custom", "item_schema": {}}, "testing_criteria": [CHECK]},
    "evals/x": {"name": "a"},
    "evals/x/runs": {"data_source": ROWS},
    "files/from_completions": {"limit": 1},
    "webhook_endpoints": {"name": "a", "url": "https://example.org", "events": ["batch.completed"]},
    "webhook_endpoints/x": {"name": "a"},
}
"""Every call that takes JSON, with a body that is right."""
WITH_FILE = ("files", "uploads/x/parts")
WITHOUT_BODY = {
    "batches/x/cancel", "evals/x/runs/x", "evals/x/runs/x/cancel", "fine_tuning/jobs/x/cancel",
    "fine_tuning/jobs/x/pause", "fine_tuning/jobs/x/resume", "moderations", "responses/x/cancel", "uploads/x/cancel",
    "webhook_endpoints/x/rotate_secret", "webhook_endpoints/x/test",
}  # fmt: skip
VALUES = {
    "NaN": b"NaN", "infinity": b"-Infinity", "huge": b"1e400", "digits": b"9" * 100_000, "surrogate": b'"\\ud800"',
    "deep": b"[" * 10_000 + b"]" * 10_000, "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "decodable": b'{"a":' * 900 + b"1" + b"}" * 900,
}  # fmt: skip
BOMB = gzip.compress(bytes(64 * MIB), 1)
TRAVERSALS = ("..%2f..%2fetc%2fpasswd", "%2e%2e%2f", "..%5c..%5cx", "%00", "a%00b", "%ff%fe", "%ed%a0%80", "a" * 5000)
PURPOSE = part("purpose", b"user_data")
CHUNKED = {"transfer_encoding": "chunked"}


@pytest.fixture(scope="module")
def target(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One server for all attacks, with the tiny models."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(models, folder, dirs_exist_ok=True)
    process = Process(**{VARIABLE: str(folder)})
    attacked = Target(process)
    yield attacked
    attacked.http.close()
    process.end(signal.SIGTERM)
    assert "Traceback" not in "".join(process.log)


@pytest.fixture(scope="module")
def client(target: Target) -> Iterator[OpenAI]:
    with OpenAI(base_url=target.url, api_key="any", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def app(home: Home) -> Iterator[Starlette]:
    app = create_app(home)
    yield app
    app.state.services.ledger.close()


def with_field(path: str, name: str, value: bytes) -> bytes:
    """The right body of a call with another field."""
    return json.dumps(BODIES[path]).encode()[:-1] + b', "%s": %s}' % (name.encode(), value)


def test_every_call_with_a_body_is_attacked(app: Starlette) -> None:
    """The lists above have all routes that take a POST."""
    posts = {call.path().removeprefix("/v1/") for call in calls(app) if call.built and call.method == "POST"}
    assert posts == {*BODIES, *WITH_FILE, *WITHOUT_BODY}
    assert {call.method for call in calls(app) if call.built} == {"GET", "HEAD", "POST", "DELETE"}


@pytest.mark.parametrize("path", BODIES)
def test_json_that_is_hostile(target: Target, path: str) -> None:
    """A zip bomb, nesting without end, what is no number, and numbers without end are 4xx at every call."""
    refused = target.refuses("POST", path, content=BOMB, **JSON, content_encoding="gzip")
    assert refused.status_code == 415
    target.refuses("POST", path, content=b"[" * MIB, **JSON)
    for value in VALUES.values():
        target.refuses("POST", path, content=with_field(path, "hostile", value), **JSON)


@pytest.mark.parametrize("name", ["metadata", "model", "seed", "n", "response_format", "tools", "stop", "user"])
def test_fields_of_another_kind(target: Target, name: str) -> None:
    """In a field that is known, what is no JSON or has another type is a 400 that is no crash."""
    for value in (*VALUES.values(), b"-1", b"18446744073709551616", b'"\\u0000"'):
        with target.bounded():
            content = with_field("chat/completions", name, value)
            answer = target.http.post("chat/completions", content=content, headers=JSON)
        assert answer.status_code in (200, 400, 404)  # an ignored field may have any text


def test_a_key_that_comes_twice(target: Target) -> None:
    """The last one counts, as with most readers of JSON."""
    with target.bounded():
        answer = target.http.post(
            "chat/completions", content=with_field("chat/completions", "model", b'"stars"'), headers=JSON
        )
    assert answer.json()["model"] == "stars"


@pytest.mark.parametrize("value", [b"[]", b'"ab"', b'{"a":1}'])
def test_json_that_is_wide(target: Target, value: bytes) -> None:
    """Millions of small values, which would take much more memory than bytes, are refused; half a million is not."""
    least = MAX_JSON_VALUES // 2 // (1 + value.count(b"{") + value.count(b"["))
    for n, status in ((MAX_BODY_BYTES // (len(value) + 1) - 100, 400), (least, 200)):
        content = with_field("chat/completions", "hostile", b"[" + b",".join([value] * n) + b"]")
        with target.bounded():
            assert target.http.post("chat/completions", content=content, headers=JSON).status_code == status


def test_commas_in_a_text_are_no_values(target: Target) -> None:
    """A long text with many commas and brackets is one value."""
    content = with_field("chat/completions", "hostile", b'"%s"' % (b',[{\\"' * 600_000))
    with target.bounded():
        assert target.http.post("chat/completions", content=content, headers=JSON).status_code == 200


def alternatives(width: int, levels: int) -> dict[str, Any]:
    """A small schema that has width ** levels alternatives, none of which fits."""
    parts: dict[str, Any] = {str(i): {"anyOf": [{"$ref": f"#/$defs/{i + 1}"}] * width} for i in range(levels)}
    return {"$defs": {**parts, str(levels): {"type": "null"}}, "$ref": "#/$defs/0"}


@pytest.mark.parametrize(
    "schema",
    [
        alternatives(20, 7), {"$ref": "#"}, {"anyOf": [{"$ref": "#"}] * 50}, {"pattern": "(a+)+$"},
        {"properties": 3, "additionalProperties": False}, {"additionalProperties": False, "properties": 3},
        {"required": [{}]}, {"enum": ["x"] * 400_000}, {"$ref": "#/" + "a/" * 100_000},
    ],
    ids=["many alternatives", "itself", "itself often", "pattern", "properties", "first", "required", "enum", "path"],
)  # fmt: skip
def test_schemas_that_are_hostile(target: Target, schema: dict[str, Any]) -> None:
    """Schemas that refer to themselves, have endless alternatives, slow patterns or wrong parts are refused."""
    wanted = {"name": "a", "schema": schema}
    chat = CHAT | {"model": "field", "response_format": {"type": "json_schema", "json_schema": wanted}}
    response = {"model": "field", "input": "x", "text": {"format": {"type": "json_schema"} | wanted}}
    for path, body in (("chat/completions", chat), ("responses", response)):
        target.refuses("POST", path, content=json.dumps(body).encode(), **JSON)


def test_bodies_without_end(target: Target) -> None:
    """What is announced as too large is refused unread; what is not announced as soon as it is."""
    for path, kind in (("chat/completions", JSON), ("files", FORM), ("uploads/x/parts", FORM)):
        with target.bounded():
            announced = target.raw(head(path, **kind, content_length=str(1024 * MIB)))
        assert announced.status == 413
    with target.bounded():
        endless = target.raw(head("chat/completions", **JSON, **CHUNKED), chunks(b" " * 4096, 1024 * MIB))
    assert endless.status == 413
    assert endless.sent_bytes < 4 * MAX_BODY_BYTES


def test_a_line_without_end_in_a_part(target: Target, client: OpenAI) -> None:
    """A part of an upload is refused when it exceeds its limit, however it comes."""
    id = client.uploads.create(filename="a", purpose="fine-tune", bytes=4, mime_type="text/jsonl").id
    begun = b"%x\r\n%s\r\n" % (len(part("data", b"", b"a")) - 2, part("data", b"", b"a")[:-2])
    with target.bounded():
        endless = target.raw(head(f"uploads/{id}/parts", **FORM, **CHUNKED) + begun, chunks(b"x" * 65_536, 1024 * MIB))
    assert endless.status == 413
    assert endless.sent_bytes < 4 * MAX_PART_BYTES


@pytest.mark.long
def test_a_line_without_end_in_a_file(target: Target) -> None:
    """A file is refused when it exceeds its limit, and leaves nothing."""
    begun = b"%x\r\n%s\r\n" % (len(PURPOSE + part("file", b"", b"a")) - 2, (PURPOSE + part("file", b"", b"a"))[:-2])
    with target.small():
        endless = target.raw(head("files", **FORM, **CHUNKED) + begun, chunks(b"x" * 65_536, 1024 * MIB))
    assert endless.status == 413
    assert endless.sent_bytes < 2 * MAX_FILE_BYTES
    target.is_well()
    assert not [file for file in target.http.get("files").json()["data"] if file["bytes"] > 100 * MIB]


@pytest.mark.parametrize("path", WITH_FILE)
def test_forms_that_are_hostile(target: Target, path: str) -> None:
    """Ten thousand parts, no end, heads without end and wrong boundaries are refused."""
    name = "file" if path == "files" else "data"
    many = form(*(part(f"p{i}", b"x") for i in range(10_000)))
    same = form(*[part("purpose", b"user_data")] * 10_000)
    endless = PURPOSE + part(name, b"x" * 1000, b"a")
    long_value = form(part(name, b"x", b"a", b"X-A: %s\r\n" % (b"v" * 8 * MIB)))
    long_name = form(part(name, b"x", b"a", b"X" * 8 * MIB + b": a\r\n"))
    headers = form(part(name, b"x", b"a", b"X-A: b\r\n" * 100_000))
    field = form(part("purpose", b"x" * 8 * MIB))
    for content in (many, same, endless, long_value, long_name, headers, field, b"x" * MIB, b"--b--\r\n", b""):
        target.refuses("POST", path, content=content, **FORM)
    assert target.refuses("POST", path, content=BOMB, **FORM, content_encoding="gzip").status_code == 415
    for boundary in ("", "=", '="', "=" + "b" * 71, "=" + "b" * 30_000, '="' + '\\"' * 20_000):
        target.refuses("POST", path, content=many, content_type=f"multipart/form-data; boundary{boundary}")


@pytest.mark.parametrize(
    ("filename", "kept"),
    [
        (b"../../etc/passwd", "passwd"), (rb"..\..\x", "x"), (b"a\x00b", "ab"), (b"..", "file"), (b"", "file"),
        (b"/", "file"), (b"\xff\xfe", "\ufffd\ufffd"), (b"n" * 3000, "n" * 255), (b"n" * 10_000, None),
    ],
)  # fmt: skip
def test_names_of_files(target: Target, filename: bytes, kept: str | None) -> None:
    """The last part of a name is kept, without what is no text; a name of ten thousand letters is refused."""
    content = form(PURPOSE, part("file", b"x", filename))
    if kept is None:
        target.refuses("POST", "files", content=content, **FORM)
        return
    with target.bounded():
        assert target.http.post("files", content=content, headers=FORM).json()["filename"] == kept


@pytest.mark.parametrize("value", TRAVERSALS, ids=lambda value: value[:20])
def test_ids_are_names_and_no_paths(target: Target, app: Starlette, value: str) -> None:
    """Whatever stands for an id in a path, nothing is found under it."""
    with target.small():
        for call in calls(app):
            if "{" in call.template and call.built and call.method != "HEAD":
                path = call.path(value).removeprefix("/v1/")
                content = json.dumps(BODIES.get(call.path().removeprefix("/v1/"), {})).encode()
                answer = target.http.request(call.method, path, content=content, headers=JSON)
                assert 400 <= answer.status_code < 500, (call, answer.text)
    target.is_well()


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1", "limit=0", "limit=NaN", "limit=1e400", "limit=" + "9" * 5000, "limit=%00", "limit=1.0", "limit=",
        "after=%00", "after=..%2f..%2fx", "after=" + "a" * 50_000, "order=%00", "order=",
        "&".join(f"metadata[{i}]=x" for i in range(2000)),
    ],
    ids=lambda query: query[:16],
)  # fmt: skip
def test_parameters_of_lists(target: Target, query: str) -> None:
    """Negative, huge and senseless parameters are 400s, or of no meaning to a list, at every list."""
    lists = ("files", "fine_tuning/jobs", "batches", "evals", "chat/completions", "webhook_endpoints")
    with target.bounded():
        answers = [target.http.get(f"{path}?{query}") for path in lists]
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert 400 in {answer.status_code for answer in answers}


def test_ranges_that_are_hostile(target: Target, client: OpenAI) -> None:
    """Thousands of ranges, overlapping ones, and such that are not in the file, are a 416."""
    file = client.files.create(file=("a", b"x" * MIB), purpose="user_data")
    path = f"files/{file.id}/content"
    several = [
        ",".join(f"{i}-{i}" for i in range(0, 12_000, 2)), ",".join(["0-"] * 12_000),
        ",".join(f"{i}-999999" for i in range(4000)), "," * 50_000, "-" + "9" * 30, "9" * 30 + "-", "5-1", "a-b", "-",
        "-0", "=0-1", f"{MIB}-", "0-0,",
    ]  # fmt: skip
    for asked in several:
        refused = target.refuses("GET", path, range=f"bytes={asked}")
        assert refused.status_code == 416
        assert refused.headers["content-range"] == f"bytes */{MIB}"
    for asked, size in (("bytes=0-9", 10), ("bytes=-5", 5), ("bytes=9-", MIB - 9), ("lines=1-2", MIB), ("", MIB)):
        answer = target.http.get(path, headers={"range": asked})
        assert (answer.status_code, len(answer.content)) == (200 if size == MIB else 206, size)
    both = target.http.get(path, headers={"range": "bytes=0-9, -10"})
    assert both.headers["content-type"].startswith("multipart/byteranges")


def endless_heads() -> dict[str, Iterator[bytes]]:
    """Heads of a request that never end."""
    piece, begun = b"a" * MIB, b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n"
    return {
        "value": iter([begun + b"x: ", *[piece] * 64]),
        "name": iter([begun, *[piece] * 64]),
        "url": iter([b"GET /v1/", *[piece] * 64]),
        "lines": iter([begun, *[b"x-a: bbbbbbbb\r\n" * 60_000] * 64]),
    }


@pytest.mark.parametrize("kind", ["value", "name", "url", "lines"])
def test_heads_without_end(target: Target, kind: str) -> None:
    """A head that is too long is refused before it has ended."""
    with target.bounded():
        answer = target.raw(b"", endless_heads()[kind])
    assert answer.status in (0, 400)
    assert answer.sent_bytes < 16 * MIB


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x00\xa5" + bytes(200), b"\x00\xff" * 5000, b"GET /v1/models HTTP/1.1\r\n\r\n",
        *(head("chat/completions", **JSON, content_length=n) for n in ("-1", "1e9", "0x10", "9" * 30, "abc", "")),
        head("chat/completions", **JSON, **CHUNKED) + b"f" * 30 + b"\r\nx",
        head("files", **FORM, **CHUNKED) + b"-5\r\nx",
    ],
)  # fmt: skip
def test_what_is_no_http(target: Target, request_: bytes) -> None:
    """A wrong head or length is refused, and its connection closed."""
    with target.bounded():
        assert target.raw(request_).status in (400, 413)


def test_those_who_send_a_byte_a_second_hold_nobody_up(target: Target, client: OpenAI) -> None:
    """While forty files and forty requests trickle in, uploads and requests of others are served."""
    kinds = [("files", FORM, PURPOSE), ("chat/completions", JSON, b"{")] * 40
    links = [socket.create_connection(("127.0.0.1", target.port)) for _ in kinds]
    try:
        with target.bounded():
            for link, (path, kind, begun) in zip(links, kinds, strict=True):
                link.sendall(head(path, **kind, content_length="100000") + begun)
            time.sleep(0.5)
            client.files.create(file=("a", b"x"), purpose="user_data")
            target.is_well()
        assert not [link for link in links if has_come(link)]
    finally:
        for link in links:
            link.close()


def lines(*rows: bytes) -> bytes:
    return b"\n".join(rows) + b"\n"


CONVERSATION = json.dumps({"messages": [*CHAT["messages"], {"role": "assistant", "content": "a"}]}).encode()
LONG = b'{"messages": [{"role": "user", "content": "%s"}]}' % (b"x" * 20 * MIB)
DEEP = b'{"messages": %s}' % VALUES["deep"]
FILES = {
    "a line of 20 MiB": (LONG, "longer than 16 MiB"),
    "deep": (DEEP, "nested too deeply"),
    "NaN": (b'{"messages": NaN}', "JSON"),
    "a zip bomb": (BOMB, "gzip"),
    "zero bytes": (bytes(1000), "zero bytes"),
}


def kinds(*at_once: str) -> list[Any]:
    """All kinds of files; but these are for the long tests."""
    return [name if name in at_once else pytest.param(name, marks=pytest.mark.long) for name in FILES]


@pytest.mark.parametrize("kind", kinds("a line of 20 MiB", "deep"))
def test_training_files_that_are_hostile(target: Target, client: OpenAI, kind: str) -> None:
    """They can be uploaded, and the job fails with the reason; the server stays small."""
    hostile, words = FILES[kind]
    content = hostile if kind == "a zip bomb" else lines(*[CONVERSATION] * 20, hostile)
    with target.small():
        file = client.files.create(file=("a.jsonl", content), purpose="fine-tune").id
        made = client.fine_tuning.jobs.create(model="nanosmith-nano", training_file=file)
        job = ended(target, f"fine_tuning/jobs/{made.id}")
    assert job["status"] == "failed"
    assert words in job["error"]["message"]
    target.is_well()


@pytest.mark.parametrize("kind", kinds("deep"))
def test_batch_files_that_are_hostile(target: Target, client: OpenAI, kind: str) -> None:
    """The batch fails, and its errors have the reason."""
    hostile, _ = FILES[kind]
    with target.small():
        file = client.files.create(file=("a.jsonl", lines(hostile)), purpose="batch").id
        given: Any = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
        batch = ended(target, f"batches/{client.batches.create(input_file_id=file, **given).id}")
    assert batch["status"] == "failed"
    assert batch["errors"]["data"][0]["message"]
    target.is_well()


def ended(target: Target, path: str, limit_s: float = 60) -> dict[str, Any]:
    """A job or batch, once it has ended."""
    end = time.monotonic() + limit_s
    while True:
        found: dict[str, Any] = target.http.get(path).json()
        if found["status"] in ("failed", "succeeded", "completed", "cancelled"):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.1)
