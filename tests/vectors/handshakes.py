"""Opening handshakes: what is wrong with a request and with an answer, and what real programs send.

Source: RFC 6455 §4; RFC 7692 §7.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lane_kernel.wire.deflate import DeflateParameters, parse_extensions
from lane_kernel.wire.handshake import Headers, Offer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""RFC 6455 §1.3, the example."""

GOOD = (
    ("Host", "example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)
ANSWER = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT))

_KEY, _VERSION = "Sec-WebSocket-Key", "Sec-WebSocket-Version"
_PROTOCOL, _EXTENSIONS = "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"
_PMD = "permessage-deflate"


def but(headers: tuple[tuple[str, str], ...], name: str, *values: str) -> tuple[tuple[str, str], ...]:
    """Headers with other values for a name, or none."""
    kept = tuple((key, value) for key, value in headers if key != name)
    return (*kept, *((name, value) for value in values))


@dataclass(frozen=True)
class RequestCase:
    """A request that is wrong.

    Attributes:
        id: The case's name.
        headers: Its header lines.
        faults: The ids of the rules it breaks, each with the header to blame, or None for the first line.
        status: What it is refused with; None where it is not.
        says: What stands in the first fault.
        method: Its method.
        version: Its HTTP version.
    """

    id: str
    headers: tuple[tuple[str, str], ...]
    faults: tuple[tuple[str, str | None], ...]
    status: int | None
    says: str
    method: str = "GET"
    version: str = "HTTP/1.1"


def _key(id: str, says: str, *values: str, rule: str = "key-invalid") -> RequestCase:
    return RequestCase(id, but(GOOD, _KEY, *values), ((rule, "sec-websocket-key"),), 400, says)


def _version(id: str, says: str, *values: str) -> RequestCase:
    return RequestCase(id, but(GOOD, _VERSION, *values), (("websocket-version", "sec-websocket-version"),), 426, says)


def _protocol(id: str, says: str, *values: str) -> RequestCase:
    faults = (("subprotocol-malformed", "sec-websocket-protocol"),)
    return RequestCase(id, but(GOOD, _PROTOCOL, *values), faults, 400, says)


WRONG_REQUESTS = (
    RequestCase("no-upgrade", but(GOOD, "Upgrade"), (("upgrade-missing", "upgrade"),), 426, "connect with a WebSocket"),
    RequestCase("other-upgrade", but(GOOD, "Upgrade", "h2c"), (("upgrade-missing", "upgrade"),), 426, "this path"),
    RequestCase("upgrade-with-no-break-space", but(GOOD, "Upgrade", "websocket\xa0"),
                (("upgrade-missing", "upgrade"),), 426, ""),
    RequestCase("upgrade-in-a-word", but(GOOD, "Upgrade", "websockets"), (("upgrade-missing", "upgrade"),), 426, ""),
    RequestCase("post", GOOD, (("handshake-method", None),), 405, "GET request, not POST", method="POST"),
    RequestCase("method-in-lower-case", GOOD, (("handshake-method", None),), 405, "not get", method="get"),
    RequestCase("http-1.0", GOOD, (("handshake-http-version", None),), 505, "not HTTP/1.0", version="HTTP/1.0"),
    RequestCase("no-http", GOOD, (("handshake-http-version", None),), 505, "HTTP/1.1, not ", version=""),
    RequestCase("no-connection", but(GOOD, "Connection"), (("connection-missing", "connection"),), 400, "lacks Conn"),
    RequestCase("connection-keep-alive", but(GOOD, "Connection", "keep-alive"),
                (("connection-missing", "connection"),), 400, "lacks Connection: Upgrade"),
    _key("no-key", "missing", rule="key-missing"),
    _key("two-keys", "there 2 times", KEY, KEY, rule="key-missing"),
    _key("empty-key", "''", ""),
    _key("key-of-15-bytes", "16 random bytes", "MTIzNDU2Nzg5MDEyMzQ1"),
    _key("key-of-17-bytes", "16 random bytes", "MTIzNDU2Nzg5MDEyMzQ1Njc="),
    _key("key-without-padding", "16 random bytes", KEY.rstrip("=")),
    _key("key-url-safe", "16 random bytes", "__8AAAAAAAAAAAAAAAAAAA=="),
    _key("key-with-space", "16 random bytes", KEY[:8] + " " + KEY[8:]),
    _key("key-with-no-break-space", "16 random bytes", KEY + "\xa0"),
    _key("key-not-ascii", "16 random bytes", "é" * 24),
    _version("no-version", "missing"),
    _version("version-8", "is 8: this server speaks version 13", "8"),
    _version("version-013", "is 013", "013"),
    _version("version-list", "is 13, 8", "13, 8"),
    _version("two-versions", "is 13 and 8", "13", "8"),
    _protocol("subprotocol-with-space", "'a b' is no token", "a b"),
    _protocol("subprotocol-not-ascii", "is no token", "chat, é"),
    _protocol("subprotocol-quoted", "is no token", '"chat"'),
    _protocol("subprotocol-twice", "asked for twice", "chat, chat"),
    _protocol("subprotocol-twice-in-lines", "asked for twice", "chat", "superchat, chat"),
    RequestCase("extensions", but(GOOD, _EXTENSIONS, "foo; =1"),
                (("extensions-malformed", "sec-websocket-extensions"),), 400, "is no list of extensions"),
    RequestCase("extensions-empty", but(GOOD, _EXTENSIONS, ""),
                (("extensions-malformed", "sec-websocket-extensions"),), 400, "is no list of extensions"),
    # No reason to refuse it: the offer is declined.
    RequestCase("offer", but(GOOD, _EXTENSIONS, f"{_PMD}; foo, {_PMD}; server_max_window_bits=7"),
                (("deflate-offer-invalid", "sec-websocket-extensions"),) * 2, None, "foo is no parameter"),
    RequestCase("offer-and-key", but(but(GOOD, _EXTENSIONS, f"{_PMD}; foo"), _KEY),
                (("key-missing", "sec-websocket-key"), ("deflate-offer-invalid", "sec-websocket-extensions")), 400, ""),
    # Several at once: all are listed, and the first is answered.
    RequestCase("no-headers", (),
                (("upgrade-missing", "upgrade"), ("connection-missing", "connection"),
                 ("websocket-version", "sec-websocket-version"), ("key-missing", "sec-websocket-key")), 426, ""),
    RequestCase(
        "everything",
        (("Upgrade", "h2c"), ("Connection", "close"), (_KEY, "x"), (_VERSION, "7"), (_PROTOCOL, "a, a"),
         (_EXTENSIONS, "=")),
        (("upgrade-missing", "upgrade"), ("handshake-method", None), ("handshake-http-version", None),
         ("connection-missing", "connection"), ("websocket-version", "sec-websocket-version"),
         ("key-invalid", "sec-websocket-key"), ("subprotocol-malformed", "sec-websocket-protocol"),
         ("extensions-malformed", "sec-websocket-extensions")),
        426, "", "PUT", "HTTP/1.0",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class AnswerCase:
    """A server's answer that is wrong, or at least says no.

    Attributes:
        id: The case's name.
        headers: Its header lines.
        faults: The ids of the rules it breaks, each with the header to blame, or None for the first line.
        says: What stands in the first fault.
        offer: What the request asked for.
        status: Its status.
        is_refused: Whether a client refuses it.
    """

    id: str
    headers: tuple[tuple[str, str], ...]
    faults: tuple[tuple[str, str | None], ...]
    says: str
    offer: Offer = field(default_factory=Offer)
    status: int = 101
    is_refused: bool = True


def offer(extensions: str, *subprotocols: str) -> Offer:
    """What a request asks for."""
    return Offer(subprotocols, tuple(parse_extensions([extensions] if extensions else [])))


_NOT_ASKED = (("subprotocol-not-offered", "sec-websocket-protocol"),)
_NOT_OFFERED = (("extension-not-offered", "sec-websocket-extensions"),)
_INVALID = (("extension-answer-invalid", "sec-websocket-extensions"),)

WRONG_ANSWERS = (
    AnswerCase("status-200", ANSWER, (("answer-status", None),), "answered 200 OK instead of 101", status=200),
    AnswerCase("status-404", (), (("answer-status", None),), "answered 404 OK", status=404),
    AnswerCase("no-upgrade", but(ANSWER, "Upgrade"), (("answer-upgrade", "upgrade"),), "lacks Upgrade"),
    AnswerCase("two-upgrades", but(ANSWER, "Upgrade", "websocket, h2c"), (("answer-upgrade", "upgrade"),), "lacks"),
    AnswerCase("no-connection", but(ANSWER, "Connection"), (("answer-connection", "connection"),), "lacks Connection"),
    AnswerCase("other-connection", but(ANSWER, "Connection", "close"), (("answer-connection", "connection"),), "lacks"),
    AnswerCase("no-accept", but(ANSWER, "Sec-WebSocket-Accept"), (("accept-missing", "sec-websocket-accept"),),
               f"is missing: for this key it is {ACCEPT}"),
    AnswerCase("other-accept", but(ANSWER, "Sec-WebSocket-Accept", ACCEPT.lower()),
               (("accept-mismatch", "sec-websocket-accept"),), f"for this key it is {ACCEPT}"),
    AnswerCase("the-key-itself", but(ANSWER, "Sec-WebSocket-Accept", KEY),
               (("accept-mismatch", "sec-websocket-accept"),), KEY),
    AnswerCase("two-accepts", but(ANSWER, "Sec-WebSocket-Accept", ACCEPT, "x"),
               (("accept-mismatch", "sec-websocket-accept"),), "for this key"),
    AnswerCase("subprotocol-unasked", but(ANSWER, _PROTOCOL, "chat"), _NOT_ASKED, "'chat'"),
    AnswerCase("another-subprotocol", but(ANSWER, _PROTOCOL, "b"), _NOT_ASKED, "'b'", offer("", "a")),
    AnswerCase("subprotocol-in-another-case", but(ANSWER, _PROTOCOL, "Chat"), _NOT_ASKED, "'Chat'", offer("", "chat")),
    AnswerCase("two-subprotocols", but(ANSWER, _PROTOCOL, "a, b"), _NOT_ASKED, "'a, b'", offer("", "a", "b")),
    AnswerCase("subprotocol-in-two-lines", but(ANSWER, _PROTOCOL, "a", "a"), _NOT_ASKED, "'a, a'", offer("", "a")),
    AnswerCase("subprotocol-with-no-break-space", but(ANSWER, _PROTOCOL, "a\xa0"), _NOT_ASKED, "a", offer("", "a")),
    AnswerCase("empty-subprotocol", but(ANSWER, _PROTOCOL, ""), _NOT_ASKED, "''", offer("", "a")),
    AnswerCase("subprotocol-declined", ANSWER, (("subprotocol-declined", None),), "none of a, b was chosen",
               offer("", "a", "b"), is_refused=False),
    AnswerCase("extension-unasked", but(ANSWER, _EXTENSIONS, "foo; a=1"), _NOT_OFFERED, "'foo; a=1'"),
    AnswerCase("deflate-unasked", but(ANSWER, _EXTENSIONS, _PMD), _NOT_OFFERED, f"'{_PMD}'"),
    AnswerCase("another-extension", but(ANSWER, _EXTENSIONS, f"foo, {_PMD}"), _NOT_OFFERED, "'foo'", offer(_PMD)),
    AnswerCase("extensions-malformed", but(ANSWER, _EXTENSIONS, "=1"),
               (("extensions-malformed", "sec-websocket-extensions"),), "is no list", offer(_PMD)),
    AnswerCase("deflate-invalid", but(ANSWER, _EXTENSIONS, f"{_PMD}; server_max_window_bits=7"), _INVALID,
               "8 to 15, not 7", offer(_PMD)),
    AnswerCase("deflate-over-the-limit", but(ANSWER, _EXTENSIONS, _PMD), _INVALID, "10 bits",
               offer(f"{_PMD}; server_max_window_bits=10")),
    AnswerCase("deflate-twice", but(ANSWER, _EXTENSIONS, _PMD, _PMD), _INVALID, "2 times", offer(_PMD)),
    AnswerCase(
        "everything",
        (("Upgrade", "h2c"), (_PROTOCOL, "a"), (_EXTENSIONS, f"foo, {_PMD}; client_max_window_bits=9")),
        (("answer-upgrade", "upgrade"), ("answer-connection", "connection"), ("accept-missing", "sec-websocket-accept"),
         *_NOT_ASKED, *_NOT_OFFERED, *_INVALID),
        "lacks Upgrade", offer(_PMD, "b"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class RealCase:
    """A request or an answer as a program sends it."""

    id: str
    head: bytes


def _head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


REAL_REQUESTS = (
    RealCase("websockets", _head(
        "GET / HTTP/1.1", "Host: 127.0.0.1:8765", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Extensions: {_PMD}; client_max_window_bits", "User-Agent: Python/3.11 websockets/13.1",
    )),
    RealCase("aiohttp", _head(
        "GET /ws HTTP/1.1", "Host: 127.0.0.1:8080", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}",
        f"Sec-WebSocket-Extensions: {_PMD}; client_max_window_bits", "Accept: */*", "Accept-Encoding: gzip, deflate",
        "User-Agent: Python/3.11 aiohttp/3.10.0",
    )),
    RealCase("tornado", _head(
        "GET /ws HTTP/1.1", f"Sec-WebSocket-Key: {KEY}", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Connection: Upgrade", f"Sec-WebSocket-Extensions: {_PMD}; client_max_window_bits", "User-Agent: Tornado/6.4",
        "Host: localhost:8888", "Accept-Encoding: gzip",
    )),
    RealCase("chromium", _head(
        "GET /chat?room=1 HTTP/1.1", "Host: localhost:8888", "Connection: Upgrade", "Pragma: no-cache",
        "Cache-Control: no-cache", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Upgrade: websocket",
        "Origin: http://localhost:8888", "Sec-WebSocket-Version: 13", "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.9", "Cookie: a=b; c=d", f"Sec-WebSocket-Key: {KEY}",
        f"Sec-WebSocket-Extensions: {_PMD}; client_max_window_bits", "Sec-WebSocket-Protocol: chat, superchat",
    )),
    RealCase("firefox", _head(
        "GET /chat HTTP/1.1", "Host: localhost:8888", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)",
        "Accept: */*", "Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate, br, zstd",
        "Sec-WebSocket-Version: 13", "Origin: http://localhost:8888", f"Sec-WebSocket-Extensions: {_PMD}",
        f"Sec-WebSocket-Key: {KEY}", "Connection: keep-alive, Upgrade", "Sec-Fetch-Dest: empty",
        "Sec-Fetch-Mode: websocket", "Sec-Fetch-Site: same-origin", "Pragma: no-cache", "Cache-Control: no-cache",
        "Upgrade: websocket",
    )),
    RealCase("curl", _head(
        "GET / HTTP/1.1", "Host: localhost:8888", "User-Agent: curl/8.5.0", "Accept: */*", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}",
    )),
)  # fmt: skip

REAL_ANSWERS = (
    RealCase("websockets", _head(
        "HTTP/1.1 101 Switching Protocols", "Date: Mon, 02 Nov 2026 10:00:00 GMT", "Upgrade: websocket",
        "Connection: Upgrade", f"Sec-WebSocket-Accept: {ACCEPT}", "Sec-WebSocket-Protocol: chat",
        f"Sec-WebSocket-Extensions: {_PMD}; server_max_window_bits=12; client_max_window_bits=12",
        "Server: Python/3.11 websockets/13.1",
    )),
    RealCase("aiohttp", _head(
        "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: upgrade",
        f"Sec-WebSocket-Accept: {ACCEPT}", f"Sec-WebSocket-Extensions: {_PMD}", "Sec-WebSocket-Protocol: superchat",
        "Date: Mon, 02 Nov 2026 10:00:00 GMT", "Server: Python/3.11 aiohttp/3.10.0",
    )),
    RealCase("tornado", _head(
        "HTTP/1.1 101 Switching Protocols", "Server: TornadoServer/6.4", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-Websocket-Accept: {ACCEPT}", "Sec-WebSocket-Protocol: chat", f"Sec-WebSocket-Extensions: {_PMD}",
    )),
    RealCase("nginx-before-node", _head(
        "HTTP/1.1 101 Switching Protocols", "Server: nginx", "Connection: upgrade", "Upgrade: websocket",
        f"Sec-WebSocket-Accept: {ACCEPT}", "Sec-WebSocket-Protocol: chat", f"Sec-WebSocket-Extensions: {_PMD}",
    )),
)  # fmt: skip
"""Answers to a request for chat or superchat that offers `permessage-deflate; client_max_window_bits`."""

REAL_OFFER = Offer(("chat", "superchat"), tuple(parse_extensions([f"{_PMD}; client_max_window_bits"])))


@dataclass(frozen=True)
class AgreementCase:
    """What a request asks for, what a server speaks, and what is agreed.

    Attributes:
        id: The case's name.
        asked: The request's header lines for it.
        speaks: The server's subprotocols.
        wishes: Its wishes for permessage-deflate; None where it does not speak it.
        headers: The answer's header lines for it.
    """

    id: str
    asked: Headers
    speaks: tuple[str, ...] = ()
    wishes: DeflateParameters | None = None
    headers: tuple[tuple[str, str], ...] = ()


_ANY = DeflateParameters()
_WISHED = "; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11"
AGREEMENTS = (
    AgreementCase("nothing-asked", (), ("chat",), _ANY),
    AgreementCase("nothing-spoken", ((_PROTOCOL, "chat"), (_EXTENSIONS, _PMD))),
    AgreementCase("subprotocol", ((_PROTOCOL, "chat"),), ("chat",), None, ((_PROTOCOL, "chat"),)),
    AgreementCase("the-clients-first", ((_PROTOCOL, "b, a"),), ("a", "b"), None, ((_PROTOCOL, "b"),)),
    AgreementCase("the-first-that-is-spoken", ((_PROTOCOL, "c, b"), (_PROTOCOL, "a")), ("a", "b"), None,
                  ((_PROTOCOL, "b"),)),
    AgreementCase("case-matters", ((_PROTOCOL, "Chat"),), ("chat",)),
    AgreementCase("deflate", ((_EXTENSIONS, _PMD),), (), _ANY, ((_EXTENSIONS, _PMD),)),
    AgreementCase("unknown-extension", ((_EXTENSIONS, "foo"),), (), _ANY),
    AgreementCase("wishes", ((_EXTENSIONS, f"foo, {_PMD}; client_max_window_bits"),), (),
                  DeflateParameters(True, False, 12, 11),
                  ((_EXTENSIONS, _PMD + _WISHED),)),
    AgreementCase("both", ((_EXTENSIONS, f"{_PMD}"), (_PROTOCOL, "a")), ("a",), _ANY,
                  ((_PROTOCOL, "a"), (_EXTENSIONS, _PMD))),
)  # fmt: skip
