"""client.moderations"""

from __future__ import annotations

import openai
from openai import OpenAI
from tests.contract.conftest import refused


def test_create_refused(client: OpenAI) -> None:
    """There is no moderation model, so nothing is called harmless."""
    with refused(openai.InternalServerError, "no_moderation_model"):
        client.moderations.create(input="a")
