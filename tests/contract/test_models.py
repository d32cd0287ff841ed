"""client.models"""

from __future__ import annotations

import openai
from openai import OpenAI
from tests.contract.conftest import refused


def test_list(client: OpenAI, stranger: OpenAI) -> None:
    """Local models and bases, in one page; a wrong key is a 401."""
    assert {"tiny", "org/model:v1", "nanosmith-nano"} <= {model.id for model in client.models.list()}
    with refused(openai.AuthenticationError, "invalid_api_key"):
        stranger.models.list()


def test_retrieve(client: OpenAI) -> None:
    """By a name with a slash and a colon; another name is a 404."""
    model = client.models.retrieve("org/model:v1")
    assert (model.id, model.object) == ("org/model:v1", "model")
    with refused(openai.NotFoundError, "model_not_found"):
        client.models.retrieve("unheard-of")


def test_delete(client: OpenAI) -> None:
    """What is deleted is gone; a base model stays."""
    gone = client.models.delete("raw")
    assert (gone.id, gone.deleted) == ("raw", True)
    with refused(openai.NotFoundError, "model_not_found"):
        client.models.delete("raw")
    with refused(openai.PermissionDeniedError):
        client.models.delete("nanosmith-nano")
