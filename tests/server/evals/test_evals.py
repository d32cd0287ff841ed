"""Evals with the official client: made, as they are exported too, listed, changed, deleted, and refused where no row
could be graded."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.server.evals.conftest import CUSTOM, ITEM_SCHEMA, LABEL, NEAR, RIGHT, SCORE, make

from nanosmith.core.limits import MAX_EVAL_CRITERIA, MAX_JSON_DEPTH

PYTHON = {"type": "python", "name": "code", "source": "def grade(sample, item):\n    return 1.0\n"}


def refused(client: OpenAI, *criteria: Any, config: Any = CUSTOM) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        make(client, *criteria, config=config)
    return caught.value


def test_an_eval_is_made_and_comes_back(client: OpenAI) -> None:
    """The answer has the criteria as they were sent, each with an id, and one schema of item and sample."""
    made = make(client, RIGHT, NEAR, LABEL)
    assert (made.object, made.name, made.metadata) == ("eval", "Tickets", {"team": "support"})
    assert made.data_source_config.schema_["properties"]["item"] == ITEM_SCHEMA
    assert made.data_source_config.schema_["required"] == ["item", "sample"]
    shown = [one.model_dump(exclude_unset=True) for one in made.testing_criteria]
    ids = [one.pop("id") for one in shown]
    assert shown == [RIGHT, NEAR, LABEL]
    assert len(set(ids)) == 3
    assert ids[0].startswith("right label-")
    assert client.evals.retrieve(made.id).model_dump() == made.model_dump()


def test_creation_is_answered_with_201(http: httpx.Client) -> None:
    """As OpenAI's reference says, unlike for other resources."""
    answer = http.post("/v1/evals", json={"data_source_config": CUSTOM, "testing_criteria": [RIGHT]})
    assert answer.status_code == 201
    assert answer.json()["name"] == ""
    assert answer.json()["metadata"] == {}


@pytest.mark.parametrize("config", [CUSTOM, {"type": "logs", "metadata": {"a": "b"}}, {"type": "stored_completions"}])
def test_an_exported_eval_can_be_made_again(client: OpenAI, http: httpx.Client, config: Any) -> None:
    """What GET answers is a valid body of POST, and makes an equal eval with other ids."""
    made = make(client, RIGHT, config=config)
    exported = http.get(f"/v1/evals/{made.id}").json()
    again = http.post("/v1/evals", json=exported)
    assert again.status_code == 201
    new = again.json()
    assert new["id"] != exported["id"]
    assert new["data_source_config"] == exported["data_source_config"]
    for one in (*new["testing_criteria"], *exported["testing_criteria"]):
        one.pop("id")
    assert new["testing_criteria"] == exported["testing_criteria"]


def test_a_multi_grader_is_a_criterion(http: httpx.Client) -> None:
    """OpenAI's types have no multi grader in an eval, so a strict client cannot read one; others can."""
    multi = {"type": "multi", "name": "both", "graders": {"a": RIGHT, "b": NEAR}, "calculate_output": "(a + b) / 2"}
    answer = http.post("/v1/evals", json={"data_source_config": CUSTOM, "testing_criteria": [multi]})
    assert answer.status_code == 201
    assert answer.json()["testing_criteria"][0].items() >= multi.items()


def test_lists(fresh: Any) -> None:
    """In both orders, in pages, and by the last change."""
    with fresh.client() as client:
        made = [make(client, name=str(i)).id for i in range(3)]
        assert [one.id for one in client.evals.list(limit=2)] == made
        assert [one.id for one in client.evals.list(order="desc")] == made[::-1]
        assert [one.id for one in client.evals.list(after=made[1])] == made[2:]
        client.evals.update(made[0], name="changed")
        by_change = [made[1], made[2], made[0]]
        assert [one.id for one in client.evals.list(order_by="updated_at", limit=2)] == by_change
        assert [one.id for one in client.evals.list(order_by="updated_at", order="desc")] == by_change[::-1]


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("order=up", "order"), ("order_by=name", "order_by"),
     ("after=eval_none", "after"), ("after=eval_none&order_by=updated_at", "after")],
)  # fmt: skip
def test_a_list_that_is_wrong(http: httpx.Client, query: str, param: str) -> None:
    """A 400 names the parameter."""
    answer = http.get(f"/v1/evals?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_update(client: OpenAI) -> None:
    """Name and metadata change each by itself; null empties metadata."""
    made = make(client)
    renamed = client.evals.update(made.id, name="New")
    assert (renamed.name, renamed.metadata) == ("New", {"team": "support"})
    assert client.evals.update(made.id, metadata={"a": "b"}).metadata == {"a": "b"}
    assert client.evals.update(made.id, metadata=None).metadata == {}
    assert client.evals.retrieve(made.id).name == "New"


def test_delete(client: OpenAI) -> None:
    """An eval that was deleted is a 404 for every call."""
    made = make(client)
    gone = client.evals.delete(made.id)
    assert (gone.deleted, gone.eval_id, gone.object) == (True, made.id, "eval.deleted")
    calls = [
        lambda: client.evals.retrieve(made.id),
        lambda: client.evals.update(made.id, name="x"),
        lambda: client.evals.delete(made.id),
        lambda: client.evals.runs.list(made.id),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError) as caught:
            call()
        assert caught.value.param == "eval_id"


def test_a_repeated_request_makes_one_eval(fresh: Any) -> None:
    """A retry of the client, and a second sending with the same Idempotency-Key, get the first one's eval."""
    body = {"data_source_config": CUSTOM, "testing_criteria": [RIGHT]}
    with httpx.Client(base_url=fresh.url) as http:
        first = http.post("/v1/evals", json=body).json()
        assert http.post("/v1/evals", json=body, headers={"x-stainless-retry-count": "1"}).json() == first
        keyed = [http.post("/v1/evals", json=body, headers={"idempotency-key": "k"}).json() for _ in range(2)]
        assert keyed[0] == keyed[1] != first
        assert len(http.get("/v1/evals").json()["data"]) == 2


def without(grader: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in grader.items() if key != name}


@pytest.mark.parametrize(
    ("criterion", "param", "code"),
    [
        (PYTHON, "type", "unsupported_grader"),
        ({"type": "multi", "name": "m", "graders": {"a": PYTHON}, "calculate_output": "a"},
         "graders.a.type", "unsupported_grader"),
        (RIGHT | {"operation": "contains"}, "operation", "invalid_value"),
        (without(RIGHT, "name"), "name", "missing_required_parameter"),
        (without(NEAR, "pass_threshold"), "pass_threshold", "missing_required_parameter"),
        (RIGHT | {"reference": "{{ item.lable }}"}, "reference", "invalid_value"),
        (RIGHT | {"reference": "{{ item.notes[0].when }}"}, "reference", "invalid_value"),
        (LABEL | {"input": [{"role": "user", "content": "{{ item.txt }}"}]}, "input[0].content", "invalid_value"),
        (RIGHT | {"reference": "{{ row.label }}"}, "reference", "invalid_value"),
        (LABEL | {"model": "gpt-4o"}, "model", "model_not_found"),
        (LABEL | {"labels": ["good"], "passing_labels": ["good"]}, "model", "unsupported_grader"),
        (LABEL | {"model": "tags"}, "model", "unsupported_grader"),
        (SCORE | {"model": "tiny"}, "model", "unsupported_grader"),
        (7, "", "invalid_value"),
    ],
)  # fmt: skip
def test_a_criterion_that_could_grade_nothing(client: OpenAI, criterion: Any, param: str, code: str) -> None:
    """The error names the field of the criterion: a wrong grader, a field no row has, a model that cannot answer so."""
    error = refused(client, RIGHT, criterion)
    assert (error.param, error.code) == (f"testing_criteria[1].{param}".rstrip("."), code)
    assert error.status_code == (404 if code == "model_not_found" else 400)


def test_the_fields_that_there_are_are_named(client: OpenAI) -> None:
    """The words of the error show the template and the fields of the schema."""
    error = refused(client, RIGHT | {"reference": "{{ item.lable }}"})
    assert "item_schema has no `lable`" in error.message
    assert "`label`" in error.message


@pytest.mark.parametrize("reference", ["{{ item.notes[3].by }}", "{{ item.free.any.thing }}", "{{ item.label }}"])
def test_fields_that_rows_may_have(client: OpenAI, reference: str) -> None:
    """Lists and objects without named properties forbid nothing."""
    assert make(client, RIGHT | {"reference": reference}).id


@pytest.mark.parametrize(
    "schema",
    [{}, {"type": "object"}, {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
     {"$ref": "#/x", "properties": {"a": {}}}, {"properties": {"a": {}}, "anyOf": [{}]}],
)  # fmt: skip
def test_schemas_that_do_not_list_the_fields(client: OpenAI, schema: Any) -> None:
    """Where a schema leaves open which fields there are, no template is refused."""
    assert make(client, config={"type": "custom", "item_schema": schema}).id


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"testing_criteria": [RIGHT]}, "data_source_config"),
        ({"data_source_config": CUSTOM}, "testing_criteria"),
        ({"data_source_config": CUSTOM, "testing_criteria": []}, "testing_criteria"),
        ({"data_source_config": CUSTOM, "testing_criteria": [RIGHT] * (MAX_EVAL_CRITERIA + 1)}, "testing_criteria"),
        ({"data_source_config": {"type": "custom"}, "testing_criteria": [RIGHT]}, "data_source_config.item_schema"),
        ({"data_source_config": {"type": "other"}, "testing_criteria": [RIGHT]}, "data_source_config.type"),
        ({"data_source_config": CUSTOM, "testing_criteria": [RIGHT], "name": 7}, "name"),
        ({"data_source_config": CUSTOM, "testing_criteria": [RIGHT], "metadata": {"a": 7}}, "metadata"),
        ({"data_source_config": CUSTOM, "testing_criteria": [RIGHT], "name": "x" * 2**20}, "testing_criteria"),
    ],
)
def test_a_body_that_is_wrong(http: httpx.Client, body: Any, param: str) -> None:
    """What is missing, too much or of a wrong type is a 400 that names it."""
    answer = http.post("/v1/evals", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_schema_that_is_nested_too_deeply(http: httpx.Client) -> None:
    """It is refused at every depth, never answered with a 500."""
    for depth in (MAX_JSON_DEPTH, 900, 955, 960, 965, 5000):
        schema = '{"a":' * depth + "1" + "}" * depth
        body = f'{{"data_source_config": {{"type": "custom", "item_schema": {schema}}}, "testing_criteria": [%s]}}'
        headers = {"content-type": "application/json"}
        answer = http.post("/v1/evals", content=body % json.dumps(RIGHT), headers=headers)
        assert answer.status_code == 400, depth


def test_what_is_refused_leaves_nothing(fresh: Any) -> None:
    """After a refused eval the list is empty."""
    with fresh.client() as client:
        refused(client, PYTHON)
        assert list(client.evals.list()) == []


def test_a_key_whose_eval_was_deleted(fresh: Any) -> None:
    """A repeated request finds what it made; when that was deleted since, the error says so, and another key works."""
    with fresh.client() as own:
        send = {"data_source_config": CUSTOM, "testing_criteria": [RIGHT], "extra_headers": {"Idempotency-Key": "one"}}
        made = own.evals.create(**send)
        assert own.evals.create(**send).id == made.id
        own.evals.delete(made.id)
        with pytest.raises(openai.BadRequestError, match="was deleted") as caught:
            own.evals.create(**send)
        assert caught.value.code == "idempotency_key_reused"
        assert own.evals.create(**send | {"extra_headers": {"Idempotency-Key": "two"}}).id != made.id
