"""The order in which attributes run, and loops."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

import lane_kernel as lane
from lane_kernel.client import connect
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.server import Server, Status, is_ws_upgrade_type, try_get_websocket_request
from lane_kernel.server.attributes import Attribute, Decorator, attributes_of
from lane_kernel.server.attributes.chain import Call, Place
from lane_kernel.server.stream import NotUpgradedError
from lane_kernel.wire.frames import Opcode
from tests.server.raw import HANDSHAKE, raw

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


def mark(order: list[str], name: str) -> Callable[[Any], Any]:
    """A decorator of two attributes, which write down when they run."""

    def step(when: str) -> Callable[[Call], bool]:
        def run(call: Call) -> bool:
            order.append(f"{when} {name}")
            return True

        return run

    return Decorator(
        Attribute(name, Place.BEFORE, step("before")),
        Attribute(name, Place.AFTER, step("after")),
    )


def test_they_stand_in_written_order() -> None:
    @is_ws_upgrade_type
    @try_get_websocket_request("body")
    async def handle(stream, ctx, body):
        return Status.CONTINUE

    assert [attribute.name for attribute in attributes_of(handle)] == [
        "is_ws_upgrade_type",
        "try_get_websocket_request",
    ]
    assert handle.__name__ == "handle"


async def test_above_a_loop_runs_once_and_below_it_per_message(server: Server) -> None:
    order: list[str] = []

    @server.route("/order")
    @mark(order, "1")
    @mark(order, "2")
    @try_get_websocket_request("body")
    @mark(order, "3")
    @mark(order, "4")
    async def handle(stream, ctx, body):
        order.append(f"body {body.decode()}")
        await stream.send_list([b"\x81\x00"])
        return Status.CONTINUE

    async with connect(server.url("/order")) as ws:
        for message in "ab":
            await ws.send(message)
            await ws.receive()
    inner = ["before 3", "before 4", "body {}", "after 3", "after 4"]
    assert order == [
        "before 1",
        "before 2",
        *[step.format("a") for step in inner],
        *[step.format("b") for step in inner],
        "after 1",
        "after 2",
    ]


async def test_a_decorator_of_ones_own_stays_between_two_attributes(server: Server) -> None:
    order: list[str] = []

    def own(handle):
        @functools.wraps(handle)
        async def wrapper(*arguments, **extracted):
            order.append("own before")
            answer = await handle(*arguments, **extracted)
            order.append("own after")
            return answer

        return wrapper

    @server.route("/own")
    @mark(order, "1")
    @lane.request_path("path")
    @own
    @mark(order, "2")
    @lane.request_version("version")
    async def handle(stream, ctx, path, version):
        order.append(f"body {path} {version}")

    async with raw(server) as peer:
        assert await peer.status(GET % b"/own") == 200
    assert order == [
        "before 1",
        "own before",
        "before 2",
        "body /own HTTP/1.1",
        "after 2",
        "own after",
        "after 1",
    ]
    names = [attribute.name for attribute in attributes_of(handle) if attribute.place is Place.BEFORE]
    assert names == ["1", "request_path", "2", "request_version"]


async def test_a_guard_in_a_loop_passes_over_that_turn(server: Server) -> None:
    seen: list[bytes] = []

    @server.route("/odd")
    @try_get_websocket_request("body")
    @lane.filter(lambda ctx: ctx.request.body != b"no")
    @lane.send(b"\x81\x02ok")
    async def handle(stream, ctx, body):
        seen.append(body)

    async with connect(server.url("/odd")) as ws:
        for message in ("a", "no", "b"):
            await ws.send(message)
        assert [await ws.receive(), await ws.receive()] == ["ok", "ok"]
    assert seen == [b"a", b"b"]


async def test_reject_ends_the_loop_and_is_the_answer(server: Server) -> None:
    order: list[Any] = []

    @mark(order, "above")
    @try_get_websocket_request("body")
    async def handle(stream, ctx, body):
        order.append("body")
        return Status.REJECT

    @server.route("/once")
    @is_ws_upgrade_type
    async def outer(stream, ctx):
        order.append(await handle(stream, ctx))

    async with connect(server.url("/once")) as ws:
        await ws.send("x")
        await ws.send("y")
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.receive()
        assert caught.value.code == 1000
    assert order == ["before above", "body", "after above", Status.REJECT]


async def test_the_message_knows_its_opcode(server: Server) -> None:
    seen: list[tuple[bytes, Opcode]] = []

    @server.route("/kinds")
    @try_get_websocket_request("body")
    async def handle(stream, ctx, body):
        seen.append((body, body.opcode))
        assert ctx.request.body == body
        await stream.send_list([b"\x81\x00"])
        return Status.CONTINUE

    async with connect(server.url("/kinds")) as ws:
        for message in ("text", b"data"):
            await ws.send(message)
            await ws.receive()
    assert seen == [(b"text", Opcode.TEXT), (b"data", Opcode.BINARY)]


@pytest.mark.parametrize("loop", [try_get_websocket_request, try_get_websocket_request()], ids=["bare", "called"])
async def test_a_loop_need_not_fill_a_parameter(server: Server, loop: Any) -> None:
    @server.route("/bare")
    @loop
    async def handle(stream, ctx):
        await stream.send_list(lane.WebSocketFrame.create_frame_list(ctx.request.body))

    async with connect(server.url("/bare")) as ws:
        await ws.send("x")
        assert await ws.receive() == "x"


async def test_a_websocket_loop_ends_when_the_stream_is_set_closed(server: Server) -> None:
    @server.route("/one")
    @try_get_websocket_request("body")
    @lane.closed
    @lane.send(lambda ctx: lane.WebSocketFrame.create_frame_list(ctx.request.body)[0])
    async def handle(stream, ctx, body):
        pass

    async with connect(server.url("/one")) as ws:
        await ws.send("first")
        await ws.send("second")
        assert await ws.receive() == "first"
        with pytest.raises(ConnectionClosedError):
            await ws.receive()


async def test_messages_of_a_connection_that_is_no_websocket(server: Server) -> None:
    @server.route("/plain")
    async def handle(stream, ctx):
        await stream.try_get_websocket_request()

    async with raw(server) as peer:
        assert await peer.status(GET % b"/plain") == 500
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    assert isinstance(group.value.exceptions[0], NotUpgradedError)


async def test_a_loop_over_requests_begins_with_the_one_that_came(server: Server) -> None:
    """Each request has a response of its own, which is sent for it where the body sends none."""
    seen: list[str] = []

    @server.route("/loop")
    @lane.try_get_http_request("request")
    @lane.response_header("X-Turn", lambda ctx: ctx.request.path)
    async def handle(stream, ctx, request):
        assert ctx.request is request
        seen.append(request.path)
        ctx.response.set_body(request.body)

    post = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n%s"
    last = b"GET /c HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with raw(server) as peer:
        await peer.send(post % (b"/loop", b"1") + post % (b"/b", b"2") + last)
        answers = await peer.rest()
    assert seen == ["/loop", "/b", "/c"]
    assert answers == b"".join(
        b"HTTP/1.1 200 OK\r\nX-Turn: %s\r\nConnection: %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (path, connection, len(body), body)
        for path, connection, body in [
            (b"/loop", b"keep-alive", b"1"),
            (b"/b", b"keep-alive", b"2"),
            (b"/c", b"close", b""),
        ]
    )
    assert server.log.collect() == []


async def test_a_request_in_a_loop_that_cannot_be_read_is_answered_as_any_other(server: Server) -> None:
    @server.route("/loop")
    @lane.try_get_http_request
    async def handle(stream, ctx):
        pass

    async with raw(server) as peer:
        assert await peer.status(GET % b"/loop") == 200
        await peer.send(b"nonsense\r\n\r\n")
        assert (await peer.rest()).startswith(b"HTTP/1.1 400 ")
    server.check()


async def test_closed_ends_a_loop_over_requests(server: Server) -> None:
    @server.route("/loop")
    @lane.try_get_http_request
    @lane.send
    @lane.closed
    async def handle(stream, ctx):
        pass

    async with raw(server) as peer:
        await peer.send(GET % b"/loop" * 2)
        assert (await peer.rest()).count(b"HTTP/1.1 200") == 1


async def test_a_socket_that_asks_for_no_upgrade_is_told_so(server: Server) -> None:
    @server.route("/ws")
    @is_ws_upgrade_type
    @try_get_websocket_request("body")
    async def handle(stream, ctx, body):
        pass

    async with raw(server) as peer:
        assert await peer.status(GET % b"/ws") == 426
    async with raw(server) as peer:
        assert await peer.status(HANDSHAKE % b"/ws") == 101
