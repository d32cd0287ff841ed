"""How calls follow each other, where the document does not tell: an answer's values in the next request."""

from __future__ import annotations

from typing import Any

import msgspec

ID = "$response.body#/id"
EACH_ID = "$response.body#/data/*/id"


class Link(msgspec.Struct, frozen=True):
    """From one operation to the next one, both as "GET /files"; values are OpenAPI's runtime expressions."""

    source: str
    target: str
    parameters: dict[str, str] = {}
    body: dict[str, Any] | None = None
    whole: bool = False
    """Whether the body is all that is sent, most of the time; else what it has is put into a random one."""

    def written(self, operations: dict[str, Any]) -> dict[str, Any]:
        """As the Link Object of the document, which names its target by its operationId."""
        target = operations[self.target].setdefault("operationId", self.target)
        # expressions with * are read only in links that are marked so
        made = {"operationId": target, "parameters": self.parameters, "x-schemathesis": {
            "is_inferred": True, "merge_body": not self.whole}}  # fmt: skip
        return made if self.body is None else made | {"requestBody": self.body}


def _over(resource: str, parameter: str, listed: str, *targets: str) -> list[Link]:
    """From what was created, and from what is listed, to the calls about it."""
    sources = ((f"POST {resource}", ID), (f"GET {listed}", EACH_ID))
    return [Link(source, target, {parameter: value}) for source, value in sources for target in targets]


def _asking(*targets: str) -> list[Link]:
    """From the models to what they are asked."""
    return [Link("GET /models", target, body={"model": EACH_ID}) for target in targets]


def _of_files(target: str, field: str, body: dict[str, Any]) -> list[Link]:
    sources = (("POST /files", ID), ("GET /files", EACH_ID))
    return [Link(source, target, body=body | {field: value}, whole=True) for source, value in sources]


TURN = [{"role": "user", "content": "my refund"}]
TUNE = {"model": "nanosmith-nano", "method": {"type": "supervised"}}
BATCH = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
CHECK = {"type": "string_check", "name": "same", "input": "refund", "reference": "refund", "operation": "eq"}
"""Without {{templates}}: braces are expressions here."""
EVAL = {
    "data_source_config": {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True},
    "testing_criteria": [CHECK],
}
RUN = {
    "data_source": {
        "type": "completions", "model": "tiny",
        "source": {"type": "file_content", "content": [{"item": {"text": "my refund"}}]},
        "input_messages": {"type": "template", "template": TURN},
    }
}  # fmt: skip
DECISION = {
    "model": "tiny", "input": "my refund",
    "questions": [
        {"type": "predicate", "instructions": "refund"},
        {"type": "choice", "instructions": "which?", "choices": [{"value": "refund"}, {"value": "login"}]},
        {"type": "score", "instructions": "how?", "levels": [{"label": x} for x in ("refund", "login", "delivery")]},
    ],
}  # fmt: skip
COMPLETION = "/chat/completions/{completion_id}"
RESPONSE = "/responses/{response_id}"
PERMISSIONS = "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions"
GRADERS = "/fine_tuning/alpha/graders"
RUNS = "/evals/{eval_id}/runs"
OF_RUN = {"eval_id": "$response.body#/eval_id", "run_id": ID}
OF_RUNS = {"eval_id": "$request.path.eval_id", "run_id": EACH_ID}
LINKS = [
    *_asking("POST /chat/completions", "POST /responses", "POST /responses/input_tokens", "POST /decisions"),
    Link("GET /models", "POST /chat/completions", body={"model": "tiny", "messages": TURN, "store": True}, whole=True),
    Link("GET /models", "POST /responses", body={"model": "tiny", "input": "my refund"}, whole=True),
    Link("GET /models", "POST /embeddings", body={"model": "tiny", "input": ["my refund"]}, whole=True),
    *_over("/chat/completions", "completion_id", "/chat/completions", f"GET {COMPLETION}", f"POST {COMPLETION}",
           f"DELETE {COMPLETION}", f"GET {COMPLETION}/messages"),
    Link("POST /chat/completions", "GET /chat/completions"),
    Link("POST /chat/completions", "POST /files/from_completions", body={"model": "$response.body#/model"}),
    *[Link("POST /responses", target, {"response_id": ID}) for target in (
        f"GET {RESPONSE}", f"DELETE {RESPONSE}", f"POST {RESPONSE}/cancel", f"GET {RESPONSE}/input_items")],
    Link("POST /responses", "POST /responses", body={"previous_response_id": ID, "model": "$response.body#/model"}),
    *_of_files("POST /fine_tuning/jobs", "training_file", TUNE),
    *_of_files("POST /batches", "input_file_id", BATCH),
    Link("GET /fine_tuning/jobs", "POST /fine_tuning/jobs", body=TUNE | {
        "training_file": "$response.body#/data/*/training_file"}, whole=True),
    Link("GET /batches", "POST /batches", body=BATCH | {
        "input_file_id": "$response.body#/data/*/input_file_id"}, whole=True),
    Link("GET /models", "POST /decisions", body=DECISION, whole=True),
    Link("GET /models", "DELETE /models/{model}", {"model": "stars"}),
    Link("GET /models", f"POST {PERMISSIONS}", {"fine_tuned_model_checkpoint": EACH_ID}),
    Link("GET /models", f"GET {PERMISSIONS}", {"fine_tuned_model_checkpoint": EACH_ID}),
    Link(f"POST {PERMISSIONS}", f"DELETE {PERMISSIONS}/{{permission_id}}", {
        "fine_tuned_model_checkpoint": "$request.path.fine_tuned_model_checkpoint",
        "permission_id": EACH_ID}),
    Link("POST /uploads", "POST /uploads/{upload_id}/parts", {"upload_id": ID}),
    Link("POST /uploads/{upload_id}/parts", "POST /uploads/{upload_id}/complete", {
        "upload_id": "$response.body#/upload_id"}, {"part_ids": [ID]}, whole=True),
    Link("GET /models", f"POST {GRADERS}/validate", body={"grader": CHECK}, whole=True),
    Link("GET /models", "POST /evals", body=EVAL, whole=True),
    Link("POST /evals", f"POST {RUNS}", {"eval_id": ID}, RUN, whole=True),
    Link("GET /evals", f"POST {RUNS}", {"eval_id": EACH_ID}, RUN, whole=True),
    Link(f"POST {GRADERS}/validate", f"POST {GRADERS}/run", body={"grader": "$request.body#/grader"}),
    Link("GET /evals", f"GET {RUNS}", {"eval_id": EACH_ID}),
    *[Link(f"GET {RUNS}", f"{method} {RUNS}/{{run_id}}{more}", OF_RUNS) for method, more in (
        ("GET", ""), ("GET", "/output_items"), ("DELETE", ""), ("POST", ""))],
    *[Link(f"POST {RUNS}", f"{method} {RUNS}/{{run_id}}{more}", OF_RUN) for method, more in (
        ("GET", ""), ("GET", "/output_items"), ("DELETE", ""), ("POST", ""), ("POST", "/cancel"))],
    Link(f"GET {RUNS}/{{run_id}}/output_items", f"GET {RUNS}/{{run_id}}/output_items/{{output_item_id}}", {
        "eval_id": "$request.path.eval_id", "run_id": "$request.path.run_id", "output_item_id": EACH_ID}),
]  # fmt: skip
