"""Certificates of routes in the data folder: JSON that is signed with Ed25519 (RFC 8032).

HOME/certificates/ROUTE/TIME-DIGEST.json     the newest counts
HOME/signing.key                             the private key (PKCS 8, PEM), made on first use, mode 0600
"""

from __future__ import annotations

import base64
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from nanosmith.core.certificate import FORMAT, Certificate
from nanosmith.core.errors import Damaged, GateRefused, MissingExtra, NotFound
from nanosmith.store.atomic import write_atomic, write_once
from nanosmith.store.bundles import read_manifest
from nanosmith.store.home import Home
from nanosmith.store.named import bundle_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_BYTES = 4 * 1024 * 1024
MAX_NAME_CHARS = 100
REMEDY = "Certify the route again: nanosmith certify."


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: a certificate, the public key (base64 of 32 bytes) and the signature (base64) of `content`."""

    certificate: Certificate
    public_key: str
    signature: str


def require_signing() -> None:
    """Raises MissingExtra where nothing could be signed; to be called before any long work."""
    if find_spec("cryptography") is None:
        raise MissingExtra("cryptography", "serve")


def content(certificate: Certificate) -> bytes:
    """What is signed: the certificate as JSON without spaces, its keys sorted."""
    return msgspec.json.encode(certificate, order="sorted")


def keep(home: Home, certificate: Certificate) -> Path:
    """Sign a certificate and keep it; returns its file. Raises StorageFull."""
    key, written = _own_key(home), content(certificate)
    signed = Signed(certificate, _encoded(_raw(key.public_key())), _encoded(key.sign(written)))
    name = f"{certificate.created_at:012d}-{hashlib.sha256(written).hexdigest()[:12]}.json"
    path = _folder(home, certificate.route) / name
    write_atomic(path, msgspec.json.format(msgspec.json.encode(signed), indent=1))
    return path


def read(path: Path, home: Home) -> Certificate:
    """The certificate of a file. Raises NotFound, Damaged unless it was signed with this data folder's key."""
    signed = _read(path)
    require_signing()
    try:
        public, signature = base64.b64decode(signed.public_key), base64.b64decode(signed.signature)
        _public_key(public).verify(signature, content(signed.certificate))
    except Exception as error:  # bad base64, a bad key, a bad signature: the same to us
        raise _damaged("the signature is not that of this certificate", path) from error
    if not home.signing_key.is_file() or public != _raw(_own_key(home).public_key()):
        raise _damaged("the certificate was signed elsewhere", path)
    return signed.certificate


def certificates(home: Home, route: str) -> list[Path]:
    """The files of a route, newest first."""
    return sorted(_folder(home, route).glob("*.json"), reverse=True)


def newest(home: Home, route: str) -> Certificate:
    """The newest certificate of a route, if it holds now.

    Raises NotFound (there is none), Damaged (it was changed, or signed elsewhere), GateRefused (another model is in
    service than the one that was certified).
    """
    files = certificates(home, route)
    if not files:
        raise NotFound("the route has no certificate", got=repr(route), code="no_certificate",
                       remedy="Make one: nanosmith certify.")  # fmt: skip
    found = read(files[0], home)
    if found.route != route:
        raise _damaged(f"the certificate is of another route, {found.route!r}", files[0])
    check_in_service(home, found)
    return found


def check_in_service(home: Home, certificate: Certificate) -> None:
    """Raises GateRefused unless the model that was certified is still the one that answers to its name."""
    folder = bundle_of(certificate.model, home)
    digest = None if folder is None else read_manifest(folder).model_digest
    if digest != certificate.model_digest:
        raise GateRefused(
            "another model is in service than the one that was certified", where=certificate.model,
            got=(digest or "no model")[:12], allowed=certificate.model_digest[:12], remedy=REMEDY,
            code="certificate_outdated",
        )  # fmt: skip


def _read(path: Path) -> Signed:
    if not path.is_file():
        raise NotFound("no certificate here", where=str(path))
    if path.stat().st_size > MAX_BYTES:
        raise _damaged("the certificate is too large", path)
    try:
        signed = msgspec.json.decode(path.read_bytes(), type=Signed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(f"the certificate cannot be read: {error}", path) from error
    if signed.certificate.format != FORMAT:
        raise _damaged("the certificate has a format that this version does not know", path)
    return signed


def _folder(home: Home, route: str) -> Path:
    """A route's name may be a bundle's folder: it becomes one name."""
    name = quote(route, safe=" ")
    if len(name) > MAX_NAME_CHARS or name.startswith("."):
        name = hashlib.sha256(route.encode()).hexdigest()
    return home.certificates / name


def _own_key(home: Home) -> Ed25519PrivateKey:
    """The key of the data folder, made when there is none. Of several processes that make one, the first wins."""
    require_signing()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = home.signing_key
    if not path.is_file():
        made = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_once(path, made)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except ValueError as error:
        raise _damaged("the signing key cannot be read", path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _damaged("the signing key is of another kind", path)
    return key


def _public_key(raw: bytes) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(raw)


def _raw(key: Ed25519PublicKey) -> bytes:
    raw: bytes = key.public_bytes_raw()
    return raw


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _damaged(what: str, path: Path) -> Damaged:
    return Damaged(what, where=str(path), remedy=REMEDY, code="bad_certificate")
