"""One request to a server over a raw socket, and the whole answer."""

from __future__ import annotations

from lane_kernel.server import Server
from tests.server.raw import raw


def request(line: str = "GET /x HTTP/1.1", *headers: str, body: bytes = b"") -> bytes:
    """A request that ends its connection; it has a Host unless one is given."""
    lines = [line, *headers, "Connection: close"]
    if not any(header.startswith("Host:") for header in headers):
        lines.append("Host: localhost")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ask(server: Server, asked: bytes) -> bytes:
    """Send bytes and read until the server ends the connection."""
    async with raw(server) as peer:
        await peer.send(asked)
        return await peer.rest()


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]
