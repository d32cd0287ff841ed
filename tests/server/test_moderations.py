"""Moderations."""

from __future__ import annotations

import openai
import pytest
from openai import OpenAI


def test_refused(client: OpenAI) -> None:
    """No model, no verdict: never an answer that flags nothing."""
    with pytest.raises(openai.InternalServerError) as caught:
        client.moderations.create(input="anything")
    assert (caught.value.status_code, caught.value.code) == (501, "no_moderation_model")
