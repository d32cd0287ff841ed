"""Lists in pages: `limit`, `after` and `order` in, `data`, `has_more`, `first_id` and `last_id` out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import QueryParams
from starlette.responses import Response

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MAX_METADATA_PAIRS
from nanosmith.server.http.wire import json_response
from nanosmith.store.ledger import Page, UnknownCursor

Row = TypeVar("Row", bound=msgspec.Struct)
ORDERS = {"asc": "asc", "desc": "desc"}
METADATA_KEY = re.compile(r"metadata\[(.+)\]")


def limit_of(query: Mapping[str, str], *, default: int, most: int) -> int:
    """Raises InputError unless `limit` is an integer in 1…most."""
    given = query.get("limit")
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= most):
        raise InputError("wrong limit", got=repr(given[:20]), allowed=f"an integer from 1 to {most}", param="limit")
    return int(given)


def order_of(query: Mapping[str, str], default: str = "desc", *, names: Mapping[str, str] = ORDERS) -> str:
    """The order, asc or desc, by the names that the list has for them. Raises InputError for another name."""
    order = query.get("order", default)
    if order not in names:
        raise InputError("wrong order", got=repr(order[:20]), allowed=" or ".join(names), param="order")
    return names[order]


def metadata_of(query: QueryParams) -> dict[str, str]:
    """The pairs of a filter that is written `metadata[key]=value`. Raises InputError for more than an object has."""
    found = ((METADATA_KEY.fullmatch(key), value) for key, value in query.multi_items())
    pairs = {match[1]: value for match, value in found if match}
    if len(pairs) > MAX_METADATA_PAIRS:
        raise InputError("too many pairs", got=len(pairs), allowed=MAX_METADATA_PAIRS, param="metadata")
    return pairs


def page_response(read: Callable[[], Page[Row]], show: Callable[[Row], dict[str, Any]]) -> Response:
    """One page of rows. Raises InputError when `after` names no row."""
    try:
        rows = read()
    except UnknownCursor as error:
        raise unknown_cursor(str(error)) from error
    return list_response([show(row) for row in rows], has_more=rows.has_more)


def slice_response(items: Sequence[dict[str, Any]], *, after: str | None, limit: int, order: str) -> Response:
    """One page of a short list that is at hand, oldest first. Raises InputError when `after` names nothing in it."""
    ordered = list(items) if order == "asc" else list(reversed(items))
    ids = [item["id"] for item in ordered]
    if after is not None and after not in ids:
        raise unknown_cursor(after)
    start = 0 if after is None else ids.index(after) + 1
    return list_response(ordered[start : start + limit], has_more=start + limit < len(ids))


def list_response(data: list[dict[str, Any]], *, has_more: bool = False) -> Response:
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return json_response({"object": "list", "data": data, "has_more": has_more, "first_id": first, "last_id": last})


def unknown_cursor(after: str) -> InputError:
    return InputError("the cursor names nothing in this list", got=repr(after[:80]), param="after")
