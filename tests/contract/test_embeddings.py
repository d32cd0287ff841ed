"""client.embeddings"""

from __future__ import annotations

import openai
import pytest
from openai import OpenAI
from tests.contract.conftest import refused


def test_create(client: OpenAI) -> None:
    """One vector of length 1 per text."""
    made = client.embeddings.create(model="tiny", input=["refund", "my login"], encoding_format="float", user="u")
    assert [row.index for row in made.data] == [0, 1]
    assert sum(value**2 for value in made.data[1].embedding) == pytest.approx(1)
    assert (made.model, made.object) == ("tiny", "list")
    assert made.usage.total_tokens == made.usage.prompt_tokens == 3
    short = client.embeddings.create(model="tiny", input="refund login", encoding_format="float", dimensions=3)
    assert len(short.data[0].embedding) == 3


def test_create_by_default(client: OpenAI, loose: OpenAI) -> None:
    """Loose: the client asks for base64 and decodes it, but its strict type wants a list of floats before that."""
    plain = client.embeddings.create(model="tiny", input="refund", encoding_format="float")
    made = loose.embeddings.create(model="tiny", input="refund")
    assert made.data[0].embedding == pytest.approx(plain.data[0].embedding)


def test_create_refused(client: OpenAI) -> None:
    """An unknown model is a 404; no text, and more dimensions than there are, are 400s."""
    with refused(openai.NotFoundError, "model_not_found"):
        client.embeddings.create(model="unheard-of", input="a", encoding_format="float")
    with refused(param="input"):
        client.embeddings.create(model="tiny", input=[], encoding_format="float")
    with refused(param="dimensions"):
        client.embeddings.create(model="tiny", input="a", encoding_format="float", dimensions=5000)
