"""Attributes: written order, what they fill, and wrong use."""

from __future__ import annotations

import pytest

from lane_kernel.client import connect
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.server import Server, Status, is_ws_upgrade_type, try_get_websocket_request
from lane_kernel.server.attributes import Attribute, AttributeUseError, attach, attributes_of
from lane_kernel.server.stream import NotUpgradedError
from lane_kernel.wire.frames import Opcode


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


def test_a_missing_parameter_fails_where_the_handler_is_defined() -> None:
    with pytest.raises(AttributeUseError, match="add `body`"):

        @try_get_websocket_request("body")
        async def handle(stream, ctx):
            return Status.CONTINUE


def test_a_plain_function_fails_where_it_is_defined() -> None:
    with pytest.raises(AttributeUseError, match="no `async def`"):

        @is_ws_upgrade_type
        def handle(stream, ctx):
            return Status.CONTINUE


def test_the_variable_has_to_be_named() -> None:
    async def handle(stream, ctx, body):
        return Status.CONTINUE

    with pytest.raises(AttributeUseError, match="the name of a parameter"):
        try_get_websocket_request(handle)  # type: ignore[arg-type]


async def test_above_a_loop_runs_once_and_below_it_per_message(server: Server) -> None:
    order: list[str] = []

    def mark(name: str):
        async def before(call):
            order.append(f"before {name}")
            return True

        async def after(call):
            order.append(f"after {name}")

        def decorate(handle):
            return attach(Attribute(name, before=before), attach(Attribute(name, after=after), handle))

        return decorate

    @server.route("/order")
    @mark("1")
    @mark("2")
    @try_get_websocket_request("body")
    @mark("3")
    @mark("4")
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


async def test_reject_ends_the_loop(server: Server) -> None:
    @server.route("/once")
    @try_get_websocket_request("body")
    async def handle(stream, ctx, body):
        return Status.REJECT

    async with connect(server.url("/once")) as ws:
        await ws.send("x")
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.receive()
        assert caught.value.code == 1000


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


async def test_messages_of_a_connection_that_is_no_websocket(server: Server) -> None:
    import httpx

    @server.route("/plain")
    async def handle(stream, ctx):
        await stream.try_get_websocket_request()

    async with httpx.AsyncClient() as client:
        assert (await client.get(server.url("/plain"))).status_code == 500
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    assert isinstance(group.value.exceptions[0], NotUpgradedError)
