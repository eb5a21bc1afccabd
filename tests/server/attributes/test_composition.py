"""Hooks and lists of attributes, before the body and after it."""

from __future__ import annotations

from typing import Any

import pytest

import lane_kernel as lane
from lane_kernel.client import connect
from lane_kernel.server import Server, ServerHook, Status
from lane_kernel.server.attributes import attributes_of
from tests.server.attributes.asking import ask, body_of, request


class Trace:
    """Hooks that write down that they ran."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def hook(self, name: str, answer: Status | None = None) -> Any:
        async def hook(stream, ctx):
            self.order.append(name)
            return answer

        return hook

    def hook_class(self, name: str) -> type[ServerHook]:
        order = self.order

        class Hook(ServerHook):
            def __init__(self, stream, ctx) -> None:
                order.append(f"new {name}")

            async def handle(self, stream, ctx):
                order.append(name)
                return Status.CONTINUE

        return Hook


async def test_hooks_run_in_the_order_they_are_named(server: Server) -> None:
    trace = Trace()

    @server.route("/x")
    @lane.prologue_hooks(trace.hook("a", Status.CONTINUE), trace.hook_class("b"))
    @lane.epilogue_hooks(trace.hook_class("d"), trace.hook("e"))
    @lane.prologue_hooks(trace.hook("c"))
    async def handle(stream, ctx):
        trace.order.append("body")

    await ask(server, request())
    assert trace.order == ["a", "new b", "b", "c", "body", "new d", "d", "e"]


async def test_a_hook_that_rejects_ends_what_it_stands_in() -> None:
    trace = Trace()

    @lane.prologue_hooks(trace.hook("a", Status.REJECT), trace.hook("never"))
    @lane.send
    async def early(stream, ctx):
        raise AssertionError

    @lane.epilogue_hooks(trace.hook("b", Status.REJECT), trace.hook("never"))
    async def late(stream, ctx):
        trace.order.append("body")

    handlers: list[Any] = [early, late]
    assert [await handle(None, None) for handle in handlers] == [Status.REJECT, Status.REJECT]
    assert trace.order == ["a", "body", "b"]


async def test_a_prologue_below_a_loop_that_rejects_ends_the_loop(server: Server) -> None:
    trace = Trace()

    @server.route("/ws")
    @lane.epilogue_hooks(trace.hook("after"))
    @lane.try_get_websocket_request("body")
    @lane.prologue_hooks(trace.hook("turn", Status.REJECT))
    async def handle(stream, ctx, body):
        raise AssertionError

    async with connect(server.url("/ws")) as ws:
        await ws.send("x")
        await ws.send("y")
        with pytest.raises(lane.ConnectionClosedError):
            await ws.receive()
    assert trace.order == ["turn", "after"]


async def test_macros_before_the_body_run_in_the_order_of_the_list(server: Server) -> None:
    """Sending, too: what is listed there runs there."""

    @server.route("/x")
    @lane.prologue_macros(
        lane.is_get_method,
        lane.response_body("first"),
        lane.send,
        lane.response_body("second"),
        lane.request_path("path"),
    )
    async def handle(stream, ctx, path):
        await stream.send(f" {path} {ctx.response.body.decode()}")

    assert body_of(await ask(server, request())) == b"first /x second"
    assert (await ask(server, request("POST /x HTTP/1.1"))).endswith(b"Content-Length: 0\r\n\r\n")
    names = [attribute.name for attribute in attributes_of(handle)]
    assert names == ["is_get_method", "response_body", "send", "response_body", "request_path"]


async def test_macros_after_the_body_run_in_the_order_of_the_list(server: Server) -> None:
    @server.route("/x")
    @lane.epilogue_macros(
        lane.response_status_code(201),
        lane.response_header({"X-A": "1"}),
        lane.try_send("before "),
        lane.is_get_method,
        lane.send(),
        lane.flush,
        lane.closed,
    )
    @lane.try_send("after")
    async def handle(stream, ctx):
        assert ctx.response.status == 200

    answer = await ask(server, request())
    assert answer.startswith(b"before HTTP/1.1 201 Created\r\nX-A: 1\r\n")
    assert answer.endswith(b"after")
    # A guard that is not met is the last that runs.
    assert await ask(server, request("POST /x HTTP/1.1")) == b"before "


async def test_a_loop_in_a_list_wraps_what_is_listed_after_it(server: Server) -> None:
    trace = Trace()

    @server.route("/ws")
    @lane.prologue_macros(
        lane.is_ws_upgrade_type,
        lane.prologue_hooks(trace.hook("once")),
        lane.try_get_websocket_request("body"),
        lane.prologue_hooks(trace.hook("turn")),
    )
    @lane.send(lambda ctx: lane.WebSocketFrame.create_frame_list(ctx.request.body)[0])
    async def handle(stream, ctx, body):
        trace.order.append(body.decode())

    async with connect(server.url("/ws")) as ws:
        for message in "ab":
            await ws.send(message)
            assert await ws.receive() == message
    assert trace.order == ["once", "turn", "a", "turn", "b"]


async def test_lists_stand_in_lists(server: Server) -> None:
    inner = lane.prologue_macros(lane.response_header("X-A", "1"), lane.response_header("X-A", "2"))

    @server.route("/x")
    @lane.prologue_macros(inner, lane.response_header("X-A", "3"))
    async def handle(stream, ctx):
        assert ctx.response.header_list("X-A") == ["1", "2", "3"]

    assert (await ask(server, request())).startswith(b"HTTP/1.1 200 ")
