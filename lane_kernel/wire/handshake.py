"""The opening handshake: the upgrade's request and response.

Source: RFC 6455 §4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lane_kernel.errors import LaneError

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Headers = Sequence[tuple[str, str]]
"""Header lines as (name, value), in the order they stand."""


class HandshakeError(LaneError):
    """The opening handshake failed.

    Attributes:
        status: The HTTP status that a server answers with, or that the server answered with.
        headers: Header lines that belong to the answer.
    """

    def __init__(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


def make_key() -> str:
    """Make a fresh Sec-WebSocket-Key: 16 random bytes as base64."""
    return base64.b64encode(os.urandom(16)).decode()


def accept_key(key: str) -> str:
    """Derive Sec-WebSocket-Accept from Sec-WebSocket-Key.

    Source: RFC 6455 §4.2.2, item 5.4.
    """
    return base64.b64encode(hashlib.sha1(key.strip().encode() + _GUID, usedforsecurity=False).digest()).decode()


@dataclass(frozen=True, slots=True)
class _Lines:
    lines: tuple[tuple[str, str], ...]

    def first(self, name: str) -> str | None:
        return next((value for key, value in self.lines if key.lower() == name), None)

    def tokens(self, name: str) -> set[str]:
        values = ",".join(value for key, value in self.lines if key.lower() == name)
        return {token.strip().lower() for token in values.split(",")}


def is_upgrade(headers: Headers) -> bool:
    """Whether a request asks to become a WebSocket, rightly or wrongly."""
    return "websocket" in _Lines(tuple(headers)).tokens("upgrade")


def check_request(method: str, version: str, headers: Headers) -> str:
    """Check a client's opening handshake as a server does.

    Args:
        method: The request's method.
        version: The request's HTTP version, such as "HTTP/1.1".
        headers: The request's header lines.

    Returns:
        The Sec-WebSocket-Accept to answer with.

    Raises:
        HandshakeError: With the status to answer and the reason.

    Source: RFC 6455 §4.2.1; the 426 answer §4.4 and RFC 9110 §15.5.22.
    """
    lines = _Lines(tuple(headers))
    if not is_upgrade(lines.lines):
        raise HandshakeError(
            426,
            "this path speaks WebSocket: connect with a WebSocket client, whose request says Upgrade: websocket",
            (("Upgrade", "websocket"), ("Connection", "Upgrade")),
        )
    if method != "GET":
        raise HandshakeError(405, f"a WebSocket handshake is a GET request, not {method}", (("Allow", "GET"),))
    if version != "HTTP/1.1":
        raise HandshakeError(505, f"a WebSocket handshake takes HTTP/1.1, not {version}")
    if "upgrade" not in lines.tokens("connection"):
        raise HandshakeError(400, "the handshake lacks Connection: Upgrade")
    if lines.first("sec-websocket-version") != "13":
        got = lines.first("sec-websocket-version")
        text = f"Sec-WebSocket-Version is {got or 'missing'}: this server speaks version 13"
        raise HandshakeError(426, text, (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")))
    key = lines.first("sec-websocket-key")
    if key is None or not _is_nonce(key):
        raise HandshakeError(
            400, f"Sec-WebSocket-Key is {'missing' if key is None else repr(key)}: it is 16 random bytes as base64"
        )
    return accept_key(key)


def _is_nonce(key: str) -> bool:
    try:
        return len(base64.b64decode(key.strip(), validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def upgrade_request(host: str, target: str, key: str, headers: Headers = ()) -> bytes:
    """Build a client's opening handshake.

    Source: RFC 6455 §4.1.
    """
    lines = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
        *headers,
    ]
    return build_head(f"GET {target} HTTP/1.1", lines)


def upgrade_response(accept: str, headers: Headers = ()) -> bytes:
    """Build a server's answer to an opening handshake.

    Source: RFC 6455 §4.2.2.
    """
    lines = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept), *headers]
    return build_head("HTTP/1.1 101 Switching Protocols", lines)


def check_response(status: int, reason: str, headers: Headers, key: str) -> None:
    """Check a server's answer as a client does.

    Raises:
        HandshakeError: With the status that came and what is wrong with the answer.

    Source: RFC 6455 §4.1, the last list.
    """
    lines = _Lines(tuple(headers))
    if status != 101:
        raise HandshakeError(status, f"the server answered {status} {reason} instead of 101 Switching Protocols")
    if lines.tokens("upgrade") != {"websocket"}:
        raise HandshakeError(status, "the server's 101 lacks Upgrade: websocket")
    if "upgrade" not in lines.tokens("connection"):
        raise HandshakeError(status, "the server's 101 lacks Connection: Upgrade")
    got, wanted = lines.first("sec-websocket-accept"), accept_key(key)
    if got is None or got.strip() != wanted:
        raise HandshakeError(status, f"Sec-WebSocket-Accept is {got or 'missing'}: for this key it is {wanted}")
    for name in ("sec-websocket-extensions", "sec-websocket-protocol"):
        if (value := lines.first(name)) is not None:
            raise HandshakeError(status, f"the server chose {value!r} in {name}, which was not offered")


def build_head(start_line: str, headers: Headers) -> bytes:
    """Build an HTTP/1.1 head.

    Raises:
        HandshakeError: The start line or a value holds a line break, which would begin another line, NUL, or what
            Latin-1 does not have; or a name is not a token.

    Source: RFC 9112 §2.1; RFC 9110 §5.1 and §5.5.
    """
    _check_line("the start line", start_line)
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise HandshakeError(500, f"a header's name is letters, digits and !#$%&'*+-.^_`|~, not {name!r}")
        _check_line(f"header {name}", value)
    lines = [start_line, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _check_line(what: str, text: str) -> None:
    if any(character in text for character in "\r\n\0"):
        raise HandshakeError(500, f"{what} holds a line break or NUL: {text!r}")
    if any(character > "\xff" for character in text):
        raise HandshakeError(500, f"{what} holds a character that a head cannot: {text!r}; encode it first")
