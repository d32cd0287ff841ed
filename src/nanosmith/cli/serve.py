"""`nanosmith serve`: the OpenAI API over a data folder."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanosmith.core.errors import InputError, MissingExtra, NanosmithError

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

    from nanosmith.jobs.supervisor import Supervisor
    from nanosmith.store.home import Home

KEY_VARIABLE = "NANOSMITH_API_KEY"
BACKLOG = 2048
LAST_RESPONSES_S = 1  # how long a stop waits for answers that are under way


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on. Another than loopback needs a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    home: Annotated[Path | None, typer.Option(help="Data folder. Default: $NANOSMITH_HOME, else ~/.nanosmith.")] = None,
    remote: Annotated[bool, typer.Option("--remote", help="Offer all remote models by their own names, too.")] = False,
) -> None:
    """Serve the OpenAI API: files, fine-tuning jobs, models, chat completions and decisions.

    With NANOSMITH_API_KEY set, or keys made by `nanosmith keys add`, every request must bring one as its bearer key.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    check_exposure(host, lambda: key is not None or _has_keys(home))
    with listener(host, port) as sock:
        _run(sock, home, key, remote=remote)


def check_exposure(host: str, has_key: Callable[[], bool]) -> None:
    """Raises InputError where other machines could reach a server that asks for no key."""
    if not _is_loopback(host) and not has_key():
        raise InputError(
            "without a key the server listens on this machine alone",
            got=host, allowed="127.0.0.1, ::1 or localhost", param="host",
            remedy=f"Make a key with `nanosmith keys add NAME`, or set {KEY_VARIABLE}; clients give it as api_key.",
        )  # fmt: skip


def _has_keys(folder: Path | None) -> bool:
    from nanosmith.store.home import open_home
    from nanosmith.store.ledger import open_ledger

    with closing(open_ledger(open_home(folder))) as ledger:
        return bool(ledger.keys())


@contextmanager
def listener(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; clients that come before the app is ready wait in its queue. Raises NanosmithError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError("not an address of this machine", got=f"{host}:{port}", param="host") from error
    with sock:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
            sock.listen(BACKLOG)
        except OSError as error:
            raise _no_listener(error, host, port) from error
        yield sock


def _no_listener(error: OSError, host: str, port: int) -> NanosmithError:
    if error.errno == errno.EADDRINUSE:
        return NanosmithError("the port is in use", got=f"{host}:{port}", remedy="Name another with --port.")
    return NanosmithError(f"cannot listen: {error.strerror}", got=f"{host}:{port}")


def _run(sock: socket.socket, folder: Path | None, key: str | None, *, remote: bool) -> None:
    try:
        import aiohappyeyeballs
        import httptools
        import starlette
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "starlette", "serve") from error
    del aiohappyeyeballs, httptools, starlette, uvicorn
    from nanosmith.jobs.supervisor import Supervisor
    from nanosmith.server.app import create_app
    from nanosmith.server.watch import tracing
    from nanosmith.store.home import open_home

    opened: Home = open_home(folder)
    supervisor: Supervisor = Supervisor(opened)
    app = create_app(opened, supervisor=supervisor, api_key=key, spans=tracing.from_environment())
    if remote:
        app.state.services.shared.routing.allow_remote("*")
    server = make_server(app)
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"Nanosmith answers at http://{shown}:{port}/v1 (data folder: {opened.root}). Ctrl-C stops it.")
    supervisor.start()
    spare_garbage_collector()
    try:
        server.run(sockets=[sock])
    finally:
        supervisor.stop()


def spare_garbage_collector() -> None:
    """What is loaded by now stays: the collector need not look through it again and again."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def make_server(app: Starlette) -> uvicorn.Server:
    """A server that returns on SIGINT and SIGTERM, so that the rest is stopped too and the exit code is 0."""
    import logging
    import signal

    import uvicorn

    from nanosmith.server.http.protocol import Protocol

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for one, handler in before.items():
                    signal.signal(one, handler)

    logging.basicConfig(format="%(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each audit tells nothing
    # No line tells where it was written, or by which thread, so that is not found out (Python's logging HOWTO).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    return Server(
        uvicorn.Config(
            app, http=Protocol, access_log=False, log_config=None, log_level="warning", server_header=False, ws="none",
            timeout_graceful_shutdown=LAST_RESPONSES_S,
        )
    )  # fmt: skip


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
