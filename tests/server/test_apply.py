"""Handlers from source text, swapped in on open connections."""

from __future__ import annotations

import asyncio

import pytest

import lane_kernel as lane
from lane_kernel.client import EventSource, connect
from lane_kernel.server import HandlerError, RouteKind, Server, pipeline

ECHO = """async def echo(ws):
    async for message in ws:
        await ws.send({!r} + message)
"""


async def test_the_next_message_goes_to_the_new_handler(server: Server) -> None:
    server.apply("/echo", ECHO.format("old "))
    async with connect(server.url("/echo")) as ws:
        await ws.send("1")
        assert await ws.receive() == "old 1"
        server.apply("/echo", ECHO.format("new "))
        await ws.send("2")
        assert await ws.receive() == "new 2"
        assert len(server.websockets) == 1
    assert server.routes[0].source == ECHO.format("new ")


async def test_no_message_is_lost_that_waits_while_handlers_change(server: Server) -> None:
    server.apply("/echo", ECHO.format(""))
    async with connect(server.url("/echo")) as ws:
        for round_number in range(50):
            for number in range(20):
                await ws.send(f"{round_number}.{number}")
            server.apply("/echo", ECHO.format(""))
        got = [await asyncio.wait_for(ws.receive(), 5) for _ in range(1000)]
    assert got == [f"{round_number}.{number}" for round_number in range(50) for number in range(20)]


async def test_the_hyperlane_form_is_swapped_too(server: Server) -> None:
    text = """
import lane_kernel as lane

@server.route("/hyper")
class Echo(lane.ServerHook):
    @lane.is_ws_upgrade_type
    @lane.try_get_websocket_request("body")
    async def handle(self, stream, ctx, body):
        await stream.send_list(lane.WebSocketFrame.create_frame_list({!r} + body.decode()))
        return lane.Status.CONTINUE
"""
    route = server.apply("/hyper", text.format("a"))
    assert route.kind is RouteKind.WEBSOCKET
    async with connect(server.url("/hyper")) as ws:
        await ws.send("1")
        assert await ws.receive() == "a1"
        server.apply("/hyper", text.format("b"))
        await ws.send("2")
        assert await ws.receive() == "b2"


async def test_an_event_stream_goes_on_with_the_new_handler(server: Server) -> None:
    text = """import asyncio
async def clock(events):
    await events.send({!r})
    await asyncio.sleep(3600)
"""
    server.apply("/clock", text.format("old"))
    async with EventSource(server.url("/clock")) as source:
        assert [event.data for event in await source.take(1, timeout=5)] == ["old"]
        server.apply("/clock", text.format("new"))
        assert [event.data for event in await source.take(1, timeout=5)] == ["new"]
        assert len(server.connections) == 1


async def test_a_handler_of_another_kind_leaves_open_connections_alone(server: Server) -> None:
    server.apply("/x", ECHO.format("old "))
    async with connect(server.url("/x")) as ws:
        await ws.send("1")
        await ws.receive()
        server.apply("/x", "async def x(events):\n    await events.send('now a stream')\n")
        await ws.send("2")
        assert await ws.receive() == "old 2"
        async with EventSource(server.url("/x")) as source:
            assert (await source.take(1, timeout=5))[0].data == "now a stream"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("async def echo(ws)\n    pass\n", 1, "SyntaxError"),
        ("x = 1\ny = x / 0\n", 2, "ZeroDivisionError"),
        ("import asyncio\n\ndef echo(ws):\n    pass\n", None, "async def"),
        ("x = 1\n", None, "no handler"),
        ("\nasync def echo(a, b):\n    pass\n", 2, "does not tell"),
        ("@server.websocket('echo')\nasync def echo(ws):\n    pass\n", 1, "begin with"),
        ("@server.websocket('/e/{room}')\nasync def echo(ws):\n    pass\n", 1, "room"),
        ("", None, "no handler"),
        ("\0", None, "null byte"),
    ],
)
async def test_a_mistake_shows_its_line_and_changes_nothing(server: Server, text: str, line, message: str) -> None:
    server.apply("/echo", ECHO.format("old "))
    async with connect(server.url("/echo")) as ws:
        with pytest.raises(HandlerError) as caught:
            server.apply("/echo", text)
        assert caught.value.line == line
        assert message in str(caught.value)
        assert message.rsplit(maxsplit=1)[-1] in caught.value.traceback
        await ws.send("1")
        assert await ws.receive() == "old 1"
    assert [route.pattern for route in server.routes] == ["/echo"]


async def test_routes_of_a_text_are_added_together_or_not_at_all(server: Server) -> None:
    text = "@server.websocket('/a')\nasync def a(ws): ...\n@server.events('/b')\nasync def b(events): ...\n"
    with pytest.raises(HandlerError):
        server.apply("/a", text + "1 / 0\n")
    assert not server.routes
    server.apply("/a", text)
    assert [(route.pattern, route.kind.value) for route in server.routes] == [("/a", "ws"), ("/b", "sse")]


async def test_handlers_see_the_notebooks_names_as_they_are_now(server: Server) -> None:
    notebook = {"greeting": "hello"}
    server.apply(
        "/greet",
        "def more():\n    return greeting + '!'\n\n"
        "async def greet(ws):\n    async for _ in ws:\n        await ws.send(more())\n",
        notebook,
    )
    async with connect(server.url("/greet")) as ws:
        await ws.send("?")
        assert await ws.receive() == "hello!"
        notebook["greeting"] = "good evening"
        await ws.send("?")
        assert await ws.receive() == "good evening!"
    assert set(notebook) == {"greeting"}


async def test_a_failure_names_the_line_of_the_text(server: Server) -> None:
    server.apply("/bad", "async def bad(ws):\n    x = 1\n    raise ValueError('here')\n")
    async with connect(server.url("/bad")) as ws:
        with pytest.raises(Exception, match="1011"):
            await ws.receive()
    (route,) = server.routes
    assert (route.error, route.error_line) == ("ValueError: here", 3)
    assert server.log.records[-1].line == 3
    assert "raise ValueError('here')" in (server.log.records[-1].traceback or "")
    with pytest.raises(ExceptionGroup):
        server.check()
    server.apply("/bad", "async def good(ws): ...\n")
    assert route.error is None


async def test_a_handler_from_a_cell_has_its_source(server: Server) -> None:
    @server.websocket("/here")
    async def here(ws):
        return "found"

    assert server.routes[0].source == ('@server.websocket("/here")\nasync def here(ws):\n    return "found"\n')


async def test_a_class_sees_the_notebooks_names(server: Server) -> None:
    """A class's body looks names up in another way than a function's."""
    text = """@server.route("/hyper")
class Echo(lane.ServerHook):
    word = greeting

    @lane.is_ws_upgrade_type
    @lane.try_get_websocket_request("body")
    async def handle(self, stream, ctx, body):
        await stream.send_list(lane.WebSocketFrame.create_frame_list(self.word + body.decode() + str(max(1, 2))))
        return lane.Status.CONTINUE
"""
    server.apply("/hyper", text, {"lane": lane, "greeting": "hello ", "max": min})
    async with connect(server.url("/hyper")) as ws:
        await ws.send("you")
        assert await ws.receive() == "hello you1"


async def test_a_text_that_exits_is_a_mistake(server: Server) -> None:
    with pytest.raises(HandlerError, match="line 2: SystemExit: 7"):
        server.apply("/x", "import sys\nsys.exit(7)\nasync def x(ws): ...\n")


async def test_another_kind_right_after_the_same_kind(server: Server) -> None:
    """Connections go on with the newest handler of their own kind."""
    server.apply("/x", ECHO.format("old "))
    async with connect(server.url("/x")) as ws:
        await ws.send("1")
        await ws.receive()
        server.apply("/x", ECHO.format("new "))
        server.apply("/x", "async def x(events):\n    await events.send('a stream')\n")
        await ws.send("2")
        assert await ws.receive() == "new 2"


GROUP = """import asyncio
async def x(ws):
    async def read():
        async for message in ws:
            await ws.send({!r} + message)
    async def wait():
        await asyncio.Event().wait()
    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(wait())
"""


async def test_a_handler_that_receives_in_a_task_of_its_own_is_replaced_whole(server: Server) -> None:
    server.apply("/x", GROUP.format("old "))
    async with connect(server.url("/x")) as ws:
        for text in ("new ", "newer "):
            await ws.send("1")
            await ws.receive()
            server.apply("/x", GROUP.format(text))
            await ws.send("2")
            assert await asyncio.wait_for(ws.receive(), 5) == f"{text}2"


async def test_a_handler_that_only_sends_is_replaced_after_a_while(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "REPLACE_PATIENCE", 0.1)
    text = "import asyncio\nasync def x(ws):\n    await ws.send({!r})\n    await asyncio.Event().wait()\n"
    server.apply("/x", text.format("old"))
    async with connect(server.url("/x")) as ws:
        assert await ws.receive() == "old"
        server.apply("/x", text.format("new"))
        assert await asyncio.wait_for(ws.receive(), 5) == "new"
    server.check()


async def test_a_message_in_hand_is_finished_by_the_handler_that_took_it(server: Server) -> None:
    taken, go = asyncio.Event(), asyncio.Event()
    text = """async def x(ws):
    async for message in ws:
        taken.set()
        await go.wait()
        await ws.send({!r} + message)
"""
    names = {"taken": taken, "go": go}
    server.apply("/x", text.format("old "), names)
    async with connect(server.url("/x")) as ws:
        await ws.send("1")
        await asyncio.wait_for(taken.wait(), 5)
        server.apply("/x", text.format("new "), names)
        await ws.send("2")
        go.set()
        assert [await ws.receive(), await ws.receive()] == ["old 1", "new 2"]


async def test_a_replaced_handler_that_fails_as_it_ends_is_seen(server: Server) -> None:
    text = """async def x(ws):
    try:
        async for message in ws:
            await ws.send(message)
    finally:
        1 / 0
"""
    server.apply("/x", text)
    async with connect(server.url("/x")) as ws:
        await ws.send("1")
        await ws.receive()
        server.apply("/x", ECHO.format("new "))
        await ws.send("2")
        assert await ws.receive() == "new 2"
        with pytest.raises(ExceptionGroup, match="1 failure"):
            server.check()
