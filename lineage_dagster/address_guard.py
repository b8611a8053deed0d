"""Which addresses an alert may be sent to: a webhook must not become a way into the own network."""

from __future__ import annotations

import ipaddress
import socket

from lineage_pipeline.errors import AlertError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def checked_addresses(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The addresses of `host`; connect to one of these, since the name may mean another one a moment later.

    Raises AlertError when the name is unknown, or when any of its addresses is not on the public internet and
    `allow_private` is not set.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
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
    return ip.is_global and not ip.is_multicast
