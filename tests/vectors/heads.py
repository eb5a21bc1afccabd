"""HTTP/1.1 heads, chunked bodies, and what stands in them.

Source: RFC 9112 §2 to §5 and §7.1.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadCase:
    """A head.

    Attributes:
        id: The case's name.
        wire: Its bytes.
        parts: The three parts of its start line.
        headers: Its header lines.
        is_strict: Whether a strict parser takes it, too.
    """

    id: str
    wire: bytes
    parts: tuple[str, str, str]
    headers: tuple[tuple[str, str], ...] = ()
    is_strict: bool = True


HEADS = (
    HeadCase(
        "rfc6455-request",
        b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n"
        b"Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n",
        ("GET", "/chat", "HTTP/1.1"),
        (
            ("Host", "server.example.com"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Origin", "http://example.com"),
            ("Sec-WebSocket-Protocol", "chat, superchat"),
            ("Sec-WebSocket-Version", "13"),
        ),
    ),
    HeadCase(
        "rfc6455-response",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        ("HTTP/1.1", "101", "Switching Protocols"),
        (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ),
    ),
    HeadCase("no-headers", b"GET / HTTP/1.1\r\n\r\n", ("GET", "/", "HTTP/1.1")),
    HeadCase("empty-reason", b"HTTP/1.1 200 \r\n\r\n", ("HTTP/1.1", "200", "")),
    HeadCase("no-reason", b"HTTP/1.1 200\r\n\r\n", ("HTTP/1.1", "200", ""), is_strict=False),
    HeadCase("bare-lf", b"GET / HTTP/1.1\nHost: a\n\n", ("GET", "/", "HTTP/1.1"), (("Host", "a"),)),
    HeadCase("mixed-line-ends", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\n", ("GET", "/", "HTTP/1.1"),
             (("Host", "a"), ("X", "b"))),
    HeadCase("white-space-around-value", b"GET / HTTP/1.1\r\nA:\t b c \t\r\nB:d\r\n\r\n", ("GET", "/", "HTTP/1.1"),
             (("A", "b c"), ("B", "d"))),
    HeadCase("empty-values", b"GET / HTTP/1.1\r\nA:\r\nB: \t \r\n\r\n", ("GET", "/", "HTTP/1.1"),
             (("A", ""), ("B", ""))),
    HeadCase("colons-in-value", b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", ("GET", "/", "HTTP/1.1"),
             (("Host", "[::1]:80"),)),
    HeadCase("same-name-twice", b"GET / HTTP/1.1\r\nA: 1\r\na: 2\r\n\r\n", ("GET", "/", "HTTP/1.1"),
             (("A", "1"), ("a", "2"))),
    HeadCase("latin-1-value", b"GET / HTTP/1.1\r\nA: \xe9\r\n\r\n", ("GET", "/", "HTTP/1.1"), (("A", "é"),)),
    HeadCase("empty-line-first", b"\r\nGET / HTTP/1.1\r\nA: 1\r\n\r\n", ("GET", "/", "HTTP/1.1"), (("A", "1"),)),
    HeadCase("no-colon", b"GET / HTTP/1.1\r\nnonsense\r\nA: 1\r\n\r\n", ("GET", "/", "HTTP/1.1"),
             (("nonsense", ""), ("A", "1")), is_strict=False),
    HeadCase("no-name", b"GET / HTTP/1.1\r\n: 1\r\n\r\n", ("GET", "/", "HTTP/1.1"), (("", "1"),), is_strict=False),
    HeadCase("space-before-colon", b"GET / HTTP/1.1\r\nA : 1\r\n\r\n", ("GET", "/", "HTTP/1.1"), (("A ", "1"),),
             is_strict=False),
    HeadCase("one-word", b"nonsense\r\n\r\n", ("nonsense", "", ""), is_strict=False),
    HeadCase("two-words", b"GET /\r\n\r\n", ("GET", "/", ""), is_strict=False),
    HeadCase("two-spaces", b"GET  / HTTP/1.1\r\n\r\n", ("GET", "", "/ HTTP/1.1"), is_strict=False),
    HeadCase("only-empty-lines", b"\r\n\r\n", ("", "", ""), is_strict=False),
    HeadCase("status-not-a-number", b"HTTP/1.1 abc no\r\n\r\n", ("HTTP/1.1", "abc", "no"), is_strict=False),
)  # fmt: skip


@dataclass(frozen=True)
class BodyCase:
    """A chunked body and the data in it."""

    id: str
    wire: bytes
    data: bytes


BODIES = (
    BodyCase("empty", b"0\r\n\r\n", b""),
    BodyCase("one", b"5\r\nHello\r\n0\r\n\r\n", b"Hello"),
    BodyCase("two", b"5\r\nHello\r\n7\r\n, world\r\n0\r\n\r\n", b"Hello, world"),
    BodyCase(
        "hexadecimal", b"1a\r\n" + b"x" * 26 + b"\r\n0A\r\n" + b"y" * 10 + b"\r\n0\r\n\r\n", b"x" * 26 + b"y" * 10
    ),
    BodyCase("extensions", b'5;a=b;c="d"\r\nHello\r\n0;e\r\n\r\n', b"Hello"),
    BodyCase("trailers", b"2\r\nhi\r\n0\r\nA: 1\r\nB: 2\r\n\r\n", b"hi"),
    BodyCase("line-breaks-inside", b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r"),
    BodyCase("leading-zeros", b"0002\r\nhi\r\n000\r\n\r\n", b"hi"),
)

BROKEN_BODIES = (
    BodyCase("size-not-hexadecimal", b"2\r\nhi\r\nzz\r\n", b"hi"),
    BodyCase("size-negative", b"-1\r\n", b""),
    BodyCase("size-empty", b"\r\n", b""),
    BodyCase("size-with-underscore", b"1_0\r\n", b""),
    BodyCase("size-over-64-bits", b"1" + b"0" * 16 + b"\r\n", b""),
    BodyCase("longer-than-its-size", b"2\r\nhi there\r\n", b"hi"),
    BodyCase("bare-lf-after-size", b"2\n", b""),
    BodyCase("bare-lf-after-data", b"2\r\nhi\n", b"hi"),
    BodyCase("spaces-after-data", b"2\r\nhi  \r\n", b"hi"),
    BodyCase("cr-in-a-line", b"2\r\r\n", b""),
    BodyCase("no-trailer", b"0\r\nbad trailer\r\n", b""),
    BodyCase("endless-line", b"2\r\nhi\r\n" + b"1" * 8193, b"hi"),
)
