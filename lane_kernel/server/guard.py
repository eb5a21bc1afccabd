"""Who may talk to a server on loopback: any program of this machine, and the pages that belong here.

A page from anywhere can open ws://127.0.0.1, and a host name can be made to point there; both are told by their
headers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from lane_kernel.server.context import Request


def refusal(request: Request, allowed_hosts: Collection[str], allowed_origins: Collection[str]) -> str | None:
    """Say why a request is refused, or None where it may pass.

    Args:
        request: The request.
        allowed_hosts: Host names to accept besides localhost and addresses.
        allowed_origins: Origins to accept besides this host's own and loopback's.
    """
    host = _host_name(f"//{request.host}")
    if request.host and not _is_own_host(host) and host not in allowed_hosts:
        return f"Host {request.host!r} is not this server's; allow it with server.allowed_hosts.add({host!r})"
    origin = request.header("Origin")
    if origin is None:
        if (request.header("Sec-Fetch-Site") or "").lower() == "cross-site":
            return "a page of another site asks without an Origin"
        return None
    if origin in allowed_origins or _is_same(origin, request.host) or _is_loopback(_host_name(origin)):
        return None
    return f"Origin {origin!r} is not allowed here; allow it with server.allowed_origins.add({origin!r})"


def _host_name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_same(origin: str, host: str) -> bool:
    return origin.partition("://")[2].lower() == host.lower()


def _is_own_host(name: str) -> bool:
    return _is_loopback(name) or _address(name) is not None


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
