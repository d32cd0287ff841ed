"""FakeProvider: the server in a thread of this process."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nanosmith.testing.provider.answers import Model, Table
from nanosmith.testing.provider.server import Provider, Source


class FakeProvider:
    """A running provider; use it as a context manager. `url` is the base URL of its API."""

    def __init__(
        self, *, table: Mapping[str, str] | None = None, bundle: Path | str | None = None, default: str = "unknown",
        faults: str = "", seed: int = 0, key: str | None = None, price: tuple[float, float] = (0.0, 0.0), port: int = 0,
    ) -> None:  # fmt: skip
        """It answers as the bundle does, or by the table, or (`default`) always the same. `price`: US dollars per
        million tokens of input and output. Raises InputError."""
        self._provider = Provider(source(table, bundle, default), faults=faults, seed=seed, key=key, price=price)
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._provider.serve, "127.0.0.1", port, backlog=2048)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FakeProvider:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def remote(self, model: str = "fake") -> str:
        """What it is called by, as a remote model."""
        return f"{self.url}#{model}"

    def seen(self) -> dict[str, Any]:
        """What came in so far, with `texts`: how often each text was answered."""
        return self._call("/_seen?texts=1")

    def set_faults(self, faults: str) -> None:
        self._call("/_faults", faults.encode())

    def clear(self) -> None:
        self._call("/_clear", b"")

    def _call(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=30) as answer:
            content: dict[str, Any] = json.load(answer)
        return content

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()


def source(table: Mapping[str, str] | None, bundle: Path | str | None, default: str) -> Source:
    if bundle is None:
        return Table(table or {}, default)
    from nanosmith.predict.open import open_predictor

    return Model(open_predictor(bundle))
