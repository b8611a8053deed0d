"""Which addresses an alert may be sent to: a webhook must not become a way into the own network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from lineage_pipeline.errors import AlertError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")  # what of IPv6 is on the public internet at all
_look_up = socket.getaddrinfo
_guarded: ContextVar[bool] = ContextVar("only public addresses", default=False)


def checked_addresses(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The addresses of `host`; connect to one of these, since the name may mean another one a moment later.

    Raises AlertError when the name is unknown, or when any of its addresses is not on the public internet and
    `allow_private` is not set.
    """
    try:
        found = _look_up(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise AlertError(f"the host {host!r} of an alert channel is unknown: check its address") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not allow_private and not is_public(address):
            raise AlertError(
                f"the host {host!r} of an alert channel is {address}, which is not a public address: set allow_private "
                "if that is meant"
            )
    return addresses


def is_public(address: str) -> bool:
    """Whether the address is on the public internet; also seen through the ways to write IPv4 as IPv6."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(str(embedded))
        if ip not in _UNICAST:
            return False
    return ip.is_global and not ip.is_multicast


@contextmanager
def only_public_addresses() -> Iterator[None]:
    """Within it, names that this thread looks up lead to public addresses or nowhere, whichever library asks.

    For libraries that look a name up themselves: what it meant when it was checked may be another address by then. A
    configured proxy is exempt, since it is an address of the own network that somebody chose.
    """
    if socket.getaddrinfo is not _guarded_look_up:
        socket.getaddrinfo = _guarded_look_up
    token = _guarded.set(True)
    try:
        yield
    finally:
        _guarded.reset(token)


def _guarded_look_up(host: Any, port: Any, *arguments: Any, **named: Any) -> list[Any]:
    found = _look_up(host, port, *arguments, **named)
    if _guarded.get() and not all(is_public(str(one[4][0])) for one in found):
        proxies = {urlsplit(url if "//" in url else f"//{url}").hostname for url in getproxies().values()}
        if host not in proxies:
            raise socket.gaierror(socket.EAI_NONAME, "not a public address")
    return found
