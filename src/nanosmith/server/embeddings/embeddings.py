"""/v1/embeddings: texts as vectors, from fine-tuned models and from base models."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MAX_EMBEDDED_TEXTS, MAX_EMBEDDED_TOKENS
from nanosmith.core.structs import to_struct
from nanosmith.jobs import models
from nanosmith.server.chat.request import HEADER_NAME, IGNORED_HEADER, MAX_NAMED
from nanosmith.server.embeddings.embedders import ALIASES
from nanosmith.server.http.errors import ModelNotFound
from nanosmith.server.http.wire import json_response, read_json
from nanosmith.server.models.cache import OpenModel
from nanosmith.server.models.names import own_bases
from nanosmith.server.models.turns import TRUNCATED, check_chars
from nanosmith.server.services import Services, services
from nanosmith.server.watch.tally import count_tokens

if TYPE_CHECKING:
    from nanosmith.predict.embed import Floats2d

STEP = 8
"""Texts after which others who ask the same model have a turn, and a client that has gone is noticed."""
MAX_CUT_NAMED = 20
Item = TypeVar("Item")
Result = TypeVar("Result")
Read = tuple[list[int], int]
"""Ids of the tokens of a text that are read, and how many were cut off."""


class EmbeddingRequest(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1)]
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None


async def create(request: Request) -> Response:
    given = await read_json(request)
    asked = to_struct(given, EmbeddingRequest)
    texts = texts_of(asked.input)
    here = services(request)
    model = await open_model(here, asked.model)
    with here.models.place():
        vectors, read = await embed(request, model, texts, asked.dimensions)
    tokens = total_tokens(read)
    count_tokens(request, tokens, model=model.name)
    shown = as_base64(vectors) if asked.encoding_format == "base64" else vectors.tolist()
    rows = [{"object": "embedding", "index": i, "embedding": one} for i, one in enumerate(shown)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "data": rows, "model": model.name, "usage": usage}
    return json_response(body, headers=remarks(read, given))


async def embed(
    request: Request, model: OpenModel, texts: Sequence[str], dimensions: int | None
) -> tuple[Floats2d, list[Read]]:
    """Vectors (N, dimensions or D) of length 1, and what was read. Raises InputError."""
    import numpy as np  # loaded by now, with the model; the server starts without it

    from nanosmith.predict.embed import as_embedder, shorten

    embedder = as_embedder(model.predictor)
    check_dimensions(dimensions, embedder.width)
    read = await in_steps(request, model, embedder.token_ids, texts)
    check_tokens(total_tokens(read))
    vectors = np.stack(await in_steps(request, model, embedder.vector, [ids for ids, _ in read]))
    if dimensions not in (None, embedder.width):
        vectors = shorten(vectors, dimensions)
    check_directions(vectors)
    return vectors, read


def texts_of(given: str | Sequence[str | int | list[int]]) -> list[str]:
    """What is to be embedded. Raises InputError for token ids, empty texts and too many of them, TooLong."""
    items = [given] if isinstance(given, str) else given
    if not items:
        raise InputError("there is nothing to embed", got="[]", allowed="at least one text", param="input")
    if not isinstance(items[0], str):
        raise _token_ids("input")
    if len(items) > MAX_EMBEDDED_TEXTS:
        raise InputError("too many texts", got=len(items), allowed=MAX_EMBEDDED_TEXTS, param="input")
    return [_text(item, "input" if isinstance(given, str) else f"input[{i}]") for i, item in enumerate(items)]


def _text(item: str | int | list[int], where: str) -> str:
    if not isinstance(item, str):
        raise _token_ids(where)
    if not item:
        raise InputError("an empty text cannot be embedded", where=where, param=where)
    check_chars([item], where)
    return item


def _token_ids(where: str) -> InputError:
    """Libraries that send ids have them from OpenAI's tokenizers: read as ours, they would stand for other words."""
    return InputError(
        "token ids are not read here: they are those of another model's tokenizer",
        where=where, allowed="texts", param=where, code="unsupported_parameter",
        remedy="Send the texts themselves (LangChain: check_embedding_ctx_length=False).",
    )  # fmt: skip


async def open_model(here: Services, name: str) -> OpenModel:
    """A model of this name; else the base of this name, or the one that stands in for a vendor's.

    Raises ModelNotFound, InputError for a route, and what `Embedders.folder` raises.
    """
    base = ALIASES.get(name, name)
    if base not in own_bases() or await run_in_threadpool(here.ledger.model, name) is not None:
        return await _own_model(here, name)
    folder = await here.shared.embedders.folder(here.home, models.base_models()[base])
    return await here.models.open(("", base, folder.name), folder)


async def _own_model(here: Services, name: str) -> OpenModel:
    """Raises InputError for a route, whose models need not have the same vectors."""
    try:
        return await here.models.get(name)
    except ModelNotFound:
        route = here.shared.routing.find(name)
        if route is None:
            raise
        raise InputError(
            "a route embeds nothing", got=repr(name), param="model", code="unsupported_model",
            allowed="a local model, or a base such as nanosmith-nano",
            remedy=f"Ask for one model: of its steps ({', '.join(step.model for step in route.steps)}), a local one.",
        ) from None  # fmt: skip


async def in_steps(
    request: Request, model: OpenModel, work: Callable[[Item], Result], items: Sequence[Item]
) -> list[Result]:
    """`work` of each item, in order, on the model's thread. Raises ClientDisconnect when nobody waits any more."""
    done: list[Result] = []
    for start in range(0, len(items), STEP):
        done += await model.run(lambda part: [work(item) for item in part], items[start : start + STEP])
        if await request.is_disconnected():
            raise ClientDisconnect
    return done


def check_dimensions(dimensions: int | None, width: int) -> None:
    if dimensions is not None and dimensions > width:
        raise InputError("the model's vectors are shorter", got=dimensions, allowed=f"1 to {width}", param="dimensions")


def total_tokens(read: Sequence[Read]) -> int:
    return sum(len(ids) for ids, _ in read)


def check_tokens(total: int) -> None:
    if total > MAX_EMBEDDED_TOKENS:
        raise InputError(
            "too many tokens in one request",
            got=total, allowed=MAX_EMBEDDED_TOKENS, param="input", remedy="Send the texts in several requests.",
        )  # fmt: skip


def check_directions(vectors: Floats2d) -> None:
    """Raises InputError for a vector (N, D) that is zero: cosines with it would not be numbers."""
    directed = [bool(vector.any()) for vector in vectors]
    if not all(directed):
        where = f"input[{directed.index(False)}]"
        raise InputError("the model finds nothing in this text that it could embed", where=where, param=where)


def as_base64(vectors: Floats2d) -> list[str]:
    """Each vector's float32 numbers, little-endian."""
    return [base64.b64encode(vector.tobytes()).decode() for vector in vectors.astype("<f4")]


def remarks(read: Sequence[Read], given: dict[str, Any]) -> dict[str, str]:
    """Headers that tell which texts were not read to their end, and which parameters changed nothing."""
    headers = {}
    if cut := [i for i, (_, dropped) in enumerate(read) if dropped]:
        tokens = sum(len(read[i][0]) for i in cut)
        total = tokens + sum(dropped for _, dropped in read)
        named = ", ".join(map(str, cut[:MAX_CUT_NAMED])) + (", ..." if len(cut) > MAX_CUT_NAMED else "")
        headers[TRUNCATED] = f"read {tokens} of about {total} tokens of input {named}"
    known = set(EmbeddingRequest.__struct_fields__) - {"user"}
    if idle := [name for name in given if name not in known and HEADER_NAME.fullmatch(name)]:
        headers[IGNORED_HEADER] = ", ".join(idle[:MAX_NAMED])
    return headers


routes = [Route("/embeddings", create, methods=["POST"])]
