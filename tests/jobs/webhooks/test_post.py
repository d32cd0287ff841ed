"""One message to an endpoint: over which connection, and for how long."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import OpenAI
from tests.webhook_receiver import Names, Receiver

from nanosmith.jobs.webhooks import post as webhook_post
from nanosmith.jobs.webhooks.hosts import Reach
from nanosmith.jobs.webhooks.post import NoAnswer, post
from nanosmith.jobs.webhooks.webhooks import Endpoint, Former, new_secret

NAME = "hooks.example"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and a certificate for NAME, made by openssl; skipped where that is not installed."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    file = tmp_path / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(file), "-out", "-"]
    made = subprocess.run([*command, *named], check=True, capture_output=True)
    with file.open("ab") as both:
        both.write(made.stdout)
    return file


@pytest.fixture
def secure(certificate: Path) -> Iterator[tuple[Receiver, list[str]]]:
    """A receiver that speaks TLS, and the names that it was asked for."""
    asked: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: asked.append(name)  # type: ignore[assignment,return-value]
    made = Receiver(context)
    yield made, asked
    made.close()


def endpoint(url: str, reach: Reach = "any", **given: Any) -> Endpoint:
    return Endpoint(url, ("batch.completed",), new_secret(), reach=reach, **given)


def test_the_address_that_was_checked_is_the_one_that_is_used(names: Names, receiver: Receiver) -> None:
    """A name is looked up once for a message; the header Host has the name."""
    names.known[NAME] = ["127.0.0.1"]
    assert post(endpoint(f"http://{NAME}:{receiver.port}/x", "local"), "wh_1", b"{}") == 200
    assert names.asked == [NAME]
    assert receiver.got[0][0]["Host"] == f"{NAME}:{receiver.port}"


def test_a_name_that_points_elsewhere_later(names: Names, receiver: Receiver) -> None:
    """Nothing is sent once the name of a public endpoint has a private address, or one beside a public one."""
    for found in (["127.0.0.1"], ["127.0.0.1", "8.8.8.8"], []):
        names.known[NAME] = found
        with pytest.raises(NoAnswer, match="not on the public Internet"):
            post(endpoint(f"http://{NAME}:{receiver.port}/x", "public"), "wh_1", b"{}")
    assert receiver.got == []


def test_tls_is_for_the_name(
    names: Names, secure: tuple[Receiver, list[str]], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate must be the name's, and one that this machine trusts."""
    receiver, asked = secure
    names.known |= {NAME: ["127.0.0.1"], "other.example": ["127.0.0.1"]}
    with pytest.raises(NoAnswer, match="SSLCertVerificationError"):
        post(endpoint(f"https://{NAME}:{receiver.port}/x"), "wh_1", b"{}")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(NoAnswer, match="SSLCertVerificationError"):
        post(endpoint(f"https://other.example:{receiver.port}/x"), "wh_1", b"{}")
    assert receiver.got == []
    assert post(endpoint(f"https://{NAME}:{receiver.port}/x"), "wh_1", b"{}") == 200
    assert asked == [NAME, "other.example", NAME]
    assert receiver.got[0][0]["Host"] == f"{NAME}:{receiver.port}"


def test_the_next_address_is_tried(names: Names, receiver: Receiver) -> None:
    """A host is reached at its second address when nobody listens at the first."""
    names.known[NAME] = ["127.0.0.2", "127.0.0.1"]
    assert post(endpoint(f"http://{NAME}:{receiver.port}/x"), "wh_1", b"{}") == 200


@pytest.mark.parametrize(("scheme", "start"), [("http", b"H"), ("https", b"\x16\x03\x03\x40\x00\x02")])
def test_an_answer_in_drops(scheme: str, start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that goes on sending byte by byte is cut off at the time limit."""
    monkeypatch.setattr(webhook_post, "TIMEOUT_S", 0.4)
    done = threading.Event()

    def drip(listener: socket.socket) -> None:
        link, _ = listener.accept()
        with closing(link):
            link.send(start)
            while not done.wait(0.02):
                try:
                    link.send(b"0")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(NoAnswer, match="timed out"):
                post(endpoint(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/"), "wh_1", b"{}")
            assert time.monotonic() - began < 5
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize("url", ["https://.example.com", "https://a..b", "https://" + "a" * 100])
def test_hosts_that_cannot_be(url: str) -> None:
    """Whatever is wrong with a host is an error of this endpoint."""
    with pytest.raises(NoAnswer):
        post(endpoint(url), "wh_1", b"{}")


@pytest.mark.parametrize(("url", "port"), [("http://[::1]", 80), ("https://[::1]", 443), ("https://[::1]:8443", 8443)])
def test_ipv6_and_ports(names: Names, url: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of IPv6 is connected to as it stands, at the scheme's port when none is named."""
    tried: list[Any] = []

    def refuse(sock: Any, address: Any) -> None:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(webhook_post.socket.socket, "connect", refuse)
    with pytest.raises(NoAnswer):
        post(endpoint(url), "wh_1", b"{}")
    assert [address[:2] for address in tried] == [("::1", port)]


def test_replaced_secrets_sign_too(receiver: Receiver) -> None:
    """While a secret that was replaced is valid, receivers that know it and those that know the new one verify each
    message; afterwards the new one alone does."""
    now = int(time.time())
    old, older = Former(new_secret(), now + 60), Former(new_secret(), now - 1)
    made = endpoint(receiver.url, former=(old, older))
    post(made, "wh_1", msgspec.json.encode({"id": "evt_1"}))
    ((headers, body),) = receiver.got
    signatures = headers["webhook-signature"].split(" ")
    assert len(signatures) == 2
    with OpenAI(api_key="any", base_url="http://localhost:1/v1") as client:
        for secret in (made.secret, old.secret):
            client.webhooks.verify_signature(body, headers, secret=secret)
        with pytest.raises(Exception, match="signature"):
            client.webhooks.verify_signature(body, headers, secret=older.secret)
