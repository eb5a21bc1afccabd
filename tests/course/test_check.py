"""The last cell of a notebook."""

from __future__ import annotations

import pytest

import lane_kernel as lane
from lane_kernel.capture import Store


async def fail(server: lane.Server) -> None:
    @server.websocket("/bad")
    async def bad(ws):
        raise ValueError(server.name)

    async with lane.connect(server.url("/bad")) as ws:
        with pytest.raises(lane.ConnectionClosedError):
            await ws.receive()


async def test_it_raises_what_failed_in_the_background_once() -> None:
    lane.check()
    async with lane.Server("one", store=Store()) as one, lane.Server("two", store=Store()) as two:
        await fail(one)
        with pytest.raises(ExceptionGroup, match="1 failure in the background of server 'one'"):
            lane.check()
        lane.check()
        await fail(one)
        await fail(two)
    with pytest.raises(ExceptionGroup, match="2 servers") as caught:
        lane.check()
    assert [str(group.exceptions[0]) for group in caught.value.exceptions if isinstance(group, ExceptionGroup)] == [
        "one",
        "two",
    ]
