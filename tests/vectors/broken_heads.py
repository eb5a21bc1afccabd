"""HTTP/1.1 heads that break a rule, and which bytes of them are to blame.

Source: RFC 9112 §2 to §6.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BrokenHead:
    """A head that breaks rules.

    Attributes:
        id: The case's name.
        wire: Its bytes.
        findings: The id of each rule with the bytes to blame.
        is_response: Whether a server sends it.
    """

    id: str
    wire: bytes
    findings: tuple[tuple[str, bytes], ...]
    is_response: bool = False


def _request(lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n") -> bytes:
    return start + b"\r\n" + host + lines + b"\r\n"


def _start(id: str, line: bytes, *more: tuple[str, bytes]) -> BrokenHead:
    return BrokenHead(id, _request(b"", line), (("start-line-malformed", line), *more))


def _status(id: str, line: bytes) -> BrokenHead:
    return BrokenHead(id, line + b"\r\n\r\n", (("status-line-malformed", line),), True)


def _line(id: str, line: bytes, rule: str, blamed: bytes | None = None) -> BrokenHead:
    return BrokenHead(id, _request(line + b"\r\nX: y\r\n"), ((rule, line if blamed is None else blamed),))


BROKEN_HEADS = (
    _start("one-word", b"nonsense"),
    _start("two-words", b"GET /"),
    _start("two-spaces", b"GET  / HTTP/1.1"),
    _start("space-first", b" GET / HTTP/1.1"),
    _start("space-last", b"GET / HTTP/1.1 "),
    _start("tab", b"GET\t/\tHTTP/1.1"),
    _start("version-in-lower-case", b"GET / http/1.1"),
    _start("version-with-two-digits", b"GET / HTTP/1.10"),
    _start("method-no-token", b"G(T / HTTP/1.1"),
    _start("target-with-control", b"GET /\x01 HTTP/1.1"),
    _start("a-status-line", b"HTTP/1.1 200 OK"),
    _status("status-of-two-digits", b"HTTP/1.1 20 OK"),
    _status("status-not-a-number", b"HTTP/1.1 abc OK"),
    _status("no-status", b"HTTP/1.1"),
    _status("reason-with-control", b"HTTP/1.1 200 O\x01K"),
    _status("a-request-line", b"GET / HTTP/1.1"),
    _line("no-colon", b"nonsense", "header-without-colon"),
    _line("space-before-colon", b"A : b", "space-before-colon", b"A "),
    _line("tab-before-colon", b"A\t: b", "space-before-colon", b"A\t"),
    _line("no-name", b": b", "header-name-invalid", b""),
    _line("space-in-name", b"A b: c", "header-name-invalid", b"A b"),
    _line("name-not-ascii", b"\xe9: c", "header-name-invalid", b"\xe9"),
    _line("folded", b" b", "header-folded"),
    _line("folded-with-tab", b"\tb: c", "header-folded"),
    BrokenHead("no-host", _request(b"", host=b""), (("host-missing", b"GET / HTTP/1.1"),)),
    BrokenHead("two-hosts", _request(b"host: b\r\n"), (("host-missing", b"host: b"),)),
    BrokenHead("bare-line-feed", b"GET / HTTP/1.1\nHost: a\r\n\n", (("bare-line-feed", b"\n"),)),
    _line("length-not-a-number", b"Content-Length: x", "content-length-invalid"),
    _line("length-signed", b"Content-Length: +1", "content-length-invalid"),
    _line("length-empty", b"Content-Length:", "content-length-invalid"),
    _line("length-list", b"Content-Length: 1, 2", "content-length-invalid"),
    _line("length-other-digits", b"Content-Length: \xb2", "content-length-invalid"),
    BrokenHead("two-lengths", _request(b"Content-Length: 1\r\nContent-Length: 2\r\n"),
               (("content-length-invalid", b"Content-Length: 2"),)),
    BrokenHead("length-and-coding", _request(b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
               (("length-and-coding", b"Content-Length: 1"),)),
    _line("value-with-nul", b"A: b\0c", "header-value-invalid", b"\0"),
    _line("value-with-cr", b"A: b\rc", "header-value-invalid", b"\r"),
    BrokenHead("host-invalid", _request(b"", host=b"Host: a b/c\r\n"), (("host-missing", b"a b/c"),)),
    BrokenHead("two-hosts-in-1.0", _request(b"Host: b\r\n", b"GET / HTTP/1.0"), (("host-missing", b"Host: b"),)),
    BrokenHead("no-host-in-1.2", _request(b"", b"GET / HTTP/1.2", b""), (("host-missing", b"GET / HTTP/1.2"),)),
    BrokenHead("several", _request(b"A : b\r\nc\r\nContent-Length: z\r\nTransfer-Encoding: chunked\r\n", b"GET", b""),
               (("start-line-malformed", b"GET"), ("space-before-colon", b"A "), ("header-without-colon", b"c"),
                ("length-and-coding", b"Content-Length: z"), ("content-length-invalid", b"Content-Length: z"))),
)  # fmt: skip

CLEAN_HEADS = (
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", False),
    (b"\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n", False),
    (b"GET / HTTP/1.0\r\n\r\n", False),
    (b"GET / HTTP/1.1\r\nHost: [::1]:8888\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n", False),
    (b"OPTIONS * HTTP/1.1\r\nhOST: a\r\nA: \t \r\n!#$%&'*+-.^_`|~09: \xe9\r\n\r\n", False),
    (b"POST /\xe9 HTTP/1.1\r\nHost: a\r\nContent-Length: 00\r\nContent-Length: 00\r\n\r\n", False),
    (b"HTTP/1.1 200\r\n\r\n", True),
    (b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", True),
    (b"HTTP/1.1 200 N\xf6 \t!\r\nContent-Length: 0\r\n\r\n", True),
)
"""Heads that break none, each with whether a server sends it."""
