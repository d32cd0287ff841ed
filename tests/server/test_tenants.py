"""Two projects on one server: neither sees, changes or uses what is the other's.

Whoever adds a route with a parameter adds a line to SAMPLES; the first test says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from openai import OpenAI
from tests.server.app_routes import PARAMETER, Call, calls
from tests.server.conftest import running

from nanosmith.jobs.webhooks.webhooks import new_endpoint
from nanosmith.server.access.keys import digest, new_key
from nanosmith.server.app import create_app
from nanosmith.server.evals.records import ITEM
from nanosmith.server.services import Services
from nanosmith.store.home import DEFAULT_PROJECT, Home, open_home
from nanosmith.store.ledger import new_id
from nanosmith.store.ledger.tables import meta
from nanosmith.store.records import Document, KeyRow, ModelRow, ProjectRow
from nanosmith.testing import tiny_bundle, topic_rows, write_chat

MODEL = "ft:tiny:local::abcd1234"
SAME = "same-name"
ASK: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "refund"}]}
QUESTION = {"type": "predicate", "name": "a", "instructions": "refund"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
CRITERION = {"type": "string_check", "name": "b", "input": "{{item.a}}", "operation": "eq", "reference": "c"}
EVAL = {"data_source_config": {"type": "custom", "item_schema": SCHEMA}, "testing_criteria": [CRITERION]}
EVAL_ROWS = {"type": "file_content", "content": [{"item": {"a": "a private text"}}]}
EVAL_RUN = {"data_source": {"type": "jsonl", "source": EVAL_ROWS}}
CLOSED = (400, 404)


class Tenant:
    """A project with a key, a model and a client."""

    def __init__(self, shared: Services, url: str, name: str, labels: list[str], models: list[str]) -> None:
        self.project = new_id("proj_")
        self.services = shared.of(self.project)
        key = new_key()
        ledger = self.services.ledger
        ledger.add(ProjectRow(self.project, name, 1))
        ledger.add(KeyRow(new_id("key_"), self.project, name, digest(key.encode()), 1, ("all", "webhooks")))
        self.services.home.bundles.mkdir(parents=True)
        bundle = tiny_bundle(self.services.home.bundles / "tiny", labels)
        for model in models:
            ledger.add_model(ModelRow(model, 1, "tiny", bundle.digest, "nanosmith-nano"))
        self.client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        self.http = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=20)

    def everything(self) -> dict[str, Any]:
        """All rows of the project, and its files with their sizes."""
        home, database = self.services.home, self.services.ledger.database
        found: dict[str, Any] = {}
        for table in meta.sorted_tables:
            if "project" in table.c:
                mine = sa.select(table).where(table.c.project == self.project)
                found[table.name] = [tuple(row) for row in database.read(lambda link, q=mine: link.execute(q).all())]
        folder = home.bundles.parent
        return found | {
            str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()
        }

    def close(self) -> None:
        self.client.close()
        self.http.close()


def file(owner: Tenant) -> str:
    return owner.client.files.create(file=("notes.txt", b"a private text"), purpose="user_data").id


def stored_completion(owner: Tenant) -> str:
    return owner.client.chat.completions.create(**ASK, store=True).id


def response(owner: Tenant) -> str:
    return owner.client.responses.create(model=MODEL, input="refund").id


def job(owner: Tenant) -> str:
    training = write_chat(owner.services.home.bundles.parent / "train.jsonl", topic_rows(30))
    uploaded = owner.client.files.create(file=training, purpose="fine-tune")
    return owner.client.fine_tuning.jobs.create(training_file=uploaded.id, model="nanosmith-nano").id


def upload(owner: Tenant) -> str:
    return owner.client.uploads.create(bytes=4, filename="a.txt", mime_type="text/plain", purpose="user_data").id


def permission(owner: Tenant) -> str:
    path = f"/v1/fine_tuning/checkpoints/{MODEL}/permissions"
    return str(owner.http.post(path, json={"project_ids": [DEFAULT_PROJECT]}).json()["data"][0]["id"])


def batch(owner: Tenant) -> str:
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": ASK}
    lines = owner.client.files.create(file=("lines.jsonl", json.dumps(line).encode()), purpose="batch")
    made = owner.client.batches.create(input_file_id=lines.id, endpoint="/v1/chat/completions", completion_window="24h")
    return made.id


def eval_(owner: Tenant) -> str:
    return str(owner.http.post("/v1/evals", json=EVAL).json()["id"])


def eval_run(owner: Tenant, eval_id: str) -> str:
    return str(owner.http.post(f"/v1/evals/{eval_id}/runs", json=EVAL_RUN).json()["id"])


def output_item(owner: Tenant, _: str, run_id: str) -> str:
    body = {"datasource_item_id": 0, "datasource_item": {"a": "a private text"}, "results": [], "sample": {}}
    row = Document(ITEM, new_id("outputitem_"), 1, body, parent=run_id, status="pass")
    owner.services.ledger.add(row)
    return row.id


def webhook(owner: Tenant) -> str:
    """Nobody listens there."""
    row = new_endpoint("http://127.0.0.1:1/private", ["batch.failed"])
    owner.services.ledger.add(row)
    return row.id


RUN = "/v1/evals/{eval_id}/runs/{run_id}"
SAMPLES: dict[str, Callable[..., str]] = {
    "/v1/files/{id}": file,
    "/v1/chat/completions/{id}": stored_completion,
    "/v1/fine_tuning/jobs/{id}": job,
    "/v1/models/{model:path}": lambda _: MODEL,
    "/v1/responses/{id}": response,
    "/v1/uploads/{id}": upload,
    "/v1/fine_tuning/checkpoints/{model:path}": lambda _: MODEL,
    "/v1/fine_tuning/checkpoints/{model:path}/permissions/{id}": lambda owner, _: permission(owner),
    "/v1/batches/{id}": batch,
    "/v1/evals/{eval_id}": eval_,
    RUN: eval_run,
    f"{RUN}/output_items/{{item_id}}": output_item,
    "/v1/webhook_endpoints/{id}": webhook,
}
"""How to make an object of a project, given the ids of those above it, by the template of its path; what is made is its
id. What is above stands before."""
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/chat/completions/{id}"): {"json": {"metadata": {}}},
    ("POST", "/v1/uploads/{id}/parts"): {"files": {"data": b"text"}},
    ("POST", "/v1/uploads/{id}/complete"): {"json": {"part_ids": ["part_1"]}},
    ("POST", "/v1/fine_tuning/checkpoints/{model:path}/permissions"): {"json": {"project_ids": [DEFAULT_PROJECT]}},
    ("POST", "/v1/evals/{eval_id}/runs"): {"json": EVAL_RUN},
    ("POST", "/v1/webhook_endpoints/{id}/test"): {"json": {"event_type": "batch.failed"}},
}
"""What a call needs so that it is not refused before its object is looked up; others get {"json": {}}."""
REFERENCES: list[tuple[str, Callable[[dict[str, str]], dict[str, Any]]]] = [
    ("/v1/chat/completions", lambda ids: ASK),
    ("/v1/decisions", lambda ids: {"model": MODEL, "input": "x", "questions": [QUESTION]}),
    ("/v1/responses", lambda ids: {"model": MODEL, "input": "x"}),
    ("/v1/responses", lambda ids: {"model": SAME, "input": "x", "previous_response_id": ids["/v1/responses/{id}"]}),
    ("/v1/embeddings", lambda ids: {"model": MODEL, "input": "x"}),
    ("/v1/fine_tuning/jobs", lambda ids: {"model": "nanosmith-nano", "training_file": ids["/v1/files/{id}"]}),
    ("/v1/batches", lambda ids: {
        "input_file_id": ids["/v1/files/{id}"], "endpoint": "/v1/chat/completions", "completion_window": "24h",
    }),
    ("/v1/evals", lambda ids: EVAL | {"testing_criteria": [{
        "type": "label_model", "name": "a", "model": MODEL, "input": [{"role": "user", "content": "{{ item.a }}"}],
        "labels": ["refund"], "passing_labels": ["refund"],
    }]}),
]  # fmt: skip
"""Calls whose body names another project's object."""


class Two:
    """The owner of the objects, the other project, and the ids by their templates."""

    def __init__(self, shared: Services, url: str) -> None:
        self.owner = Tenant(shared, url, "owner", ["refund", "login"], [MODEL, SAME])
        self.other = Tenant(shared, url, "other", ["left", "right"], [SAME])
        self.ids: dict[str, str] = {}
        for template, make in SAMPLES.items():
            *above, _ = Call("", template, True).prefixes()
            self.ids[template] = make(self.owner, *(self.ids[prefix] for prefix in above))

    def path(self, call: Call) -> str:
        """With the owner's ids; "missing" for an object that has no sample."""
        path = call.template
        for prefix in reversed(call.prefixes()):
            start = prefix.rindex("{")
            path = path[:start] + self.ids.get(prefix, "missing") + path[len(prefix) :]
        return path


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    home = open_home(tmp_path_factory.mktemp("tenants"))
    with running(home, "sk-of-the-server") as served:
        both = Two(served.services, served.url)
        yield both
        both.owner.close()
        both.other.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """Every call of the API that is built."""
    app = create_app(open_home(tmp_path_factory.mktemp("routes")))
    return [call for call in calls(app) if call.built and call.template.startswith("/v1/")]


def send(tenant: Tenant, call: Call, path: str) -> httpx.Response:
    body: dict[str, Any] = {}
    if call.method not in ("GET", "HEAD", "DELETE"):
        body = BODIES.get((call.method, call.template), {"json": {}})
    return tenant.http.request(call.method, path, **body)


def test_every_parameter_has_a_sample(built: list[Call]) -> None:
    """SAMPLES knows how to make an object for each parameter of each route, so that no route escapes these tests."""
    wanted = {prefix for call in built for prefix in call.prefixes()}
    assert wanted - SAMPLES.keys() == set(), "add how to make one of these to SAMPLES in this file"


def test_another_projects_ids_name_nothing(two: Two, built: list[Call]) -> None:
    """Each call on an id of the owner's is, for the other project, what it is for an id that nobody has: a 404 (or a
    400), and nothing of the owner's changes."""
    before, leaks = two.owner.everything(), []
    with_ids = [call for call in built if PARAMETER.search(call.template)]
    for call in with_ids:
        answer = send(two.other, call, two.path(call))
        nobodys = send(two.other, call, call.path("nobodys"))
        if answer.status_code not in CLOSED or answer.status_code != nobodys.status_code or "private" in answer.text:
            leaks.append((call.method, call.template, answer.status_code, answer.text))
    assert leaks == []
    assert len(with_ids) >= 15
    assert two.owner.everything() == before


def test_another_projects_objects_are_in_no_list(two: Two, built: list[Call]) -> None:
    """No list of the other project has an id of the owner's, and the owner's ids are no cursors for it."""
    lists = [call.template for call in built if call.method == "GET" and not PARAMETER.search(call.template)]
    assert len(lists) >= 4
    for path in lists:
        shown = two.other.http.get(path).text
        assert [id for id in two.ids.values() if id in shown] == [], path
        for prefix, id in two.ids.items():
            if prefix.rpartition("/")[0] == path:
                answer = two.other.http.get(path, params={"after": id})
                assert answer.status_code == 400 or id not in answer.text, path


@pytest.mark.parametrize("index", range(len(REFERENCES)))
def test_another_projects_objects_cannot_be_used(two: Two, index: int) -> None:
    """A body that names an object of the owner's is refused, and works for the owner where it is complete."""
    path, body = REFERENCES[index]
    answer = two.other.http.post(path, json=body(two.ids))
    assert answer.status_code in CLOSED, answer.text
    assert "private" not in answer.text


def test_another_projects_file_is_no_source_of_an_eval(two: Two) -> None:
    """A run of one's own eval cannot read another project's file."""
    source = {"type": "file_id", "id": two.ids["/v1/files/{id}"]}
    body = {"data_source": {"type": "jsonl", "source": source}}
    answer = two.other.http.post(f"/v1/evals/{eval_(two.other)}/runs", json=body)
    assert answer.status_code in CLOSED, answer.text


def test_equal_names_are_different_models(two: Two) -> None:
    """Two projects have a model of the same name: each is answered by its own, in whatever order they ask."""
    ask = ASK | {"model": SAME}
    for _ in range(2):
        for tenant, label in ((two.owner, "login"), (two.other, "right")):
            messages = [{"role": "user", "content": label}]
            answer = tenant.client.chat.completions.create(**ask | {"messages": messages})
            assert answer.choices[0].message.content == label


def test_equal_idempotency_keys_are_different_requests(two: Two) -> None:
    """The same Idempotency-Key of two projects makes two objects."""
    headers, body = {"idempotency-key": "same"}, ASK | {"model": SAME, "store": True}
    made = [
        tenant.http.post("/v1/chat/completions", json=body, headers=headers).json()["id"]
        for tenant in (two.owner, two.other, two.owner)
    ]
    assert made[0] == made[2] != made[1]


def test_equal_bytes_are_different_files(two: Two) -> None:
    """A project that deletes a file leaves another project's equal one."""
    (mine, theirs) = (file(tenant) for tenant in (two.owner, two.other))
    assert two.other.client.files.delete(theirs).deleted
    assert two.owner.client.files.content(mine).content == b"a private text"


def test_the_owner_can_do_all_this(two: Two, built: list[Call]) -> None:
    """None of these calls is a 404 for the owner, so that what the other project was told was not for another reason.
    Runs last: it deletes."""
    order = sorted(built, key=lambda call: (call.method == "DELETE", -len(call.template)))
    with_ids = [call for call in order if call.prefixes() and call.prefixes()[-1] in SAMPLES]
    missed = [
        (call.method, call.template)
        for call in with_ids
        if send(two.owner, call, two.path(call)).status_code in (404, 405, 500)
    ]
    assert missed == []


def test_a_projects_files_lie_in_its_own_folder(two: Two, home: Home) -> None:
    """Uploads and models of a project are below HOME/projects/ID."""
    for tenant in (two.owner, two.other):
        assert tenant.services.home.bundles.parent.name == tenant.project
        assert (tenant.services.home.bundles / "tiny").is_dir()
    assert two.owner.services.home.blobs.is_dir()
