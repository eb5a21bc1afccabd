"""Extraction: what the body is handed, and what happens where it is missing or wrong."""

from __future__ import annotations

from typing import Any, cast

import pytest

import lane_kernel as lane
from lane_kernel.net.heads import parse_request_head
from lane_kernel.server import Context, Request, Server
from lane_kernel.server.context import PanicData, RequestErrorData
from tests.server.attributes.asking import ask, body_of, request

ASKED = request(
    "POST /rooms/a%20b?p=1&q=&p=2 HTTP/1.1",
    "X-A: 1",
    "x-a: 2",
    "Cookie: one=1; two=2",
    "Cookie: one=3",
    body=b'{"n": [1]}',
)
HEADERS = (
    ("X-A", "1"),
    ("X-A", "2"),
    ("Cookie", "one=1; two=2"),
    ("Cookie", "one=3"),
    ("Connection", "close"),
    ("Host", "localhost"),
    ("Content-Length", "10"),
)

CASES: list[tuple[Any, dict[str, object]]] = [
    (lane.request_body("value"), {"value": b'{"n": [1]}'}),
    (lane.request_body_json("value"), {"value": {"n": [1]}}),
    (lane.try_get_request_body_json("value"), {"value": {"n": [1]}}),
    (lane.request_path("value"), {"value": "/rooms/a b"}),
    (lane.request_version("a", "b"), {"a": "HTTP/1.1", "b": "HTTP/1.1"}),
    (lane.route_param("room"), {"room": "a b"}),
    (lane.route_param("room", "name"), {"name": "a b"}),
    (lane.route_param("room", other="room"), {"room": "a b", "other": "a b"}),
    (lane.try_get_route_param("room"), {"room": "a b"}),
    (lane.try_get_route_param("nothing"), {"nothing": None}),
    (lane.route_params("value"), {"value": {"room": "a b"}}),
    (lane.request_query("p"), {"p": "2"}),
    (lane.request_query(page="p", empty="q"), {"page": "2", "empty": ""}),
    (lane.try_get_request_query(page="p", size="s"), {"page": "2", "size": None}),
    (lane.request_queries("value"), {"value": {"p": "2", "q": ""}}),
    (lane.request_header("X-A", "value"), {"value": "2"}),
    (lane.request_header(value="x-a"), {"value": "2"}),
    (lane.try_get_request_header("X-B", "value"), {"value": None}),
    (lane.request_headers("value"), {"value": HEADERS}),
    (lane.request_cookie("one"), {"one": "3"}),
    (lane.try_get_request_cookie("three"), {"three": None}),
    (lane.request_cookies("value"), {"value": {"one": "3", "two": "2"}}),
    (lane.attribute("user"), {"user": "ann"}),
    (lane.try_get_attribute("nobody"), {"nobody": None}),
    (lane.attributes("value"), {"value": {"user": "ann"}}),
    (lane.try_get_task_panic_data("value"), {"value": None}),
    (lane.try_get_request_error_data("value"), {"value": None}),
]


async def put_user(stream, ctx):
    ctx.attributes["user"] = "ann"


@pytest.mark.parametrize(("extraction", "wanted"), CASES, ids=[f"{n}-{c[0].name}" for n, c in enumerate(CASES)])
async def test_what_the_body_is_handed(server: Server, extraction: Any, wanted: dict[str, object]) -> None:
    seen: list[dict[str, object]] = []

    @server.route("/rooms/{room}")
    class Rooms(lane.ServerHook):
        @lane.prologue_hooks(put_user)
        @extraction
        async def handle(self, stream, ctx, **extracted):
            seen.append(extracted)
            return lane.Status.CONTINUE

    await ask(server, ASKED)
    assert seen == [wanted]
    server.check()


MISSING: list[tuple[Any, str]] = [
    (lane.request_query("page"), "query's parameter 'page' is missing in this GET request for /x"),
    (lane.request_header("X-A", "value"), "header 'X-A' is missing"),
    (lane.request_cookie("one"), "cookie 'one' is missing"),
    (lane.attribute("user"), "attribute 'user' is missing"),
    (lane.request_body_json("value"), "body of this GET request for /x is no JSON"),
    (lane.task_panic_data("value"), "no hook of this request has raised"),
    (lane.request_error_data("value"), "this request could be read"),
]


@pytest.mark.parametrize(("extraction", "words"), MISSING, ids=[case[0].name for case in MISSING])
async def test_what_is_missing_fails_the_handler(server: Server, extraction: Any, words: str) -> None:
    """As Hyperlane panics; the message says how to be handed None instead."""

    @server.route("/x")
    @extraction
    async def handle(stream, ctx, **extracted):
        raise AssertionError

    answer = await ask(server, request())
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"ExtractionError" in body_of(answer)
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    (error,) = group.value.exceptions
    assert isinstance(error, lane.ExtractionError)
    assert words in str(error)
    optional = f"try_get_{extraction.name}"
    assert f"@lane.{optional}" in str(error)
    assert hasattr(lane, optional)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1] 2", b"[" * 100_000])
async def test_a_body_that_is_no_json_is_none_where_it_is_tried(server: Server, body: bytes) -> None:
    seen: list[object] = []

    @server.route("/x")
    @lane.try_get_request_body_json("value")
    async def handle(stream, ctx, value):
        seen.append(value)

    await ask(server, request("POST /x HTTP/1.1", body=body))
    assert seen == [None]


async def test_what_failed_is_handed_to_the_hooks_that_it_is_for() -> None:
    head = parse_request_head(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    panic = PanicData(KeyError("k"), "KeyError: 'k'", "/x", "")
    failure = RequestErrorData(408, "too late")
    ctx = Context(Request(head), task_panic_data=panic, request_error_data=failure)
    seen: list[object] = []

    @lane.task_panic_data("a")
    @lane.request_error_data("b")
    @lane.try_get_task_panic_data("c")
    @lane.try_get_request_error_data("d")
    async def handle(stream, ctx, a, b, c, d):
        seen.extend([a, b, c, d])

    await cast("Any", handle)(None, ctx)
    assert seen == [panic, failure, panic, failure]


async def test_below_a_loop_each_turn_is_handed_its_own(server: Server) -> None:
    seen: list[tuple[object, ...]] = []

    @server.route("/x")
    @lane.request_path("first")
    @lane.try_get_http_request
    @lane.try_get_request_query("n")
    async def handle(stream, ctx, first, n):
        seen.append((first, n))

    asked = b"GET /x?n=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    await ask(server, asked + request("GET /y HTTP/1.1"))
    assert seen == [("/x", "1"), ("/x", None)]
