"""Requests and responses: what is read of one and built of the other, without sockets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.net.heads import parse_request_head
from lane_kernel.server import Request, Response
from lane_kernel.server.context import UpgradeType, as_bytes
from lane_kernel.wire.handshake import HandshakeError


def make(*headers: str, target: str = "/", body: bytes = b"") -> Request:
    lines = "".join(f"{header}\r\n" for header in headers)
    return Request(parse_request_head(f"GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode()), body)


def test_a_header_has_a_first_a_last_and_all_values() -> None:
    request = make("X-A: 1", "x-a: 2")
    assert (request.first_header("X-A"), request.header("x-A"), request.header_list("X-A")) == ("1", "2", ["1", "2"])
    assert (request.first_header("X-B"), request.header("X-B"), request.header_list("X-B")) == (None, None, [])


def test_a_query_has_a_last_and_all_values() -> None:
    request = make(target="/?p=1&p=2&q=a%20b+c&r")
    assert (request.query("p"), request.query_list("p")) == ("2", ["1", "2"])
    assert (request.query("q"), request.query("r"), request.query("s")) == ("a b c", "", None)
    assert request.query_list("s") == []


@pytest.mark.parametrize(
    ("headers", "cookies"),
    [
        ([], {}),
        (["Cookie: a=1"], {"a": "1"}),
        (["Cookie: a=1; b=2", "Cookie: a=3"], {"a": "3", "b": "2"}),
        (["Cookie: a=x=y; b="], {"a": "x=y", "b": ""}),
        (['Cookie: a="quoted"'], {"a": "quoted"}),
    ],
)
def test_cookies(headers: list[str], cookies: dict[str, str]) -> None:
    """RFC 6265 §4.2."""
    request = make(*headers)
    assert request.cookies == cookies
    assert request.cookie("a") == cookies.get("a")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.from_regex(r"[a-zA-Z0-9!#$%&'()*+./:<=>?@-]*", fullmatch=True)
    )
)
def test_cookies_as_they_were_sent(cookies: dict[str, str]) -> None:
    """RFC 6265 §4.2.1: cookie-pairs, joined by a semicolon and a space."""
    line = "; ".join(f"{name}={value}" for name, value in cookies.items())
    assert make(f"Cookie: {line}" if line else "X: 1").cookies == cookies


@pytest.mark.parametrize(
    ("upgrade", "kind"),
    [
        ([], UpgradeType.UNKNOWN),
        (["Upgrade: IRC/6.9"], UpgradeType.UNKNOWN),
        (["Upgrade: WebSocket"], UpgradeType.WEBSOCKET),
        (["Upgrade: h2c"], UpgradeType.H2C),
        (["Upgrade: TLS/1.0, HTTP/1.1"], UpgradeType.TLS),
        (["Upgrade: h2c", "Upgrade: websocket"], UpgradeType.WEBSOCKET),
    ],
)
def test_upgrade_types(upgrade: list[str], kind: UpgradeType) -> None:
    """RFC 9110 §7.8."""
    request = make(*upgrade)
    assert request.upgrade_type is kind
    assert request.is_ws_upgrade_type is (kind is UpgradeType.WEBSOCKET)


@pytest.mark.parametrize(
    ("host", "name"),
    [("LocalHost:80", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]:80", "::1"), ("", ""), ("[::", "")],
)
def test_host_names(host: str, name: str) -> None:
    head = parse_request_head(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (Request(head).host, Request(head).host_name) == (host, name)


def test_referer_and_json() -> None:
    request = make("Referer: http://localhost/", body=b'{"a": [1, "\xc3\xa9"]}')
    assert request.referer == "http://localhost/"
    assert make().referer is None
    assert request.body_json == {"a": [1, "é"]}
    with pytest.raises(ValueError, match="Expecting value"):
        _ = make().body_json


def test_response_headers_are_added_set_removed_and_cleared() -> None:
    response = Response().add_header("X", "1").add_header("x", "2").add_header("Y", "3")
    assert (response.first_header("X"), response.header("X"), response.header_list("X")) == ("1", "2", ["1", "2"])
    assert response.remove_header("X").headers == (("Y", "3"),)
    assert response.clear_headers().headers == ()
    assert response.first_header("X") is None
    assert b"Content-Length: 0\r\n" in response.build()


@pytest.mark.parametrize(
    ("response", "start"),
    [
        (Response().set_status(404), b"HTTP/1.1 404 Not Found\r\n"),
        (Response().set_status(404).set_reason("Nowhere"), b"HTTP/1.1 404 Nowhere\r\n"),
        (Response().set_status(404, "Nowhere").set_reason(None), b"HTTP/1.1 404 Not Found\r\n"),
        (Response().set_status(299).set_version("HTTP/1.0"), b"HTTP/1.0 299 \r\n"),
    ],
)
def test_status_lines(response: Response, start: bytes) -> None:
    assert response.build().startswith(start)


@pytest.mark.parametrize("spoil", [lambda r: r.set_reason("a\r\nX: 1"), lambda r: r.set_version("HTTP/1.1\n")])
def test_a_status_line_cannot_smuggle_in_a_header(spoil: Any) -> None:
    with pytest.raises(HandshakeError, match="line break"):
        spoil(Response()).build()


@pytest.mark.parametrize("data", ["é", b"\xc3\xa9", bytearray(b"\xc3\xa9"), memoryview(b"\xc3\xa9")])
def test_a_body_is_text_or_bytes(data: Any) -> None:
    assert as_bytes(data) == b"\xc3\xa9"
    assert Response().set_body(data).build().endswith(b"Content-Length: 2\r\n\r\n\xc3\xa9")


@pytest.mark.parametrize("data", [5, None, ["a"], Response()])
def test_nothing_else_is_a_body(data: Any) -> None:
    """In particular no number, of which `bytes` would make that many zeros."""
    with pytest.raises(TypeError, match=f"str or bytes, not {type(data).__name__}"):
        Response().set_body(data)
