"""The handlers panel over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lane_kernel.capture import Store
from lane_kernel.client import connect
from lane_kernel.panels import HandlersPanel, PanelError
from lane_kernel.panels.base import bundle
from lane_kernel.server import HandlerError, Server
from tests.panels.messages import Page

UPPER = "async def echo(ws):\n    async for message in ws:\n        await ws.send(message.upper())\n"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A running echo server with a store of its own."""
    server = Server("handlers", store=Store())

    @server.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    async with server:
        yield server


@pytest.fixture
async def panel(server: Server) -> AsyncIterator[HandlersPanel]:
    """Its panel."""
    panel = HandlersPanel(server)
    yield panel
    panel.close()


async def test_it_opens_the_first_route_that_has_a_source(panel: HandlersPanel) -> None:
    assert panel.pattern == "/echo"
    assert "async for message in ws" in panel.source


async def test_apply_swaps_the_handler_under_an_open_connection(server: Server, panel: HandlersPanel) -> None:
    async with connect(server.url("/echo"), store=server.capture) as ws:
        await ws.send("hi")
        assert await ws.receive() == "hi"
        panel.apply(UPPER)
        await ws.send("hi")
        assert await ws.receive() == "HI"


async def test_a_mistake_shows_its_line_and_the_old_handler_goes_on(server: Server, panel: HandlersPanel) -> None:
    panel.apply(UPPER)
    with pytest.raises(HandlerError):
        panel.apply("async def echo(ws):\n    return 1 +\n")
    assert panel.mistake["line"] == 2
    assert "SyntaxError" in panel.mistake["traceback"]
    assert panel.mistake["kept"] == "The old handler goes on."
    async with connect(server.url("/echo"), store=server.capture) as ws:
        await ws.send("hi")
        assert await ws.receive() == "HI"
    panel.apply(UPPER)
    assert panel.mistake is None


async def test_a_pattern_that_cannot_be_routed_is_a_mistake_without_a_line(panel: HandlersPanel) -> None:
    page = Page(panel)
    page.say("apply", pattern="echo", source=UPPER)
    assert panel.mistake["line"] is None
    assert 'does not begin with "/"' in panel.mistake["message"]
    assert panel.mistake["kept"] == "Nothing was changed."
    assert page.of("result")[-1]["text"] == "not applied"


async def test_what_a_page_applies_keeps_the_pages_own_text(server: Server, panel: HandlersPanel) -> None:
    page = Page(panel)
    page.say("apply", pattern="/upper", source=UPPER)
    assert {route.pattern for route in server.routes} == {"/echo", "/upper"}
    assert page.of("opened") == [], "a person may have typed on"
    assert page.of("result")[-1]["text"] == "applied to /upper"


async def test_a_new_route_takes_a_free_name(server: Server, panel: HandlersPanel) -> None:
    page = Page(panel)
    page.say("new")
    assert panel.pattern == "/new1"
    panel.apply()
    page.say("new")
    assert panel.pattern == "/new2"
    assert {route.pattern for route in server.routes} == {"/echo", "/new1"}


async def test_a_route_that_is_not_there_is_said_so(panel: HandlersPanel) -> None:
    with pytest.raises(PanelError, match="the routes are /echo"):
        panel.edit("/nowhere")


async def test_a_page_that_comes_is_sent_routes_log_and_on_demand_the_editor(
    server: Server, panel: HandlersPanel
) -> None:
    server.log.add("print", "said <b>", route="/echo", source="stdout")
    page = Page(panel)
    page.say("hello")
    (state,) = page.of("state")
    assert [(route["pattern"], route["kind"]) for route in state["routes"]] == [("/echo", "ws")]
    assert page.of("log")[-1]["records"][-1]["text"] == "said <b>"
    assert page.of("log")[-1]["records"][-1]["source"] == "stdout"
    page.say("editor")
    assert page.heard[-1][1] == [bundle("editor.js").encode()]
    assert len(panel.get_state()["_esm"]) < 40 * 1024, "the editor is not saved with the notebook"


async def test_log_lines_come_once_and_by_number(server: Server, panel: HandlersPanel) -> None:
    page = Page(panel)
    page.say("hello")
    for number in range(3):
        server.log.add("info", f"line {number}")
        panel._poll()
    assert [(log["first"], len(log["records"])) for log in page.of("log")][1:] == [(0, 1), (1, 1), (2, 1)]
    panel._poll()
    assert len(page.of("log")) == 4


async def test_a_server_that_does_not_run_is_said_so() -> None:
    panel = HandlersPanel(Server("stopped", store=Store()))
    page = Page(panel)
    page.say("hello")
    assert "await server.start()" in page.of("state")[0]["hint"]
    panel.close()


async def test_close_leaves_nothing_running(panel: HandlersPanel) -> None:
    panel.close()
    assert panel.comm is None
    await asyncio.sleep(0)
