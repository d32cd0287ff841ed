"""Webhooks: who is told of which events, and the events that wait to be told.

An event is written down as one delivery per endpoint, in the transaction that ends what it tells of (a transactional
outbox): neither is there without the other. `nanosmith.jobs.webhooks.courier` sends it. Messages are signed as the
Standard Webhooks specification says (https://github.com/standard-webhooks/standard-webhooks), as OpenAI's are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec

from nanosmith.core.errors import InputError, NotFound, did_you_mean
from nanosmith.jobs.webhooks.hosts import Reach
from nanosmith.store.autopilots import State
from nanosmith.store.ledger import Ledger, new_id
from nanosmith.store.records import Document

ENDPOINT, DELIVERY = "webhook.endpoint", "webhook.delivery"
ENDS = (
    "fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled",
    "batch.completed", "batch.failed", "batch.cancelled", "batch.expired",
    "eval.run.succeeded", "eval.run.failed", "eval.run.canceled",
)  # fmt: skip
"""Of OpenAI, about what has ended; what comes after them is of this server alone."""
CERTIFICATE_SUSPENDED, CERTIFICATE_RESTORED = "route.certificate.suspended", "route.certificate.restored"
AUTOPILOT_STEPPED, AUTOPILOT_WITHDRAWN = "route.autopilot.stepped", "route.autopilot.withdrawn"
EVENTS = (*ENDS, CERTIFICATE_SUSPENDED, CERTIFICATE_RESTORED, AUTOPILOT_STEPPED, AUTOPILOT_WITHDRAWN)
MAX_ENDPOINTS = 100  # of a project
MAX_URL_CHARS = 2048
ADDRESS = "https://HOST/PATH, or http:// of this machine"
SECRET = "whsec_"  # noqa: S105  (how a secret begins)
SECRET_BYTES = 32
FORMER_S = 24 * 3600  # a secret that is replaced can go on to sign so long
MAX_FORMER = 4


class Former(msgspec.Struct, frozen=True):
    """A secret that was replaced, and signs until a time."""

    secret: str
    until: int


class Endpoint(msgspec.Struct, frozen=True):
    """Body of a "webhook.endpoint". The secret itself is kept, as each message is signed with it.

    The column `status` of its document is a revision, by which changes that meet are told apart.
    """

    url: str
    events: tuple[str, ...]
    secret: str
    name: str = ""
    reach: Reach = "public"
    former: tuple[Former, ...] = ()
    updated_at: int | None = None


class Delivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of a "webhook.delivery", whose parent is its endpoint, and whose `expires_at` says when it is due.

    `event` is the message; `problem` what was wrong with the last attempt, at `tried_at`.
    """

    event: dict[str, object]
    attempts: int = 0
    tried_at: int | None = None
    problem: str | None = None


def new_endpoint(
    url: str, events: Sequence[str] = EVENTS, *, name: str = "", reach: Reach = "any", allow_http: bool = False
) -> Document:
    """An operator's, unless `reach` is given. Raises InputError for an address that cannot be, or an event that does
    not exist."""
    check_url(url, allow_http=allow_http)
    check_events(events)
    now = int(time.time())
    body = Endpoint(url, tuple(dict.fromkeys(events)), new_secret(), name, reach, updated_at=now)
    return Document(ENDPOINT, new_id("we_"), now, msgspec.to_builtins(body))


def check_events(events: Sequence[str], param: str = "event") -> None:
    """Raises InputError for one that is never sent."""
    for event in events:
        if event not in EVENTS:
            raise InputError(
                "no such event", got=repr(event[:80]), allowed=", ".join(EVENTS), remedy=did_you_mean(event, EVENTS),
                param=param,
            )  # fmt: skip


def check_url(url: str, *, allow_http: bool = False) -> None:
    """Raises InputError unless it is an https address, or an http one of this machine (of any with `allow_http`)."""
    scheme, host = _scheme_and_host(url)
    if scheme not in ("http", "https") or not host:
        raise InputError("webhooks cannot be sent there", got=repr(url[:200]), allowed=ADDRESS, param="url")
    if scheme == "http" and not allow_http and not _is_this_machine(host):
        raise InputError(
            "without https anyone on the way can read the messages", got=repr(url[:200]), allowed=ADDRESS, param="url",
            remedy="Use https. An operator can use `nanosmith webhooks add --allow-http` in a network that is trusted.",
        )  # fmt: skip


def _scheme_and_host(url: str) -> tuple[str, str | None]:
    """The host is None for what is no address, or one with a name or password."""
    try:
        parts = urlsplit(url)
        is_good = parts.port != 0 and parts.username is None and len(url) <= MAX_URL_CHARS
    except ValueError:
        return "", None
    is_plain = url.isascii() and url.isprintable() and " " not in url
    return parts.scheme, parts.hostname if is_good and is_plain else None


def new_secret() -> str:
    return SECRET + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def announce(ledger: Ledger, type: str, id: str, **more: str) -> list[Document]:
    """The deliveries of an event that tells of the object `id`, and `more` of it: to be added in the transaction that
    makes it so."""
    assert type in EVENTS, type
    now = int(time.time())
    body = msgspec.to_builtins(Delivery(new_event(type, id, now, **more)))
    endpoints = ledger.documents(ENDPOINT, limit=MAX_ENDPOINTS)
    return [
        Document(DELIVERY, new_id("wh_"), now, body, parent=endpoint.id, status="waiting", expires_at=now)
        for endpoint in endpoints
        if type in endpoint.body["events"]
    ]


def announce_autopilot(ledger: Ledger, route: str, state: State, is_withdrawal: bool) -> list[Document]:
    """The deliveries of what the autopilot of a route has decided."""
    type = AUTOPILOT_WITHDRAWN if is_withdrawal else AUTOPILOT_STEPPED
    return announce(ledger, type, route, phase=state.phase, text=state.why)


def new_event(type: str, id: str, now: int, **more: str) -> dict[str, object]:
    """What is sent to tell of the object `id`."""
    return {"id": new_id("evt_"), "object": "event", "type": type, "created_at": now, "data": {"id": id, **more}}


def signed_headers(id: str, body: bytes, secrets: Sequence[str], *, now: int) -> dict[str, str]:
    """`webhook-id`, `webhook-timestamp` and `webhook-signature`: v1, HMAC-SHA256 of "ID.TIMESTAMP.BODY", once for each
    secret, with spaces between."""
    signatures = (_signature(f"{id}.{now}.".encode() + body, secret) for secret in secrets)
    return {"webhook-id": id, "webhook-timestamp": str(now), "webhook-signature": " ".join(signatures)}


def _signature(content: bytes, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET))
    return f"v1,{base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()}"


def live_secrets(endpoint: Endpoint, now: int) -> list[str]:
    """Those that sign, the newest first."""
    return [endpoint.secret, *(former.secret for former in endpoint.former if former.until > now)]


def add_endpoint(ledger: Ledger, *rows: msgspec.Struct) -> None:
    """Keep an endpoint, with what else belongs into its transaction. Raises InputError when there are too many."""
    if ledger.count_documents(ENDPOINT) >= MAX_ENDPOINTS:
        raise InputError("the project has too many webhooks", allowed=MAX_ENDPOINTS)
    ledger.add(*rows)


def find_endpoint(ledger: Ledger, id: str) -> Document:
    """Raises NotFound."""
    row = ledger.document(ENDPOINT, id)
    if row is None:
        raise _not_found(id)
    return row


def remove_endpoint(ledger: Ledger, id: str) -> None:
    """With what waits to be told. Raises NotFound."""
    if not ledger.delete_document(ENDPOINT, id, children=[DELIVERY]):
        raise _not_found(id)


def change_endpoint(
    ledger: Ledger, id: str, change: Callable[[Endpoint], Endpoint], also: Sequence[msgspec.Struct] = ()
) -> Document:
    """What `change` makes of an endpoint; it is called again when another change came between. `updated_at` is set, and
    `also` added in the same transaction, unless nothing changes. Raises NotFound."""
    while True:
        row = find_endpoint(ledger, id)
        was = msgspec.convert(row.body, Endpoint)
        new = change(was)
        if new == was:
            return row
        body = msgspec.to_builtins(msgspec.structs.replace(new, updated_at=int(time.time())))
        expect, revision = {"status": row.status}, new_id("rev_")
        if ledger.update_document(ENDPOINT, id, expect=expect, also=also, status=revision, body=body) is not None:
            return msgspec.structs.replace(row, status=revision, body=body)


def with_secret(endpoint: Endpoint, secret: str, *, keep: bool) -> Endpoint:
    """The endpoint with a new secret; with `keep` the one before goes on to sign for FORMER_S, else no other does.
    Raises InputError when too many do."""
    now = int(time.time())
    former: tuple[Former, ...] = ()
    if keep:
        still = (one for one in endpoint.former if one.until > now)
        former = (Former(endpoint.secret, now + FORMER_S), *still)
    if len(former) > MAX_FORMER:
        raise InputError(
            "too many secrets that were replaced still sign", allowed=MAX_FORMER,
            remedy="Replace the secret without keeping the old one.",
        )  # fmt: skip
    return msgspec.structs.replace(endpoint, secret=secret, former=former)


def _not_found(id: str) -> NotFound:
    return NotFound("no such webhook", got=repr(id[:80]), remedy="The list of webhooks shows all ids.", param="id")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
