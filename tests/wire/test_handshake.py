"""The opening handshake, both sides. RFC 6455 §4."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.wire.handshake import (
    HandshakeError,
    accept_key,
    build_head,
    check_request,
    check_response,
    is_upgrade,
    make_key,
    upgrade_request,
    upgrade_response,
)
from lane_kernel.wire.http1 import parse_head

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = (
    ("Host", "example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)
ANSWER = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT))


def but(headers: tuple[tuple[str, str], ...], name: str, *values: str) -> tuple[tuple[str, str], ...]:
    """Headers with other values for a name, or none."""
    kept = tuple((key, value) for key, value in headers if key != name)
    return (*kept, *((name, value) for value in values))


def test_accept_key():
    """RFC 6455 §1.3, the example."""
    assert accept_key(KEY) == ACCEPT
    assert accept_key(f" {KEY}\t") == ACCEPT


def test_make_key():
    """RFC 6455 §4.1: 16 random bytes as base64, other ones each time."""
    keys = {make_key() for _ in range(50)}
    assert len(keys) == 50
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}


@pytest.mark.parametrize(
    "headers",
    [
        GOOD,
        but(GOOD, "Upgrade", "WebSocket"),
        but(GOOD, "Upgrade", "h2c, websocket"),
        but(GOOD, "Connection", "keep-alive, Upgrade"),
        but(GOOD, "Connection", "keep-alive", "upgrade"),
        tuple((name.upper(), value) for name, value in GOOD),
        (*GOOD, ("Origin", "http://example.com"), ("Sec-WebSocket-Extensions", "permessage-deflate")),
    ],
)
def test_a_good_request(headers):
    """RFC 6455 §4.2.1: names and tokens in any case, among others."""
    assert check_request("GET", "HTTP/1.1", headers) == ACCEPT


@pytest.mark.parametrize(
    ("method", "version", "headers", "status", "text"),
    [
        ("GET", "HTTP/1.1", but(GOOD, "Upgrade"), 426, "connect with a WebSocket client"),
        ("GET", "HTTP/1.1", but(GOOD, "Upgrade", "websockets"), 426, "Upgrade: websocket"),
        ("GET", "HTTP/1.1", (), 426, "Upgrade: websocket"),
        ("POST", "HTTP/1.1", GOOD, 405, "GET request, not POST"),
        ("GET", "HTTP/1.0", GOOD, 505, "takes HTTP/1.1, not HTTP/1.0"),
        ("GET", "HTTP/1.1", but(GOOD, "Connection"), 400, "lacks Connection: Upgrade"),
        ("GET", "HTTP/1.1", but(GOOD, "Connection", "keep-alive"), 400, "lacks Connection: Upgrade"),
        ("GET", "HTTP/1.1", but(GOOD, "Sec-WebSocket-Version"), 426, "Version is missing"),
        ("GET", "HTTP/1.1", but(GOOD, "Sec-WebSocket-Version", "8"), 426, "is 8: this server speaks version 13"),
        ("GET", "HTTP/1.1", but(GOOD, "Sec-WebSocket-Key"), 400, "Key is missing"),
        ("GET", "HTTP/1.1", but(GOOD, "Sec-WebSocket-Key", ""), 400, "16 random bytes"),
        ("GET", "HTTP/1.1", but(GOOD, "Sec-WebSocket-Key", "short"), 400, "'short'"),
        ("GET", "HTTP/1.1", but(GOOD, "Sec-WebSocket-Key", "eHh4eHh4eHh4eHh4eHh4"), 400, "16 random bytes"),
        ("GET", "HTTP/1.1", but(GOOD, "Sec-WebSocket-Key", "eHh4eHh4eHh4eHh4eHh4eHg="), 400, "16 random bytes"),
        ("GET", "HTTP/1.1", but(GOOD, "Sec-WebSocket-Key", "*" * 22 + "=="), 400, "16 random bytes"),
        ("GET", "HTTP/1.1", but(GOOD, "Sec-WebSocket-Key", "é" * 22 + "=="), 400, "16 random bytes"),
    ],
)  # fmt: skip
def test_a_wrong_request(method: str, version: str, headers, status: int, text: str):
    """RFC 6455 §4.2.1, §4.4; RFC 9110 §15.5.22: each failure with its status and a reason to act on."""
    with pytest.raises(HandshakeError, match=text) as error:
        check_request(method, version, headers)
    assert error.value.status == status


@pytest.mark.parametrize(
    ("headers", "name", "value"),
    [
        (but(GOOD, "Upgrade"), "Upgrade", "websocket"),
        (but(GOOD, "Sec-WebSocket-Version", "8"), "Sec-WebSocket-Version", "13"),
        (but(GOOD, "Sec-WebSocket-Version", "8"), "Upgrade", "websocket"),
    ],
)
def test_what_426_says(headers, name: str, value: str):
    """RFC 9110 §15.5.22: a 426 names the protocol; RFC 6455 §4.4: and the versions that are spoken."""
    with pytest.raises(HandshakeError) as error:
        check_request("GET", "HTTP/1.1", headers)
    assert (name, value) in error.value.headers


def test_405_says_what_is_allowed():
    """RFC 9110 §15.5.6."""
    with pytest.raises(HandshakeError) as error:
        check_request("PUT", "HTTP/1.1", GOOD)
    assert error.value.headers == (("Allow", "GET"),)


def test_a_good_answer():
    """RFC 6455 §4.1."""
    check_response(101, "Switching Protocols", ANSWER, KEY)
    check_response(101, "", but(but(ANSWER, "Upgrade", "WebSocket"), "Connection", "keep-alive, upgrade"), KEY)


@pytest.mark.parametrize(
    ("status", "headers", "text"),
    [
        (200, ANSWER, "answered 200 OK instead of 101"),
        (101, but(ANSWER, "Upgrade"), "lacks Upgrade: websocket"),
        (101, but(ANSWER, "Upgrade", "websocket, h2c"), "lacks Upgrade: websocket"),
        (101, but(ANSWER, "Connection"), "lacks Connection: Upgrade"),
        (101, but(ANSWER, "Sec-WebSocket-Accept"), "Accept is missing: for this key it is s3pPL"),
        (101, but(ANSWER, "Sec-WebSocket-Accept", ACCEPT.lower()), "for this key it is s3pPL"),
        (101, (*ANSWER, ("Sec-WebSocket-Protocol", "chat")), "'chat' in sec-websocket-protocol, which was not offered"),
        (101, (*ANSWER, ("Sec-WebSocket-Extensions", "x")), "'x' in sec-websocket-extensions, which was not offered"),
    ],
)
def test_a_wrong_answer(status: int, headers, text: str):
    """RFC 6455 §4.1, the last list."""
    with pytest.raises(HandshakeError, match=text) as error:
        check_response(status, "OK", headers, KEY)
    assert error.value.status == status


def test_the_two_heads():
    """RFC 6455 §4.1, §4.2.2: what a client asks and a server answers, each accepted by the other's check."""
    request = upgrade_request("example.com:80", "/chat?a=b", KEY, (("Origin", "http://example.com"),))
    assert request == (
        b"GET /chat?a=b HTTP/1.1\r\nHost: example.com:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://example.com\r\n\r\n"
    )
    accept = check_request("GET", "HTTP/1.1", [(line.name, line.value) for line in parse_head(request).headers])
    response = upgrade_response(accept, (("Server", "x"),))
    assert response == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nServer: x\r\n\r\n"
    )
    check_response(101, "", [(line.name, line.value) for line in parse_head(response).headers], KEY)


def test_is_upgrade():
    """RFC 9110 §7.8: a list of protocols, in any case."""
    assert is_upgrade([("upgrade", "a, WebSocket")])
    assert not is_upgrade([("Connection", "websocket"), ("Upgrade", "h2c")])


@pytest.mark.parametrize(
    ("start", "headers", "text"),
    [
        ("GET / HTTP/1.1\r\nX: y", (), "the start line holds a line break"),
        ("GET /\nHTTP/1.1", (), "the start line holds a line break"),
        ("HTTP/1.1 200 \0", (), "the start line holds a line break or NUL"),
        ("GET /€ HTTP/1.1", (), "a character that a head cannot"),
        ("GET / HTTP/1.1", (("A", "b\r\nC: d"),), "header A holds a line break"),
        ("GET / HTTP/1.1", (("A", "b\nC: d"),), "header A holds a line break"),
        ("GET / HTTP/1.1", (("A", "b\rC: d"),), "header A holds a line break"),
        ("GET / HTTP/1.1", (("A", "\0"),), "header A holds a line break or NUL"),
        ("GET / HTTP/1.1", (("A", "€"),), "header A holds a character that a head cannot"),
        ("GET / HTTP/1.1", (("A\r\nB", "c"),), "a header's name is"),
        ("GET / HTTP/1.1", (("A: b", "c"),), "not 'A: b'"),
        ("GET / HTTP/1.1", (("A\n", "c"),), "a header's name is"),
        ("GET / HTTP/1.1", (("", "c"),), "not ''"),
        ("GET / HTTP/1.1", (("é", "c"),), "not 'é'"),
    ],
)
def test_build_head_refuses_injection(start: str, headers, text: str):
    """RFC 9112 §2.1, §11.1: no line, no header and no body may be smuggled in."""
    with pytest.raises(HandshakeError, match=text) as error:
        build_head(start, headers)
    assert error.value.status == 500


@given(st.text(max_size=20), st.lists(st.tuples(st.text(max_size=5), st.text(max_size=20)), max_size=4))
def test_a_head_is_read_as_written(target: str, headers: list[tuple[str, str]]):
    """Whatever is written, is read as just these headers; all else is refused."""
    try:
        data = build_head(f"GET {target} HTTP/1.1", headers)
    except HandshakeError:
        return
    head = parse_head(data)
    assert data.count(b"\n") == len(headers) + 2
    assert [(line.name, line.value) for line in head.headers] == [(name, value.strip(" \t")) for name, value in headers]
