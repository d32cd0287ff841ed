"""Which model embeds: a fine-tuned one by its name, else a base, whose bundle is made when it is first asked for."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import msgspec
from starlette.concurrency import run_in_threadpool

from nanosmith.core.errors import NanosmithError, NotFound, StorageFull
from nanosmith.jobs.models import LocalModel
from nanosmith.server.http.errors import ApiError
from nanosmith.server.watch.middleware import log
from nanosmith.store.home import Home

MAKE_LIMIT_S = 480.0  # clients wait 600
ALIASES = dict.fromkeys(
    ("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"), "nanosmith-nano"
)
"""Names of OpenAI's, and our base model that embeds in their place."""


class MissingWeights(ApiError):
    http_status = 501
    code = "missing_weights"


class EmbedderFailed(ApiError):
    code = "embedder_failed"


class Embedders:
    """Bundles of bases in HOME/cache/embedders. One is made by a process of its own, so that torch is never loaded
    here; requests that come meanwhile wait for the same process."""

    def __init__(self) -> None:
        self._making: dict[Path, asyncio.Task[None]] = {}

    async def folder(self, home: Home, model: LocalModel) -> Path:
        """The bundle of a base. Raises MissingExtra, MissingWeights, StorageFull, EmbedderFailed."""
        from nanosmith.flows.embedder import folder_of  # numpy: not before it is needed

        try:
            folder = await run_in_threadpool(folder_of, home, model.size, model.base)
        except NotFound as error:
            raise MissingWeights(str(error)) from error
        if not folder.is_dir():
            task = self._making.get(folder)
            if task is None:
                task = self._making[folder] = asyncio.create_task(_make(home, model))
                task.add_done_callback(lambda _: self._making.pop(folder))
            await asyncio.shield(task)
        return folder


async def _make(home: Home, model: LocalModel) -> None:
    """Run nanosmith.flows.embedder, and raise what it says."""
    from nanosmith.flows.assemble import require_training

    require_training()
    command = [sys.executable, "-m", "nanosmith.flows.embedder", model.size, model.base, str(home.root)]
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    try:
        said, trace = await asyncio.wait_for(process.communicate(), MAKE_LIMIT_S)
    except TimeoutError as error:
        raise EmbedderFailed("making the embedder took too long", allowed=f"{MAKE_LIMIT_S:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        log.error("making an embedder ended with %s: %s", process.returncode, trace.decode("utf-8", "replace")[-4000:])
        raise _error(said)


def _error(said: bytes) -> NanosmithError:
    """From the last line of the process to an error; a process that died said nothing."""
    try:
        told = msgspec.json.decode(said.splitlines()[-1], type=dict[str, str])
    except (IndexError, msgspec.DecodeError):
        return EmbedderFailed("the embedder could not be made", remedy="The server's log has the reason.")
    if told["code"] == StorageFull.code:
        return StorageFull(told["message"])
    kind = MissingWeights if told["code"] == NotFound.code else EmbedderFailed
    return kind(told["message"])
