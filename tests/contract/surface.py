"""What the installed client can call, and what of it the tests have called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import openai
from openai import OpenAI

IN_SCOPE = {
    "batches", "chat", "decisions", "embeddings", "evals", "files", "fine_tuning", "models", "moderations", "responses",
    "uploads", "webhooks",
}  # fmt: skip
OUT_OF_SCOPE = {
    "admin", "audio", "beta", "completions", "containers", "content_provenance_checks", "conversations", "images",
    "live", "realtime", "safety", "skills", "vector_stores", "videos",
}  # fmt: skip
"""Resources of the client that are answered with 501."""
NO_RESOURCES = {
    "auth_headers", "base_url", "custom_auth", "default_headers", "default_query", "qs", "user_agent",
    "with_raw_response", "with_streaming_response",
}  # fmt: skip
"""Other attributes of the client, and of a resource."""
NEVER_CALLED = {"responses.connect": "a WebSocket, which the server does not speak"}
NEVER_SUCCEEDS = {
    "moderations.create": "there is no moderation model",
    "responses.cancel": "only responses in the background can be cancelled, and there are none",
    "responses.compact": "not built",
}


class Method(NamedTuple):
    """A public method of a resource: its class, and its name there."""

    owner: type
    name: str


class Calls:
    """Names of the methods that were called with success, and of those that raised an error which the resource has."""

    def __init__(self) -> None:
        self.succeeded: set[str] = set()
        self.failed: set[str] = set()

    @contextmanager
    def noting(self, path: str) -> Iterator[None]:
        try:
            yield
        except (openai.APIStatusError, openai.InvalidWebhookSignatureError) as error:
            if getattr(error, "code", None) != "unknown_url":
                self.failed.add(path)
            raise
        self.succeeded.add(path)

    @contextmanager
    def watching(self, path: str, manager: Any) -> Iterator[Any]:
        """A stream's context manager, which sends its request when it is entered."""
        with self.noting(path), manager as stream:
            yield stream

    def noted(self, path: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """The method, with its outcomes noted."""

        @functools.wraps(method)
        def call(*args: Any, **options: Any) -> Any:
            if path.endswith(".stream"):
                return self.watching(path, method(*args, **options))
            with self.noting(path):
                return method(*args, **options)

        return call

    def missing(self) -> list[str]:
        """What the client can call and was not called, in words."""
        found = sorted(methods().keys() - NEVER_CALLED.keys())
        without_success = [path for path in found if path not in self.succeeded and path not in NEVER_SUCCEEDS]
        without_error = [path for path in found if path not in self.failed]
        return [f"{path}: no success" for path in without_success] + [f"{path}: no error" for path in without_error]


def names_of(kind: type) -> list[str]:
    """The resources that are attributes of the client, or of another resource."""
    found = [name for name in dir(kind) if isinstance(inspect.getattr_static(kind, name), cached_property | property)]
    return [name for name in found if name not in NO_RESOURCES and not name.startswith("_")]


def methods() -> dict[str, Method]:
    """The public methods of the resources in scope, by their path, such as chat.completions.create."""
    with OpenAI(api_key="any") as client:
        tops = [(name, getattr(client, name)) for name in names_of(OpenAI) if name in IN_SCOPE]
        return {path: method for name, value in tops for path, method in _methods(value, name)}


def unknown_resources() -> set[str]:
    """Resources of the client that nobody decided about."""
    return set(names_of(OpenAI)) - IN_SCOPE - OUT_OF_SCOPE


def _methods(resource: object, path: str) -> Iterator[tuple[str, Method]]:
    kind = type(resource)
    for name, _ in inspect.getmembers(kind, inspect.isfunction):
        if not name.startswith("_"):
            yield f"{path}.{name}", Method(kind, name)
    for name in names_of(kind):
        yield from _methods(getattr(resource, name), f"{path}.{name}")
