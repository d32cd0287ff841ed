"""Where webhooks may go: the addresses of a host, and which of them are public.

Whoever makes an endpoint over HTTP chooses what this server connects to (server-side request forgery, CWE-918). So such
an endpoint reaches public addresses alone. Its host is looked up when it is made and for each message, and the message
goes to the very addresses that were checked: a name that points elsewhere a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any, Literal, NamedTuple, TypeAlias

from nanosmith.core.errors import InputError

Reach: TypeAlias = Literal["any", "local", "public"]
"""any: what an operator has named; local: also this machine, for who asks a server without keys; public: nothing else
than public addresses."""
PRIVATE_VARIABLE = "NANOSMITH_WEBHOOK_PRIVATE"
"""1: what is "local" or "public" may be in a private network too."""
MAX_ADDRESSES = 4  # of a host, that are tried

Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out for the Internet
PROTOCOLS = ipaddress.IPv4Network("192.0.0.0/24")  # IETF protocol assignments, of which Python calls some public
METADATA = {
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
}
"""Where clouds tell a machine its secrets; most do at a link-local address."""


class Address(NamedTuple):
    """What a socket connects to."""

    family: socket.AddressFamily
    socket_address: tuple[Any, ...]


def addresses(host: str, port: int, reach: Reach) -> list[Address]:
    """The first MAX_ADDRESSES of a host. Raises InputError when there is none, or when one is beyond `reach`; which of
    the two is not told, as that would tell what names a private network has."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        found = []
    if not found or not all(_is_within(str(address[0]), reach) for *_, address in found):
        if reach == "any":
            raise InputError("the host was not found", got=host, param="url")
        raise InputError(
            "the host was not found, or is not on the public Internet", got=host, param="url",
            remedy="An operator can add it with `nanosmith webhooks add`.",
        )  # fmt: skip
    return [Address(family, address) for family, _, _, _, address in found[:MAX_ADDRESSES]]


def _is_within(text: str, reach: Reach) -> bool:
    address = _plain(ipaddress.ip_address(text))
    if reach == "any" or is_public(address):
        return True
    if os.environ.get(PRIVATE_VARIABLE) == "1":
        return not (address.is_link_local or address.is_multicast or address.is_unspecified or address in METADATA)
    return reach == "local" and address.is_loopback


def is_public(address: Ip) -> bool:
    """Whether it is of one machine on the public Internet. Stricter than `is_global`, which is true of addresses that
    hold others (6to4, Teredo), and of some that no route leads to."""
    address = _plain(address)
    if not address.is_global or address.is_multicast or address in METADATA:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address not in PROTOCOLS
    return address in UNICAST and address.sixtofour is None and address.teredo is None


def _plain(address: Ip) -> Ip:
    """The IPv4 address that an IPv6 address stands for, if it does: it is what packets go to."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address
