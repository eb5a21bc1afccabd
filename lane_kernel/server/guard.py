"""Who may talk to a server on loopback: any program of this machine, and the pages that belong here.

A page from anywhere can open ws://127.0.0.1, and a host name can be made to point there; both are told by their
headers. Pages of the server itself and the Jupyter page that embeds it may; any other is allowed by its origin.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from lane_kernel.server.context import Context, Request
from lane_kernel.server.pages import jupyter_pages


def refusal(request: Request, allowed_hosts: Collection[str], allowed_origins: Collection[str]) -> str | None:
    """Say why a request is refused, or None where it may pass.

    Args:
        request: The request.
        allowed_hosts: Host names to accept besides localhost and addresses.
        allowed_origins: Origins to accept besides this host's own and those of the Jupyter pages that embed it.
    """
    host = _host_name(f"//{request.host}")
    if request.host and not _is_own_host(host) and host not in allowed_hosts and not jupyter_pages.has_host(host):
        return f"Host {request.host!r} is not this server's; allow it with server.allowed_hosts.add({host!r})"
    origin = request.header("Origin")
    if origin is None:
        if (request.header("Sec-Fetch-Site") or "").lower() == "cross-site":
            return (
                "a page of another site asks without an Origin: open the address yourself, or let that page ask with "
                "its Origin, as WebSocket, EventSource and fetch do, which server.allowed_origins.add(…) allows"
            )
        return None
    if origin in allowed_origins or _is_same(origin, request.host) or jupyter_pages.has_origin(origin):
        return None
    return f"Origin {origin!r} is not allowed here; allow it with server.allowed_origins.add({origin!r})"


def share(ctx: Context) -> None:
    """Let the page that asks read the answer: its origin has passed.

    Source: Fetch, "HTTP responses" of the CORS protocol.
    """
    origin = ctx.request.header("Origin")
    if origin is not None:
        ctx.response.set_header("Access-Control-Allow-Origin", origin).set_header("Vary", "Origin")
        ctx.response.set_header("Access-Control-Allow-Credentials", "true")


def is_preflight(request: Request) -> bool:
    """Whether a browser asks, on its own, what it may ask.

    Source: Fetch, "HTTP requests" of the CORS protocol.
    """
    return (
        request.method == "OPTIONS"
        and request.header("Origin") is not None
        and request.header("Access-Control-Request-Method") is not None
    )


def allow(ctx: Context) -> None:
    """Answer a preflight: what was asked for is allowed, since the origin has passed."""
    ctx.response.set_status(204).set_header("Access-Control-Max-Age", "600")
    for asked, name in (
        ("Access-Control-Request-Method", "Access-Control-Allow-Methods"),
        ("Access-Control-Request-Headers", "Access-Control-Allow-Headers"),
    ):
        if (value := ctx.request.header(asked)) is not None:
            ctx.response.set_header(name, value)


def _host_name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_same(origin: str, host: str) -> bool:
    return host != "" and origin.partition("://")[2].lower() == host.lower()


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
