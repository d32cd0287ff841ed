"""/v1/webhook_endpoints: addresses that are told when jobs, batches and eval runs end, and what becomes of routes.

They are those of `nanosmith webhooks`. What is made here reaches the public Internet alone; see
`nanosmith.jobs.webhooks.hosts`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import anyio.to_thread
import msgspec
from anyio import CapacityLimiter
from msgspec import UNSET, Meta, UnsetType
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import InputError
from nanosmith.core.structs import to_struct
from nanosmith.jobs.webhooks.hosts import Reach, addresses
from nanosmith.jobs.webhooks.post import post
from nanosmith.jobs.webhooks.webhooks import (
    ENDPOINT,
    EVENTS,
    SECRET,
    Endpoint,
    add_endpoint,
    change_endpoint,
    check_events,
    check_url,
    find_endpoint,
    new_endpoint,
    new_event,
    new_secret,
    remove_endpoint,
    with_secret,
)
from nanosmith.server.http.errors import TooBusy
from nanosmith.server.http.idempotency import Once, once
from nanosmith.server.http.pages import limit_of, page_response
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.services import Services, services
from nanosmith.server.watch.tally import tally_of
from nanosmith.store.ledger import new_id
from nanosmith.store.records import Document

MOST = 100  # of one page
MAX_OUTWARD = 4
"""Requests at the same time that wait for hosts which their senders chose, or for their name servers."""
HINT_CHARS = 4
Result = TypeVar("Result")
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Events: TypeAlias = Annotated[list[str], Meta(min_length=1)]


class CreateEndpoint(msgspec.Struct):
    name: Name
    url: str
    event_types: Events


class UpdateEndpoint(msgspec.Struct):
    name: Name | UnsetType = UNSET
    url: str | UnsetType = UNSET
    event_types: Events | UnsetType = UNSET


class RotateSecret(msgspec.Struct):
    keep_old_secret_active_for_24_hours: bool = False


class SendTest(msgspec.Struct):
    event_type: str


async def create(request: Request) -> Response:
    content = await read_json(request)
    asked, reach = to_struct(content, CreateEndpoint), reach_of(request)
    check_events(asked.event_types, "event_types")
    await _outward(request, check_target, asked.url, reach)
    row = new_endpoint(asked.url, asked.event_types, name=asked.name, reach=reach)
    made = await run_in_threadpool(_create, services(request), row, once(request, content))
    return json_response(endpoint_object(made, with_secret=True))


def list_endpoints(request: Request) -> Response:
    """Newest first."""
    query, ledger = request.query_params, services(request).ledger
    limit = limit_of(query, default=20, most=MOST)
    return page_response(lambda: ledger.documents(ENDPOINT, after=query.get("after"), limit=limit), endpoint_object)


def retrieve(request: Request) -> Response:
    return json_response(endpoint_object(_endpoint(request)))


async def update(request: Request) -> Response:
    """An address that is new must be one that the caller could make an endpoint of; one that stays, also an
    operator's, is kept as it is."""
    asked, reach = to_struct(await read_json(request), UpdateEndpoint), reach_of(request)
    row = await run_in_threadpool(_endpoint, request)
    if asked.event_types is not UNSET:
        check_events(asked.event_types, "event_types")
    if asked.url is not UNSET and asked.url != row.body["url"]:
        await _outward(request, check_target, asked.url, reach)
    changed = await run_in_threadpool(
        change_endpoint, services(request).ledger, row.id, lambda was: _updated(was, asked, reach)
    )
    return json_response(endpoint_object(changed))


def delete(request: Request) -> Response:
    id = request.path_params["id"]
    remove_endpoint(services(request).ledger, id)
    return json_response({"id": id, "object": "webhook_endpoint.deleted", "deleted": True})


async def rotate_secret(request: Request) -> Response:
    content = await read_json(request)
    keep = to_struct(content, RotateSecret).keep_old_secret_active_for_24_hours
    row = await run_in_threadpool(_rotate, request, keep, once(request, content))
    return json_response(endpoint_object(row, with_secret=True))


async def send_test(request: Request) -> Response:
    """Sends one event, once, and tells the status of the answer. Raises NoAnswer."""
    type = to_struct(await read_json(request), SendTest).event_type
    check_events([type], "event_type")
    row = await run_in_threadpool(_endpoint, request)
    event = new_event(type, new_id("test_"), int(time.time()))
    endpoint = msgspec.convert(row.body, Endpoint)
    status = await _outward(request, post, endpoint, new_id("wh_"), msgspec.json.encode(event))
    return json_response(
        {
            "object": "webhook_endpoint.test", "webhook_endpoint_id": row.id, "event_type": type, "success": True,
            "status_code": status,
        }
    )  # fmt: skip


def list_event_types(_request: Request) -> Response:
    return json_response({"object": "list", "data": EVENTS})


def endpoint_object(row: Document, *, with_secret: bool = False) -> dict[str, Any]:
    endpoint = msgspec.convert(row.body, Endpoint)
    secret = {"signing_secret": endpoint.secret} if with_secret else {}
    return {
        "id": row.id, "object": "webhook_endpoint", "created_at": row.created_at, "updated_at": endpoint.updated_at,
        "name": endpoint.name, "url": endpoint.url, "event_types": endpoint.events,
        "signing_secret_hint": hint(endpoint.secret),
    } | secret  # fmt: skip


def hint(secret: str) -> str:
    return f"{SECRET}…{secret.rstrip('=')[-HINT_CHARS:]}"


def reach_of(request: Request) -> Reach:
    """Where the caller's endpoints may be. Who asks without a key is on this machine, and may have them there."""
    return "local" if tally_of(request.scope).key is None else "public"


def check_target(url: str, reach: Reach) -> None:
    """Raises InputError for an address that cannot be, or that is beyond `reach`."""
    check_url(url)
    parts = urlsplit(url)
    addresses(parts.hostname or "", parts.port or 443, reach)


def _create(here: Services, row: Document, sent: Once) -> Document:
    """A new endpoint; or, when a client repeats a request because it saw no answer, the one that it made before."""
    with here.creation:
        made = sent.earlier(here.ledger, partial(here.ledger.document, ENDPOINT))
        if made is None:
            made = row
            add_endpoint(here.ledger, made, sent.record(made.id))
    return made


def _updated(was: Endpoint, asked: UpdateEndpoint, reach: Reach) -> Endpoint:
    given = {"name": asked.name, "url": asked.url}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not UNSET}
    if asked.event_types is not UNSET:
        changes["events"] = tuple(dict.fromkeys(asked.event_types))
    if asked.url is not UNSET and asked.url != was.url:
        changes["reach"] = reach
    return msgspec.structs.replace(was, **changes)


def _rotate(request: Request, keep: bool, sent: Once) -> Document:
    """The endpoint with a new secret; or, when a client repeats a request, with the one that it made before."""
    here, secret = services(request), new_secret()
    with here.creation:
        row = _endpoint(request)
        if made := sent.made_before(here.ledger):
            if made != _rotation(row.id, row.body["secret"]):
                raise InputError("the secret that this request made was replaced since", param="id")
            return row
        return change_endpoint(
            here.ledger, row.id, lambda was: with_secret(was, secret, keep=keep),
            also=[sent.record(_rotation(row.id, secret))],
        )  # fmt: skip


def _rotation(id: str, secret: str) -> str:
    return f"{id} {hint(secret)}"


def _endpoint(request: Request) -> Document:
    return find_endpoint(services(request).ledger, request.path_params["id"])


async def _outward(request: Request, call: Callable[..., Result], *given: object) -> Result:
    """Run what may wait for others for seconds, in a thread that is not one of those which answer requests. Raises
    TooBusy."""
    state, place = request.app.state, object()
    if not hasattr(state, "outward"):
        state.outward = CapacityLimiter(MAX_OUTWARD)
    try:
        state.outward.acquire_on_behalf_of_nowait(place)  # before anything is awaited: others ask at the same time
    except anyio.WouldBlock:
        raise TooBusy("too many webhooks are being checked and tried at the moment", allowed=MAX_OUTWARD) from None
    try:
        result: Result = await anyio.to_thread.run_sync(call, *given, limiter=CapacityLimiter(1))
    finally:
        state.outward.release_on_behalf_of(place)
    return result


routes = [
    Route("/webhook_endpoints", create, methods=["POST"]),
    Route("/webhook_endpoints", list_endpoints, methods=["GET"]),
    Route("/webhook_endpoints/{id}", retrieve, methods=["GET"]),
    Route("/webhook_endpoints/{id}", update, methods=["POST"]),
    Route("/webhook_endpoints/{id}", delete, methods=["DELETE"]),
    Route("/webhook_endpoints/{id}/rotate_secret", rotate_secret, methods=["POST"]),
    Route("/webhook_endpoints/{id}/test", send_test, methods=["POST"]),
    Route("/webhook_event_types", list_event_types, methods=["GET"]),
]
