"""Event streams over real sockets, read by this package's client and by httpx-sse."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from httpx_sse import aconnect_sse

from lane_kernel.client import EventSource
from lane_kernel.net.config import Config
from lane_kernel.server import Server, ServerHook, Status
from lane_kernel.server.context import CONTENT_TYPE, HTTP_DOUBLE_BR, TEXT_EVENT_STREAM
from lane_kernel.timeline import EntryKind
from lane_kernel.wire.eventstream import EventStreamError
from tests.server.raw import raw, until


@pytest.fixture
def streams(server: Server) -> Server:
    @server.events("/counter/{start}")
    async def counter(events, start):
        n = int(events.last_event_id or start)
        while True:
            n += 1
            await events.send({"n": n}, event="tick", id=n, retry=1500 if n == 1 else None)
            await asyncio.sleep(0.001)

    @server.route("/sse")
    class Sse(ServerHook):
        async def handle(self, stream, ctx):
            data = ctx.response.set_header(CONTENT_TYPE, TEXT_EVENT_STREAM).set_body(b"").build()
            await stream.try_send(data)
            for i in range(10):
                await stream.try_send(f"data:{i}{HTTP_DOUBLE_BR}")
            return Status.CONTINUE

    return server


async def test_the_articles_handler_sends_ten_events_and_ends(streams: Server) -> None:
    async with EventSource(streams.url("/sse"), reconnect=False) as source:
        assert [event.data async for event in source] == [str(i) for i in range(10)]


@pytest.mark.parametrize("data", [float("nan"), [1, float("inf")], {"x": -float("inf")}])
async def test_what_json_cannot_say_is_refused(server: Server, data: object) -> None:
    @server.events("/wrong")
    async def wrong(events):
        await events.send(data)

    async with EventSource(server.url("/wrong"), reconnect=False) as source:
        assert [event async for event in source] == []
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    (error,) = group.value.exceptions
    assert isinstance(error, EventStreamError)
    assert "JSON has no NaN and no infinity" in str(error)
    assert "None" in str(error)


async def test_events_carry_type_id_and_retry(streams: Server) -> None:
    async with EventSource(streams.url("/counter/0")) as source:
        events = await source.take(3, timeout=5)
        assert [(event.type, event.data, event.last_event_id) for event in events] == [
            ("tick", f'{{"n": {n}}}', str(n)) for n in (1, 2, 3)
        ]
        assert source.retry == 1500
    entries = [entry for entry in streams.timeline if entry.kind is EntryKind.EVENT]
    assert entries[0].what == "event tick id 1"
    assert b"".join(entry.data for entry in entries[:2]).startswith(b"event: tick\nid: 1\nretry: 1500\ndata: ")


@pytest.mark.parametrize("path", ["/sse", "/counter/0"])
async def test_httpx_sse_is_served(streams: Server, path: str) -> None:
    async with httpx.AsyncClient() as client, aconnect_sse(client, "GET", streams.url(path)) as source:
        seen = []
        async for event in source.aiter_sse():
            seen.append(event.data)
            if len(seen) == 10:
                break
    assert seen == ([str(i) for i in range(10)] if path == "/sse" else [f'{{"n": {n}}}' for n in range(1, 11)])


async def test_a_client_says_where_it_was(streams: Server) -> None:
    """WHATWG HTML §9.2.3."""
    async with EventSource(streams.url("/counter/0"), last_event_id="41") as source:
        (event,) = await source.take(1, timeout=5)
        assert event.last_event_id == "42"


async def test_the_handler_ends_at_once_when_its_client_leaves(server: Server) -> None:
    ended = asyncio.Event()

    @server.events("/silent")
    async def silent(events):
        await events.comment("here")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with raw(server) as peer:
        await peer.send(b"GET /silent HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await peer.head()
        assert await peer.exactly(8) == b": here\n\n"
    await asyncio.wait_for(ended.wait(), 5)
    await until(lambda: not server.connections)
    server.check()


async def test_an_event_cannot_be_smuggled_in(server: Server) -> None:
    @server.events("/injected")
    async def injected(events):
        await events.send("a\rb\r\nid: 7\n\ndata: c")
        await events.send("x", id="1\n2")

    async with EventSource(server.url("/injected"), reconnect=False) as source:
        seen = [event async for event in source]
    assert [(event.data, event.last_event_id) for event in seen] == [("a\nb\nid: 7\n\ndata: c", "")]
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    assert isinstance(group.value.exceptions[0], EventStreamError)


async def test_an_allowed_page_of_another_port_may_read_it(streams: Server) -> None:
    streams.allowed_origins.add("http://localhost:8888")
    async with httpx.AsyncClient() as client:
        answer = await client.get(streams.url("/sse"), headers={"Origin": "http://localhost:8888"})
    assert answer.headers["access-control-allow-origin"] == "http://localhost:8888"
    assert answer.headers["content-type"] == "text/event-stream"


async def test_a_silent_stream_has_a_heartbeat_and_a_busy_one_none(server: Server) -> None:
    """WHATWG HTML §9.2.7."""
    server.config = Config(heartbeat=0.02)
    go = asyncio.Event()

    @server.events("/silent")
    async def silent(events):
        await go.wait()
        await events.send("late")

    async with raw(server) as peer:
        await peer.send(b"GET /silent HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await peer.head()
        assert await peer.exactly(9) == b":\n\n" * 3
        go.set()
        assert (await peer.rest()).endswith(b"data: late\n\n")
    await until(lambda: not server.connections)


async def test_without_a_heartbeat_there_is_none(server: Server) -> None:
    server.config = Config(heartbeat=None)

    @server.events("/silent")
    async def silent(events):
        await asyncio.sleep(0.05)
        await events.send("only")

    async with raw(server) as peer:
        await peer.send(b"GET /silent HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await peer.head()
        assert await peer.rest() == b"data: only\n\n"


@pytest.mark.parametrize(
    "extra", [b"\r\n", b"GET /silent HTTP/1.1\r\nHost: localhost\r\n\r\n"], ids=["a line", "a request"]
)
async def test_a_client_that_said_more_than_its_request_is_noticed_leaving(server: Server, extra: bytes) -> None:
    server.config = Config(heartbeat=None)
    ended = asyncio.Event()

    @server.events("/silent")
    async def silent(events):
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with raw(server) as peer:
        await peer.send(b"GET /silent HTTP/1.1\r\nHost: localhost\r\n\r\n" + extra)
        await peer.head()
    await asyncio.wait_for(ended.wait(), 5)
    await until(lambda: not server.connections)
    server.check()
