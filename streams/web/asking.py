"""Who is asking, as far as the request itself tells: an address, a bearer."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from aiohttp import web

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: What a proxy adds for the peer behind it; a request with one of them is not from loopback.
FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
# What one household or machine is given; it may take any address in it (RFC 6177, RFC 8981).
PREFIX: Final = 64
#: An address as some proxies write it, Azure's gateway among them: with its port (RFC 7239, 6).
PORTED: Final = re.compile(r"\[([^\]%]*:[^\]%]*)\](?::\d{1,5})?|([^:]*):\d{1,5}", re.ASCII)


def bearer(request: web.Request) -> str | None:
    """Return the credentials of `Authorization: Bearer …`."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" and credentials.strip() else None


def on_this_machine(request: web.Request) -> bool:
    """Tell whether the peer is on this machine and speaks for itself, as no proxy does."""
    if any(name in request.headers for name in FORWARDED):
        return False
    peer = _address(request.remote)
    return peer is not None and peer.is_loopback


def from_loopback(request: web.Request) -> bool:
    """Tell whether a program on this machine is asking: no proxy's client, no browser's page."""
    return "Origin" not in request.headers and on_this_machine(request)


def origin_of(request: web.Request, proxies: Collection[Network]) -> str:
    """Return whose request it is: an IPv4 address, or an IPv6 network of 64 bits.

    That is the peer. Where the peer is a proxy of ours, it is the last address in X-Forwarded-For
    that is none: each proxy adds its own peer at the end, and what stands before comes from anyone.
    Behind what cannot be read stands nobody but the proxy that wrote it.
    """
    found = _address(request.remote)
    hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    while found is not None and hops and any(found in network for network in proxies):
        before = _hop(hops.pop())
        if before is None:
            break
        found = before
    if isinstance(found, IPv6Address):
        return str(ip_network((found.packed, PREFIX), strict=False))
    return str(found)


def _hop(entry: str) -> Address | None:
    """Read an entry of X-Forwarded-For: an address, with its port or without."""
    ported = PORTED.fullmatch(entry.strip())
    return _address((ported[1] or ported[2]) if ported else entry)


def _address(text: str | None) -> Address | None:
    """Read an address; one of IPv4 that is written in IPv6 is itself (RFC 4291, 2.5.5.2)."""
    try:
        found = ip_address((text or "").strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
