"""Providers' keys: from the environment, else from an encrypted file of the data folder.

FOLDER/NAME.json   one key, encrypted (Fernet: AES-128 in CBC mode with HMAC-SHA256)
FOLDER/secret      what decrypts it, readable by its owner alone, where no passphrase is given

With $NANOSMITH_PASSPHRASE the keys are encrypted by it (scrypt, RFC 7914), and a copy of the folder is of no use
without it.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import InputError, Misconfigured, MissingExtra, NotFound
from nanosmith.predict.endpoint.catalogue import Provider
from nanosmith.store.atomic import write_atomic
from nanosmith.store.home import Home

PASSPHRASE_VARIABLE = "NANOSMITH_PASSPHRASE"  # noqa: S105  # its name
SCRYPT = {"length": 32, "n": 2**15, "r": 8, "p": 1}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_KEY_CHARS = 4_096


class _Sealed(msgspec.Struct):
    """`salt` (base64) is that of the passphrase, None where the secret file was used."""

    token: str
    salt: str | None = None


def key_of(provider: Provider, home: Home) -> str | None:
    """The provider's key; None where it needs none. Raises Misconfigured where it needs one and there is none."""
    if provider.key_variable and (found := os.environ.get(provider.key_variable)):
        return found.strip()
    file = _file(home, provider.name) if NAME.fullmatch(provider.name) else None
    if file is not None and file.is_file():
        return _decrypt(file)
    if provider.key_variable is None:
        return None
    raise Misconfigured(
        f"there is no key of {provider.name}", code="missing_key",
        remedy=f"Set {provider.key_variable}, or run: nanosmith providers add {provider.name}",
    )  # fmt: skip


def save_key(provider: str, key: str, home: Home) -> Path:
    """Encrypt a key and keep it; an earlier one is replaced. Raises InputError, MissingExtra, StorageFull."""
    key = key.strip()
    if not key or len(key) > MAX_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError("this is no key", got=f"{len(key)} characters", param="key",
                         allowed=f"1 to {MAX_KEY_CHARS:,} printable ASCII characters without spaces")  # fmt: skip
    if not NAME.fullmatch(provider):
        raise InputError("no key can be kept under this name", got=repr(provider), param="name",
                         allowed="letters, digits, dots, hyphens and underscores")  # fmt: skip
    file = _file(home, provider)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    salt = base64.b64encode(secrets.token_bytes(16)).decode() if os.environ.get(PASSPHRASE_VARIABLE) else None
    token = _cipher(file.parent, salt).encrypt(key.encode()).decode()
    write_atomic(file, msgspec.json.encode(_Sealed(token, salt)))  # temporary files have the mode 600, and keep it
    return file


def remove_key(provider: str, home: Home) -> None:
    """Raises NotFound."""
    file = _file(home, provider)
    if not NAME.fullmatch(provider) or not file.is_file():
        raise NotFound("no key is kept for this provider", got=repr(provider), param="name",
                       allowed=", ".join(kept_keys(home)) or "none")  # fmt: skip
    file.unlink()


def kept_keys(home: Home) -> list[str]:
    """The names of the providers whose keys are kept."""
    return sorted(file.stem for file in (home.root / "providers").glob("*.json"))


def _file(home: Home, provider: str) -> Path:
    return home.root / "providers" / f"{provider}.json"


def _decrypt(file: Path) -> str:
    """Raises Misconfigured, MissingExtra."""
    try:
        sealed = msgspec.json.decode(file.read_bytes(), type=_Sealed)
    except (OSError, msgspec.DecodeError) as error:
        raise _unreadable(file, "the file is damaged") from error
    cipher = _cipher(file.parent, sealed.salt)
    from cryptography.fernet import InvalidToken

    try:
        key: bytes = cipher.decrypt(sealed.token.encode())
    except InvalidToken:
        what = "it is another passphrase" if sealed.salt else "the file `secret` is another one"
        raise _unreadable(file, what) from None
    return key.decode()


def _cipher(folder: Path, salt: str | None) -> Any:
    """The Fernet of the passphrase (with a salt), or of the secret file, which is made when it is absent. Raises
    Misconfigured, MissingExtra."""
    try:
        from cryptography.fernet import Fernet
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    except ImportError:
        raise MissingExtra("cryptography", "remote") from None
    if salt is None:
        return Fernet(_secret(folder / "secret"))
    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    if not passphrase:
        raise Misconfigured("the key is encrypted with a passphrase", where=str(folder), code="missing_passphrase",
                            remedy=f"Set {PASSPHRASE_VARIABLE}.")  # fmt: skip
    derived = Scrypt(salt=base64.b64decode(salt), **SCRYPT).derive(passphrase.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def _secret(file: Path) -> bytes:
    """32 random bytes in base64. Raises Misconfigured where others may read them."""
    if not file.is_file():
        write_atomic(file, base64.urlsafe_b64encode(secrets.token_bytes(32)))
    if os.name == "posix" and file.stat().st_mode & 0o077:
        raise Misconfigured("others may read the secret that encrypts keys", where=str(file), code="open_secret",
                            remedy=f"Run: chmod 600 {file}")  # fmt: skip
    return file.read_bytes()


def _unreadable(file: Path, what: str) -> Misconfigured:
    return Misconfigured(f"the kept key cannot be decrypted: {what}", where=str(file), code="unreadable_key",
                         remedy=f"Keep it anew: nanosmith providers add {file.stem}")  # fmt: skip
