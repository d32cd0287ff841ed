"""Signed certificates in the data folder."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import msgspec
import pytest

from nanosmith.core.certificate import Certificate, Reference, sentence
from nanosmith.core.errors import Damaged, GateRefused, NotFound
from nanosmith.store import certificates
from nanosmith.store.bundles import open_bundle
from nanosmith.store.home import Home, open_home
from nanosmith.testing import tiny_bundle

LATER_S = 60


@pytest.fixture
def home(own_home: Path) -> Home:
    return open_home()


def made(bundle: Path, *, route: str = "support", at: int = 1_700_000_000) -> Certificate:
    return Certificate(
        route=route, model=str(bundle), model_digest=open_bundle(bundle).manifest.model_digest, teacher="large",
        teacher_digests={}, target=0.97, confidence=0.95, method="exact", threshold=0.1 + 0.2, bound=0.971, n=1_000,
        answered=830, agreed=820, cost_share=0.17, sample="0" * 64, source="held-out.jsonl",
        reference=Reference({"confidence": (0.1, 0.9)}, {"login": 1_000}), created_at=at, nanosmith="0",
    )  # fmt: skip


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "tiny").path


def test_kept(home: Home, bundle: Path) -> None:
    """What was kept comes back as it was, to the last digit, and the newest of a route counts."""
    first, second = made(bundle), made(bundle, at=1_700_000_000 + LATER_S)
    path = certificates.keep(home, first)
    assert certificates.read(path, home) == first
    certificates.keep(home, second)
    assert certificates.newest(home, "support") == second


def test_key_is_private(home: Home, bundle: Path) -> None:
    """The signing key is made once, and only its owner may read it."""
    certificates.keep(home, made(bundle))
    key = home.signing_key.read_bytes()
    certificates.keep(home, made(bundle, at=1_700_000_000 + LATER_S))
    assert home.signing_key.read_bytes() == key
    assert stat.S_IMODE(home.signing_key.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("field", "value"), [("threshold", 0.0), ("agreed", 830), ("route", "other"), ("teacher", "x")]
)
def test_changed(home: Home, bundle: Path, field: str, value: object) -> None:
    """A certificate of which one figure was changed is refused."""
    path = certificates.keep(home, made(bundle))
    content = json.loads(path.read_text())
    content["certificate"][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(Damaged, match="signature"):
        certificates.read(path, home)


def test_signed_elsewhere(home: Home, bundle: Path, tmp_path: Path) -> None:
    """A certificate that another data folder signed is refused, also where it is well formed."""
    other = open_home(tmp_path / "other")
    certificates.keep(home, made(bundle))
    path = certificates.keep(other, made(bundle))
    with pytest.raises(Damaged, match="signed elsewhere"):
        certificates.read(path, home)
    home.signing_key.unlink()
    with pytest.raises(Damaged, match="signed elsewhere"):
        certificates.read(path, home)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"certificate": {}}', b"\xff", b"[" * 100_000])
def test_no_certificate(home: Home, tmp_path: Path, content: bytes) -> None:
    """What is no certificate is refused as damaged."""
    file = tmp_path / "file.json"
    file.write_bytes(content)
    with pytest.raises(Damaged):
        certificates.read(file, home)
    with pytest.raises(NotFound):
        certificates.read(tmp_path / "nothing.json", home)


def test_none(home: Home) -> None:
    """A route without a certificate has none."""
    with pytest.raises(NotFound, match="no certificate"):
        certificates.newest(home, "support")


def test_another_model_in_service(home: Home, bundle: Path) -> None:
    """A certificate does not hold for another model than the one that was certified."""
    certificates.keep(home, made(bundle))
    shutil.rmtree(bundle)
    with pytest.raises(GateRefused, match="another model"):
        certificates.newest(home, "support")
    tiny_bundle(bundle, ["a", "b"])
    with pytest.raises(GateRefused, match="another model"):
        certificates.newest(home, "support")


def test_of_another_route(home: Home, bundle: Path) -> None:
    """A certificate that was copied to another route's folder is not that route's."""
    path = certificates.keep(home, made(bundle))
    copy = home.certificates / "sales" / path.name
    copy.parent.mkdir()
    shutil.copy(path, copy)
    with pytest.raises(Damaged, match="another route"):
        certificates.newest(home, "sales")


@pytest.mark.parametrize("route", ["../../x", "a/b", ".hidden", "r" * 300, "Ünïcode 🙂"])
def test_names_of_routes(home: Home, bundle: Path, route: str) -> None:
    """Whatever a route is called, its certificates lie inside of the folder of certificates."""
    path = certificates.keep(home, made(bundle, route=route))
    assert path.resolve().parent.parent == home.certificates.resolve()
    assert certificates.newest(home, route).route == route


def test_of_another_project(home: Home, bundle: Path) -> None:
    """Another project has certificates of its own."""
    certificates.keep(home, made(bundle))
    with pytest.raises(NotFound):
        certificates.newest(home.of("proj_a"), "support")


def test_sentence(bundle: Path) -> None:
    """The sentence has the four figures: agreement, confidence, coverage and cost."""
    said = sentence(msgspec.structs.replace(made(bundle), model="nano"))
    assert "nano with large is at least 97 %, with 95 % confidence, for 83 % of the traffic" in said
    assert "17 % of the cost" in said
