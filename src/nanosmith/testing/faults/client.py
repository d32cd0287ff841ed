"""A client of a server that may end at any moment: plain HTTP, a connection for each call."""

from __future__ import annotations

import http.client
import secrets
from typing import Any

import msgspec

TIMEOUT_S = 60.0
GONE = (OSError, http.client.HTTPException)
"""What a call raises when the server ended before it answered, or is not there."""


class Reply(msgspec.Struct, frozen=True):
    status: int
    content: bytes

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)


class Client:
    """Calls below /v1. Raises one of GONE when there is no whole answer."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str) -> Reply:
        return self._call("GET", path)

    def delete(self, path: str) -> Reply:
        return self._call("DELETE", path)

    def post(self, path: str, body: dict[str, Any], **headers: str) -> Reply:
        return self._call("POST", path, msgspec.json.encode(body), {"content-type": "application/json", **headers})

    def upload(self, content: bytes, purpose: str = "user_data", *, filename: str = "any.bin") -> Reply:
        """POST /v1/files."""
        return self.form("/files", {"purpose": purpose}, "file", content, filename)

    def form(self, path: str, fields: dict[str, str], name: str, content: bytes, filename: str = "any.bin") -> Reply:
        boundary = secrets.token_hex(16)
        parts = [f'--{boundary}\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
                 for key, value in fields.items()]  # fmt: skip
        head = f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
        body = b"".join([*parts, head.encode(), content, f"\r\n--{boundary}--\r\n".encode()])
        return self._call("POST", path, body, {"content-type": f"multipart/form-data; boundary={boundary}"})

    def all(self, path: str, limit: int = 100) -> list[dict[str, Any]]:
        """Every object of a list, page by page. Raises RuntimeError for an error."""
        rows: list[dict[str, Any]] = []
        while True:
            after = f"&after={rows[-1]['id']}" if rows else ""
            reply = self.get(f"{path}?limit={limit}{after}")
            if not reply.is_good:
                raise RuntimeError(f"{path} is answered with {reply.status}: {reply.content.decode(errors='replace')}")
            page = reply.json
            rows += page["data"]
            if not page["has_more"]:
                return rows

    def _call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, f"/v1{path}", body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, response.read())
        finally:
            connection.close()
