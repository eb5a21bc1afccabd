"""The EventSource in the kernel against servers that frame their bodies in each way, and wrong ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lane_kernel.capture import Store
from lane_kernel.client import EventSource, EventSourceError
from lane_kernel.timeline import EntryKind, Timeline
from tests.peers import peer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
BODY = b"data: one\n\nid: 2\ndata: two\n\n"


@asynccontextmanager
async def serving(*parts: bytes | asyncio.Event, end: bool = True) -> AsyncIterator[str]:
    """Send the parts, waiting where there is an event; give the URL."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            if isinstance(part, asyncio.Event):
                await part.wait()
            else:
                writer.write(part)
                await writer.drain()
        if not end:
            await reader.read()

    async with peer(talk) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize(
    ("parts", "end"),
    [
        ((HEAD + b"\r\n", BODY), True),
        ((HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + b"data: beyond\n\n",), False),
        (
            (
                HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n",
                BODY[:5],
                b"\r\n%x\r\n" % (len(BODY) - 5),
                BODY[5:],
                b"\r\n0\r\n\r\n",
            ),
            False,
        ),
    ],
    ids=["until close", "Content-Length", "chunked"],
)
async def test_every_framing_gives_the_same_events(parts: tuple[bytes, ...], end: bool) -> None:
    """RFC 9112 §6.3."""
    store = Store()
    async with serving(*parts, end=end) as url, EventSource(url, store=store) as source:
        events = [event async for event in source]
    assert [(event.data, event.last_event_id) for event in events] == [("one", ""), ("two", "2")]
    assert source.last_event_id == "2"
    entries = [entry for entry in Timeline(store) if entry.kind is EntryKind.EVENT]
    assert [entry.preview for entry in entries] == ["one", "two"]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", "answered 204"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "answered 500"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "sends text/html"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "no content type"),
    ],
)
async def test_what_is_no_event_stream_is_refused(head: bytes, message: str) -> None:
    """WHATWG HTML §9.2.3."""
    async with serving(head) as url:
        with pytest.raises(EventSourceError, match=message):
            await EventSource(url, store=Store()).__aenter__()


async def test_a_take_that_gave_up_loses_nothing() -> None:
    more = asyncio.Event()
    async with (
        serving(HEAD + b"\r\n", b"data: one\n\n", more, b"data: two\n\n", end=False) as url,
        EventSource(url, store=Store()) as source,
    ):
        with pytest.raises(EventSourceError, match="1 of 2 events came within"):
            await source.take(2, timeout=0.05)
        more.set()
        assert [event.data for event in await source.take(2, timeout=5)] == ["one", "two"]


async def test_a_stream_that_ends_early_says_how_many_came() -> None:
    async with serving(HEAD + b"\r\n", BODY) as url, EventSource(url, store=Store()) as source:
        with pytest.raises(EventSourceError, match="ended after 2 of 3"):
            await source.take(3, timeout=5)
        assert len(await source.take(2, timeout=5)) == 2


async def test_a_broken_chunk_is_an_error() -> None:
    async with (
        serving(HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n") as url,
        EventSource(url, store=Store()) as source,
    ):
        with pytest.raises(EventSourceError, match="hexadecimal"):
            await source.take(1, timeout=5)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nzz\r\n" % (len(BODY), BODY), "hexadecimal"),
        (b"\r\n" + BODY + b"data: " + b"x" * 2_000_000, "bound"),
    ],
    ids=["broken chunk", "event over the bound"],
)
async def test_events_before_a_failure_are_kept(body: bytes, message: str) -> None:
    async with serving(HEAD + body, end=False) as url, EventSource(url, store=Store()) as source:
        with pytest.raises(EventSourceError, match=message):
            await source.take(3, timeout=5)
        assert [event.data for event in await source.take(2, timeout=5)] == ["one", "two"]


async def test_it_has_to_be_entered() -> None:
    with pytest.raises(EventSourceError, match="async with"):
        await EventSource("http://127.0.0.1:1/").take(1, timeout=1)
