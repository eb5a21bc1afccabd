"""Routes, responses, requests and frame lists, without sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.net.heads import parse_request_head
from lane_kernel.server import Request, Response, RouteError, RouteKind, Server, WebSocketFrame
from lane_kernel.server.context import CONTENT_TYPE, TEXT_EVENT_STREAM, ResponseLineError
from lane_kernel.server.routes import Routes
from lane_kernel.server.stream import MAX_FRAME, WebSocketRequest
from lane_kernel.timeline import dissect
from lane_kernel.wire.frames import Opcode
from lane_kernel.wire.http1 import parse_head


async def nothing(stream, ctx):
    raise NotImplementedError


def make(*patterns: str) -> Routes:
    routes = Routes()
    for pattern in patterns:
        routes.put(pattern, RouteKind.HTTP, nothing, None)
    return routes


_PATTERNS = (
    "/any/{path:.*}",
    "/item/{id:[0-9]+}",
    "/item/{id:[0-9]{1,3}}/tags",
    "/item/{id}",
    "/a/{x}",
    "/a/static",
    "/a",
    "/w/{x:[a-z/]+}/end",
)


@pytest.mark.parametrize(
    ("path", "pattern", "parameters"),
    [
        ("/a", "/a", {}),
        ("/a/b", "/a/{x}", {"x": "b"}),
        ("/a/static", "/a/static", {}),
        ("/a/b%2Fc", "/a/{x}", {"x": "b/c"}),
        ("/%61", "/a", {}),
        ("/item/42", "/item/{id}", {"id": "42"}),
        ("/item/42/tags", "/item/{id:[0-9]{1,3}}/tags", {"id": "42"}),
        ("/any/a/b%20c", "/any/{path:.*}", {"path": "a/b c"}),
        ("/any/", "/any/{path:.*}", {"path": ""}),
        ("/w/a%2Fb/end", "/w/{x:[a-z/]+}/end", {"x": "a/b"}),
    ],
)
def test_static_routes_come_first_and_expressions_last(path: str, pattern: str, parameters: dict[str, str]) -> None:
    found = make(*_PATTERNS).find(path)
    assert found is not None
    assert (found[0].pattern, found[1]) == (pattern, parameters)


@pytest.mark.parametrize("path", ["/", "/b", "/a/", "/a/b/c", "/item/x/tags", "/item/1234/tags", "/w/a/b/end", "/any"])
def test_other_paths_match_nothing(path: str) -> None:
    assert make(*_PATTERNS).find(path) is None


@pytest.mark.parametrize(
    "pattern", ["", "echo", "/{}", "/{1x}", "/{a", "/x{a}", "/{a}/{a}", "/{a:}", "/{a:(}", "/{:x}"]
)
def test_a_wrong_pattern_fails_where_it_is_written(pattern: str) -> None:
    server = Server("patterns")
    for decorate in (server.route, server.websocket, server.events):
        with pytest.raises(RouteError):
            decorate(pattern)


def test_a_handler_that_cannot_take_its_parameters_fails_where_it_is_written() -> None:
    server = Server("parameters")
    with pytest.raises(TypeError, match="room"):

        @server.websocket("/chat/{room}")
        async def chat(ws, name):
            pass

    with pytest.raises(TypeError, match="async def"):

        @server.events("/clock")
        def clock(events):
            pass

    with pytest.raises(TypeError, match="async def handle"):

        @server.route("/hook")
        class Hook:
            pass

    assert not server.routes


def test_routing_again_replaces() -> None:
    routes = make("/a")
    first = routes.get("/a")
    assert routes.put("/a", RouteKind.EVENTS, nothing, None) is first
    assert len(list(routes)) == 1


def test_removing_what_is_not_there_names_what_is() -> None:
    with pytest.raises(RouteError, match="/a"):
        make("/a").remove("/b")


def test_a_response_has_a_length_a_type_and_keep_alive() -> None:
    head = parse_head(Response().set_body("é").build()[:-2])
    assert (head.status, head.reason) == (200, "OK")
    assert head.first("content-length") == "2"
    assert head.first("connection") == "keep-alive"
    assert head.first("content-type") == "text/plain; charset=utf-8"


def test_an_event_stream_has_no_length() -> None:
    built = Response().set_header(CONTENT_TYPE, TEXT_EVENT_STREAM).build()
    assert b"content-length" not in built.lower()


def test_a_header_cannot_smuggle_in_another() -> None:
    with pytest.raises(ResponseLineError, match="line break"):
        Response().set_header("X", "1\r\nSet-Cookie: a=b")


def test_set_replaces_and_add_adds() -> None:
    response = Response().add_header("X", "1").add_header("x", "2").set_header("X", "3").add_header("X", "4")
    assert response.headers == (("X", "3"), ("X", "4"))


@pytest.mark.parametrize(
    ("version", "connection", "wanted"),
    [
        ("HTTP/1.1", "", True),
        ("HTTP/1.1", "Connection: close\r\n", False),
        ("HTTP/1.1", "Connection: Upgrade, close\r\n", False),
        ("HTTP/1.0", "", False),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", True),
    ],
)
def test_keep_alive(version: str, connection: str, wanted: bool) -> None:
    """RFC 9112 §9.3."""
    head = parse_request_head(f"GET /a%20b?x=1&y= {version}\r\nHost: h\r\n{connection}\r\n".encode())
    request = Request(head)
    assert request.is_enable_keep_alive is wanted
    assert (request.path, request.queries) == ("/a b", {"x": "1", "y": ""})


@given(st.binary(max_size=200) | st.text(max_size=100))
def test_a_frame_list_says_what_was_given(body: bytes | str) -> None:
    data = body if isinstance(body, bytes) else body.encode()
    (frame,) = WebSocketFrame.create_frame_list(body)
    (seen,) = dissect(frame)
    assert seen.payload == data
    assert not seen.findings
    assert seen.header.masking_key is None


def test_a_received_message_keeps_its_opcode() -> None:
    (frame,) = WebSocketFrame.create_frame_list(WebSocketRequest(b"abc"))
    assert frame[0] & 0xF == Opcode.BINARY


@pytest.mark.parametrize(
    "text", ["x" * MAX_FRAME, "x" * (MAX_FRAME + 1), "é" * MAX_FRAME, "€" * 100_000, "😀" * 50_000]
)
def test_long_text_is_split_between_characters(text: str) -> None:
    """RFC 6455 §5.4."""
    frames = [dissect(frame)[0] for frame in WebSocketFrame.create_frame_list(text)]
    assert b"".join(frame.payload for frame in frames).decode() == text
    for frame in frames:
        assert frame.payload.decode()
        assert frame.header.length <= MAX_FRAME
    assert [frame.header.fin for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert [frame.header.opcode for frame in frames] == [1] + [0] * (len(frames) - 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", 5), (5, "x"), ("X Y", "x"), ("X", "a\r\nSet-Cookie: b"), ("X", "☃"), ("X", "a\0"), ("", "x")],
)
def test_what_is_no_header_line_is_refused_where_it_is_set(name, value) -> None:
    for put in (Response().set_header, Response().add_header):
        with pytest.raises(ResponseLineError, match="header"):
            put(name, value)


@pytest.mark.parametrize("status", [99, 1000, "200", 200.0, True, None])
def test_what_is_no_status_is_refused_where_it_is_set(status) -> None:
    with pytest.raises(ResponseLineError, match="100 to 999"):
        Response().set_status(status)
