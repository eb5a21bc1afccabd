"""What runs after the body: what is sent, in which order, and what a connection that is gone does."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest

import lane_kernel as lane
from lane_kernel.server import Server
from tests.server.attributes.asking import ask, request

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\n\r\n%s"


@pytest.mark.parametrize("attribute", [lane.send, lane.send(), lane.try_send, lane.try_send()])
async def test_without_data_the_built_response_is_sent_once(server: Server, attribute: Any) -> None:
    @server.route("/x")
    @attribute
    @lane.response_body("a")
    async def handle(stream, ctx):
        assert not stream.has_sent
        ctx.response.set_body("b")

    assert await ask(server, request()) == OK % b"b"


@pytest.mark.parametrize("data", ["raw", b"raw", bytearray(b"raw"), memoryview(b"raw"), lambda ctx: "raw"])
@pytest.mark.parametrize("name", ["send", "try_send"])
async def test_with_data_it_is_sent_as_it_is(server: Server, name: str, data: Any) -> None:
    @server.route("/x")
    @getattr(lane, name)(data)
    async def handle(stream, ctx):
        pass

    assert await ask(server, request()) == b"raw"


async def test_data_may_come_from_a_coroutine_function(server: Server) -> None:
    async def path(ctx):
        return ctx.request.path

    @server.route("/x")
    @lane.send(path)
    async def handle(stream, ctx):
        pass

    assert await ask(server, request()) == b"/x"


@pytest.mark.parametrize(
    ("make", "sent"),
    [(attrgetter("request.path"), b"/x"), (lambda *given: "any", b"any"), (lambda ctx, n=1: str(n), b"1")],
)
async def test_whatever_takes_ctx_alone_is_data(server: Server, make: Any, sent: bytes) -> None:
    @server.route("/x")
    @lane.send(make)
    async def handle(stream, ctx):
        pass

    assert await ask(server, request()) == sent


async def test_a_coroutine_function_that_takes_anything_is_a_handler(server: Server) -> None:
    @server.route("/x")
    @lane.send
    async def handle(*arguments):
        assert len(arguments) == 2

    assert await ask(server, request()) == OK.replace(b"1\r\n\r\n%s", b"0\r\n\r\n")


async def test_they_run_after_the_body_top_first(server: Server) -> None:
    @server.route("/x")
    @lane.send("1")
    @lane.try_flush
    @lane.try_send("2")
    @lane.flush()
    @lane.closed
    @lane.send("3")
    async def handle(stream, ctx):
        await stream.send("0")
        assert not stream.is_set_closed

    assert await ask(server, b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n") == b"0123"


@pytest.mark.parametrize(
    ("attribute", "wanted"),
    [(lane.send, "raised"), (lane.flush, "raised"), (lane.try_send, "below"), (lane.try_flush, "below")],
)
async def test_a_connection_that_is_gone(server: Server, attribute: Any, wanted: str) -> None:
    """`try_` passes it over, and what stands below runs; the plain form raises."""
    done: list[str] = []

    async def below(stream, ctx):
        done.append("below")

    @attribute
    @lane.epilogue_hooks(below)
    async def handle(stream, ctx):
        stream.close()

    @server.route("/x")
    async def outer(stream, ctx):
        try:
            await handle(stream, ctx)
        except lane.ConnectionLostError:
            done.append("raised")

    await ask(server, request())
    assert done == [wanted]
