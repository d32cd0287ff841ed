"""Lists in pages: `limit`, `after` and `order` in, `data`, `has_more`, `first_id` and `last_id` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

from nanosmith.core.errors import InputError
from nanosmith.server.wire import json_response
from nanosmith.store.ledger import Page, UnknownCursor

Row = TypeVar("Row", bound=msgspec.Struct)
ORDERS = ("asc", "desc")


def limit_of(query: Mapping[str, str], *, default: int, most: int) -> int:
    """Raises InputError unless `limit` is an integer in 1…most."""
    given = query.get("limit")
    if given is None:
        return default
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= most):
        raise InputError("wrong limit", got=repr(given[:20]), allowed=f"an integer from 1 to {most}", param="limit")
    return int(given)


def order_of(query: Mapping[str, str], default: str = "desc") -> str:
    order = query.get("order", default)
    if order not in ORDERS:
        raise InputError("wrong order", got=repr(order[:20]), allowed=" or ".join(ORDERS), param="order")
    return order


def page_response(read: Callable[[], Page[Row]], show: Callable[[Row], dict[str, Any]]) -> Response:
    """One page of rows. Raises InputError when `after` names no row."""
    try:
        rows = read()
    except UnknownCursor as error:
        raise InputError("the cursor names nothing in this list", got=repr(str(error)[:80]), param="after") from error
    return list_response([show(row) for row in rows], has_more=rows.has_more)


def list_response(data: list[dict[str, Any]], *, has_more: bool = False) -> Response:
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return json_response({"object": "list", "data": data, "has_more": has_more, "first_id": first, "last_id": last})
