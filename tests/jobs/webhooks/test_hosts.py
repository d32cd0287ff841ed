"""Which addresses webhooks may go to."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.webhook_receiver import Names

from nanosmith.core.errors import InputError
from nanosmith.jobs.webhooks.hosts import MAX_ADDRESSES, PRIVATE_VARIABLE, Reach, addresses, is_public

PUBLIC = ("8.8.8.8", "2606:4700::1111")
LOOPBACK = ("127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1")
PRIVATE = ("10.0.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1")
NEVER = (
    "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1", "fd00:ec2::254", "fd20:ce::254",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
)  # fmt: skip
NOT_PUBLIC = ("240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.0.8", "fec0::1", "::127.0.0.1", "2002:7f00:1::",
              "2001:0:1::1", "2001:db8::1")  # fmt: skip


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def is_open(host: str, reach: Reach) -> bool:
    try:
        return bool(addresses(host, 443, reach))
    except InputError:
        return False


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses(host: str) -> None:
    """They are open to everybody, as themselves."""
    assert is_open(host, "public")
    assert is_open(host, "local")
    assert addresses(host, 443, "public")[0].socket_address[:2] == (host, 443)


@pytest.mark.parametrize("host", [*LOOPBACK, *PRIVATE, *NEVER, *NOT_PUBLIC])
def test_all_others(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are closed, in whatever form; `local` opens this machine, the variable what is private, but nothing opens
    link-local and metadata addresses to others than the operator."""
    assert not is_public(ipaddress.ip_address(host))
    assert not is_open(host, "public")
    assert is_open(host, "local") is (host in LOOPBACK)
    assert is_open(host, "any")
    monkeypatch.setenv(PRIVATE_VARIABLE, "1")
    assert is_open(host, "public") is (host not in NEVER)


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_the_variable_is_1_or_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other values allow nothing."""
    monkeypatch.setenv(PRIVATE_VARIABLE, value)
    assert not is_open("10.0.0.1", "public")


@given(host=st.ip_addresses())
def test_what_is_public_is_global(host: Any) -> None:
    """No address is open that Python's table of special addresses closes."""
    assert host.is_global or not is_public(host)


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "0177.0.0.1", "127.1", "localhost", "[::1]", "a..b", ""])
def test_other_ways_to_write_this_machine(host: str) -> None:
    """What counts is the address that a host has, not how it is written; what has none is refused alike."""
    assert not is_open(host, "public")


def test_one_private_address_closes_a_name(names: Names) -> None:
    """A name with a public and a private address is refused, and one that does not exist with the same words."""
    names.known = {"mixed.example": ["8.8.8.8", "10.0.0.1"], "inner.example": ["10.0.0.1"], "none.example": []}
    said = set()
    for host in ("mixed.example", "inner.example", "none.example"):
        with pytest.raises(InputError) as refused:
            addresses(host, 443, "public")
        assert refused.value.param == "url"
        said.add(str(refused.value).replace(host, "HOST"))
    assert len(said) == 1
    assert is_open("mixed.example", "any")


def test_few_addresses_are_tried(names: Names) -> None:
    """A name with many addresses costs no more time than one with some."""
    names.known = {"many.example": ["8.8.8.8"] * 50}
    assert len(addresses("many.example", 443, "public")) == MAX_ADDRESSES
