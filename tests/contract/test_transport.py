"""Other ways in which the client asks, and what it is told about resources that are not here."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI
from tests.contract.conftest import KEY, refused

ASKED: Any = {"model": "tiny", "messages": [{"role": "user", "content": "refund"}]}


def test_raw_responses(client: OpenAI) -> None:
    """The headers of an answer, with and without reading its body."""
    raw = client.chat.completions.with_raw_response.create(**ASKED)
    assert raw.headers["x-request-id"] == raw.request_id
    assert raw.headers["openai-version"]
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.parse().choices[0].message.content == "refund"
    with client.models.with_streaming_response.list() as response:
        assert response.status_code == 200
        assert list(response.iter_lines())


def test_the_asynchronous_client(url: str) -> None:
    """It is answered the same, at once, as a stream and in pages."""

    async def ask() -> None:
        async with AsyncOpenAI(base_url=url, api_key=KEY, _strict_response_validation=True) as client:
            assert (await client.chat.completions.create(**ASKED)).choices[0].message.content == "refund"
            stream = await client.chat.completions.create(**ASKED, stream=True)
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "refund"
            for _ in range(2):
                await client.files.create(file=("a.txt", b"a"), purpose="user_data")
            assert len([file async for file in client.files.list(limit=1)]) >= 2

    asyncio.run(ask())


def test_resources_that_are_not_here(client: OpenAI) -> None:
    """501 and a code, not a page that says "not found"."""
    with refused(openai.InternalServerError, "not_implemented"):
        client.completions.create(model="tiny", prompt="a")
    for path in ("/images/generations", "/threads", "/vector_stores/vs_none/search"):
        with refused(openai.InternalServerError, "not_implemented"):
            client.post(path, body={}, cast_to=object)
    with refused(openai.NotFoundError, "unknown_url"):
        client.get("/unheard-of", cast_to=object)
