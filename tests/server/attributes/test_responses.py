"""Response setters, asserted on the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import lane_kernel as lane
from lane_kernel.server import Context, Server
from tests.server.attributes.asking import ask, request
from tests.server.raw import raw

PLAIN = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n"


async def in_a_while(ctx: Context) -> str:
    await asyncio.sleep(0)
    return ctx.request.path


CASES: list[tuple[Any, bytes, bytes]] = [
    (lane.response_status_code(418), b" 200 OK", b" 418 I'm a Teapot"),
    (lane.response_status_code(299), b" 200 OK", b" 299 "),
    (lane.response_status_code(lambda ctx: 404), b" 200 OK", b" 404 Not Found"),
    (lane.response_reason_phrase("Fine"), b" OK", b" Fine"),
    (lane.response_reason_phrase(""), b" OK", b" "),
    (lane.response_reason_phrase(in_a_while), b" OK", b" /x"),
    (lane.response_version("HTTP/1.0"), b"HTTP/1.1", b"HTTP/1.0"),
    (lane.response_body("é"), b"Length: 0\r\n\r\n", b"Length: 2\r\n\r\n\xc3\xa9"),
    (lane.response_body(bytearray(b"ab")), b"Length: 0\r\n\r\n", b"Length: 2\r\n\r\nab"),
    (lane.response_body(memoryview(b"ab")), b"Length: 0\r\n\r\n", b"Length: 2\r\n\r\nab"),
    (lane.response_body(lambda ctx: ctx.request.method), b"Length: 0\r\n\r\n", b"Length: 3\r\n\r\nGET"),
    (lane.response_header("X-A", "1"), b"Connection", b"X-A: 1\r\nConnection"),
    (lane.response_header("X-A", in_a_while), b"Connection", b"X-A: /x\r\nConnection"),
    (lane.response_header({"X-A": "1", "X-B": lambda ctx: "2"}), b"Connection", b"X-A: 1\r\nX-B: 2\r\nConnection"),
    (lane.clear_response_headers, b"", b""),
]


@pytest.mark.parametrize(("setter", "old", "new"), CASES, ids=[f"{n}-{c[0].name}" for n, c in enumerate(CASES)])
async def test_what_a_setter_changes(server: Server, setter: Any, old: bytes, new: bytes) -> None:
    @server.route("/x")
    @setter
    async def handle(stream, ctx):
        pass

    assert await ask(server, request()) == PLAIN.replace(old, new, 1)
    server.check()


async def test_headers_are_added_set_and_cleared_in_written_order(server: Server) -> None:
    @server.route("/x")
    @lane.response_header("X-Gone", "1")
    @lane.clear_response_headers
    @lane.response_header("X-A", "1")
    @lane.response_header("x-a", "2")
    @lane.response_header({"X-A": "3"})
    @lane.response_header("X-A", "4")
    async def handle(stream, ctx):
        assert ctx.response.header_list("X-A") == ["3", "4"]
        assert (ctx.response.first_header("X-A"), ctx.response.header("X-A")) == ("3", "4")

    answer = await ask(server, request())
    assert answer == PLAIN.replace(b"Connection", b"X-A: 3\r\nX-A: 4\r\nConnection")


async def test_the_reason_stays_whichever_is_written_first(server: Server) -> None:
    @server.route("/x")
    @lane.response_reason_phrase("Gone Fishing")
    @lane.response_status_code(410)
    async def handle(stream, ctx):
        pass

    assert (await ask(server, request())).startswith(b"HTTP/1.1 410 Gone Fishing\r\n")


async def test_the_body_has_the_last_word(server: Server) -> None:
    @server.route("/x")
    @lane.response_status_code(500)
    async def handle(stream, ctx):
        ctx.response.set_status(204)

    assert (await ask(server, request())).startswith(b"HTTP/1.1 204 No Content\r\n")


async def test_a_status_that_is_none_fails_the_handler(server: Server) -> None:
    @server.route("/odd")
    @lane.response_status_code(lambda ctx: 99_999)
    async def odd(stream, ctx):
        pass

    async with raw(server) as peer:
        assert await peer.status(b"GET /odd HTTP/1.1\r\nHost: localhost\r\n\r\n") == 500
    with pytest.raises(ExceptionGroup):
        server.check()
