"""Running in Hyperlane's way, and the bound on connections."""

from __future__ import annotations

import asyncio

import pytest

from lane_kernel.capture import Store
from lane_kernel.net.config import Config
from lane_kernel.server import Server
from tests.server.raw import raw, until

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def test_run_answers_a_control_to_wait_on_and_to_shut_down() -> None:
    server = Server("control", store=Store())
    control = await server.run()
    waiting = [asyncio.create_task(control.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    await control.shutdown()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert not server.connections
    await asyncio.wait_for(control.wait(), 5)
    await control.shutdown()


async def test_a_server_that_runs_again_is_waited_for_again() -> None:
    server = Server("again", store=Store())
    control = await server.run()
    await server.stop()
    control = await server.run()
    waiting = asyncio.create_task(control.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    async with server:
        pass
    await asyncio.wait_for(waiting, 5)


@pytest.fixture
def narrow(server: Server) -> Server:
    server.config = Config(max_connections=2)

    @server.route("/")
    async def page(stream, ctx):
        pass

    return server


async def test_over_the_bound_on_connections_the_answer_is_503(narrow: Server) -> None:
    async with raw(narrow) as first, raw(narrow) as second:
        assert await first.status(GET) == 200
        assert await second.status(GET) == 200
        async with raw(narrow) as third:
            await third.send(GET)
            answer = await third.rest()
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"config.max_connections" in answer
        assert await first.status(GET) == 200
    assert "503" in narrow.log.records[-1].text
    await until(lambda: not narrow.connections)
    async with raw(narrow) as later:
        assert await later.status(GET) == 200


async def test_a_flood_over_the_bound_ends_without_a_word(narrow: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lane_kernel.server.server.MAX_TURNED_AWAY", 0)
    async with raw(narrow) as first, raw(narrow) as second:
        assert await first.status(GET) == 200
        assert await second.status(GET) == 200
        async with raw(narrow) as third:
            assert await third.rest() == b""
        async with raw(narrow) as fourth:
            assert await fourth.rest() == b""
    lines = [record.text for record in narrow.log.records if "closed unanswered" in record.text]
    assert len(lines) == 1, "one line for a flood"
