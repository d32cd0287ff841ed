"""Providers' keys."""

from __future__ import annotations

import pytest

from nanosmith.core.errors import InputError, Misconfigured, NotFound
from nanosmith.predict.endpoint.catalogue import Provider
from nanosmith.predict.endpoint.keys import PASSPHRASE_VARIABLE, kept_keys, key_of, remove_key, save_key
from nanosmith.store.home import Home

PROVIDER = Provider("acme", "https://api.acme.example/v1", key_variable="ACME_API_KEY")
KEY = "sk-very-secret-1234567890"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACME_API_KEY", PASSPHRASE_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_kept_key_comes_back_and_is_nowhere_in_clear(
    home: Home, monkeypatch: pytest.MonkeyPatch, passphrase: str | None
) -> None:
    """With and without a passphrase; no file holds the key, and others can read none of the files."""
    if passphrase:
        monkeypatch.setenv(PASSPHRASE_VARIABLE, passphrase)
    save_key("acme", f"{KEY}\n", home)
    assert key_of(PROVIDER, home) == KEY
    assert kept_keys(home) == ["acme"]
    for file in home.root.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes()
            assert file.stat().st_mode & 0o077 == 0


def test_environment_goes_first(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is taken before what is kept."""
    save_key("acme", KEY, home)
    monkeypatch.setenv("ACME_API_KEY", "from-environment")
    assert key_of(PROVIDER, home) == "from-environment"


def test_missing_key_is_told(home: Home) -> None:
    """Where a provider needs a key the remedy names variable and command; where it needs none, there is none."""
    with pytest.raises(Misconfigured, match=r"ACME_API_KEY.*providers add acme"):
        key_of(PROVIDER, home)
    assert key_of(Provider("local", "http://127.0.0.1:1/v1"), home) is None


def test_wrong_passphrase(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the passphrase, or with another one, the key stays shut; the error does not hold it."""
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "one")
    save_key("acme", KEY, home)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "two")
    with pytest.raises(Misconfigured, match="another passphrase"):
        key_of(PROVIDER, home)
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(Misconfigured, match=PASSPHRASE_VARIABLE):
        key_of(PROVIDER, home)


def test_damaged_and_open_files(home: Home) -> None:
    """A file that is no key, and a secret that others may read, are refused with a remedy."""
    file = save_key("acme", KEY, home)
    secret = file.with_name("secret")
    secret.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        key_of(PROVIDER, home)
    secret.chmod(0o600)
    file.write_text("{}")
    with pytest.raises(Misconfigured, match="damaged"):
        key_of(PROVIDER, home)


@pytest.mark.parametrize(
    ("name", "key"), [("acme", ""), ("acme", "two words"), ("acme", "ü"), ("../x", KEY), ("", KEY)]
)
def test_what_is_no_key(home: Home, name: str, key: str) -> None:
    """Neither an empty key nor a name that leads elsewhere is kept, and the error does not repeat the key."""
    with pytest.raises(InputError) as caught:
        save_key(name, key, home)
    assert KEY not in str(caught.value)
    assert kept_keys(home) == []


def test_remove(home: Home) -> None:
    """A removed key is gone; an unknown one is told."""
    save_key("acme", KEY, home)
    remove_key("acme", home)
    assert kept_keys(home) == []
    for name in ("acme", "../secret"):
        with pytest.raises(NotFound):
            remove_key(name, home)
