"""The EventSource in the kernel against servers that frame their bodies in each way, and wrong ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from lane_kernel.capture import Store
from lane_kernel.client import EventSource, EventSourceError, ReadyState, Reconnection
from lane_kernel.net.config import Config
from lane_kernel.net.dial import DialError
from lane_kernel.timeline import EntryKind, Timeline
from lane_kernel.wire.eventstream import Event
from lane_kernel.wire.http1 import parse_head
from tests.peers import peer
from tests.server.raw import until
from tests.tls import Authority, aiohttp_serving

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
    async with serving(*parts, end=end) as url, EventSource(url, store=store, reconnect=False) as source:
        events = [event async for event in source]
    assert [(event.data, event.last_event_id) for event in events] == [("one", ""), ("two", "2")]
    assert source.last_event_id == "2"
    entries = [entry for entry in Timeline(store) if entry.kind is EntryKind.EVENT]
    assert [entry.preview for entry in entries] == ["one", "two"]


@pytest.mark.parametrize(
    ("head", "message"),
    [
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
    async with serving(HEAD + b"\r\n", BODY) as url, EventSource(url, store=Store(), reconnect=False) as source:
        with pytest.raises(EventSourceError, match="ended after 2 of 3"):
            await source.take(3, timeout=5)
        assert len(await source.take(2, timeout=5)) == 2


async def test_a_broken_chunk_is_an_error() -> None:
    async with (
        serving(HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n") as url,
        EventSource(url, store=Store(), reconnect=False) as source,
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
    async with (
        serving(HEAD + body, end=False) as url,
        EventSource(url, store=Store(), reconnect="bound" in message) as source,
    ):
        with pytest.raises(EventSourceError, match=message):
            await source.take(3, timeout=5)
        assert [event.data for event in await source.take(2, timeout=5)] == ["one", "two"]


async def test_it_has_to_be_entered() -> None:
    with pytest.raises(EventSourceError, match="async with"):
        await EventSource("http://127.0.0.1:1/").take(1, timeout=1)


STREAM = HEAD + b"\r\n"
STOP = b"HTTP/1.1 204 No Content\r\n\r\n"


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer each connection with the next bytes and end it; the last with 204. Gives the URL and the requests."""
    left = iter(answers)
    requests: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(next(left, STOP))
        await writer.drain()

    async with peer(talk) as port:
        yield f"http://127.0.0.1:{port}/stream", requests


def last_event_ids(requests: list[bytes]) -> list[str | None]:
    return [parse_head(request).first("Last-Event-ID") for request in requests]


def state_of(source: EventSource) -> ReadyState:
    return source.state


async def into(seen: list[str], source: EventSource) -> None:
    async for event in source:
        seen.append(event.data)  # noqa: PERF401 - what came before a failure is to be seen


async def rest_of(source: EventSource) -> list[Event]:
    return [event async for event in source]


def test_the_reconnection_time_is_three_seconds_until_it_is_set() -> None:
    source = EventSource("http://127.0.0.1:1/")
    assert (source.reconnection_time, source.retry) == (3, None)


async def test_it_connects_again_by_itself_and_says_where_it_was() -> None:
    """WHATWG HTML §9.2.3: after the reconnection time, with Last-Event-ID; 204 stops it."""
    store = Store()
    first = STREAM + "id: é1\ndata: one\n\nretry: 20\n\nid: never\ndata: cut".encode()
    async with (
        answering(first, STREAM + b"data: two\n\n", STREAM + b"id\ndata: three\n\n") as (url, requests),
        EventSource(url, store=store, reconnection_time=0.01) as source,
    ):
        assert state_of(source) is ReadyState.OPEN
        events = await rest_of(source)
        assert state_of(source) is ReadyState.CLOSED
    assert [(event.data, event.last_event_id) for event in events] == [("one", "é1"), ("two", "é1"), ("three", "")]
    sent = "é1".encode().decode("latin-1")
    assert last_event_ids(requests) == [None, sent, sent, None]
    assert (source.retry, source.reconnection_time, source.last_event_id) == (20, 0.02, "")
    assert list(source.reconnections) == [Reconnection("the stream ended", 0.02, id_) for id_ in ("é1", "é1", "")]
    assert len(store.connections) == 4
    opened = [connection.opened_ns for connection in store.connections]
    assert opened[1] - opened[0] >= 0.02e9
    logged = [entry.preview for entry in Timeline(store) if entry.kind is EntryKind.LOG]
    assert logged[0] == "the stream ended: connecting again in 0.02 s with Last-Event-ID 'é1'"


async def test_204_at_once_is_the_end_and_no_error() -> None:
    async with answering(STOP) as (url, requests), EventSource(url, store=Store()) as source:
        assert state_of(source) is ReadyState.CLOSED
        assert [event async for event in source] == []
        with pytest.raises(EventSourceError, match="ended after 0 of 1 events: the server answered 204"):
            await source.take(1, timeout=5)
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "answered 500"),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\ngone",
            "404 Not Found .gone.",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "sends text/html"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "answered 302"),
        (STREAM.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), "Content-Encoding: gzip"),
        (STREAM.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), "Transfer-Encoding: gzip"),
        (b"HTTP/1.1 302 Found\r\nLocation: ftp://x/\r\n\r\n", "redirects to 'ftp://x/'"),
    ],
)
async def test_a_wrong_answer_to_a_reconnection_fails_it_for_good(answer: bytes, message: str) -> None:
    """WHATWG HTML §9.2.3: fail the connection; the events before can still be taken."""
    async with answering(STREAM + BODY, answer, STREAM + BODY) as (url, requests):
        async with EventSource(url, store=Store(), reconnection_time=0) as source:
            seen: list[str] = []
            with pytest.raises(EventSourceError, match=message):
                await into(seen, source)
            assert seen == ["one", "two"]
            assert state_of(source) is ReadyState.CLOSED
            with pytest.raises(EventSourceError, match=message):
                await source.take(1, timeout=5)
        with pytest.raises(EventSourceError, match="make a new EventSource"):
            await source
    assert last_event_ids(requests) == [None, "2"]


async def test_a_lost_connection_is_made_again() -> None:
    """Network errors: a body cut short, a broken chunk, an answer that is none, an end without an answer."""
    cut = HEAD + b"Content-Length: 1000\r\n\r\n"
    broken = HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 3\n\n\r\nzz\r\n"
    answers = (cut + b"data: 1\n\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 2\n\n\r\n", broken)
    async with (
        answering(*answers, b"nonsense\r\n\r\n", b"", STREAM + b"data: 4\n\n") as (url, _),
        EventSource(url, store=Store(), reconnection_time=0) as source,
    ):
        assert [event.data for event in await source.take(4, timeout=10)] == ["1", "2", "3", "4"]
    lost = "the connection was lost in the middle of the stream"
    reasons = [reconnection.reason for reconnection in source.reconnections][:5]
    assert reasons[:2] == [lost, lost]
    assert "the connection was lost: " in reasons[2]
    assert "hexadecimal" in reasons[2]
    assert "does not answer in HTTP/1" in reasons[3]
    assert "ended the connection before it answered" in reasons[4]


async def test_attempts_that_fail_wait_longer_each_time_and_end() -> None:
    async with answering(STREAM + BODY) as (url, _):
        source = await EventSource(url, store=Store(), reconnection_time=0.05, attempts=3)
    with pytest.raises(EventSourceError, match="gave up after 3 attempts to connect again: cannot connect to"):
        await source.take(3, timeout=5)
    assert [event.data for event in await source.take(2, timeout=5)] == ["one", "two"]
    assert [reconnection.wait for reconnection in source.reconnections] == [0.05, 0.1, 0.2]
    assert source.reconnections[0].reason == "the stream ended"
    assert "is the server started" in source.reconnections[1].reason
    await source.close()


async def test_a_reconnection_time_of_zero_is_for_the_first_attempt_alone() -> None:
    """A stream that says `retry: 0` is asked again at once; a server that is away is not asked in a busy loop."""
    async with answering(STREAM + b"retry: 0\ndata: one\n\n") as (url, _):
        source = await EventSource(url, store=Store(), attempts=4)
    with pytest.raises(EventSourceError, match="gave up after 4 attempts"):
        await source.take(2, timeout=5)
    assert [reconnection.wait for reconnection in source.reconnections] == [0, 0.1, 0.2, 0.4]
    await source.close()


async def test_the_first_connection_is_not_tried_again() -> None:
    source = EventSource("http://127.0.0.1:1/", store=Store(), reconnection_time=0)
    with pytest.raises(DialError, match="is the server started"):
        await source
    assert state_of(source) is ReadyState.CLOSED
    assert not source.reconnections


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirections_are_followed_each_as_its_own_connection(status: int) -> None:
    """WHATWG Fetch §4.4; it connects again where it was redirected to, as Chromium 156 does for each of these."""
    store = Store()
    async with answering(STREAM + b"id: 7\ndata: there\n\n", STREAM + b"data: again\n\n") as (there, at_there):
        away = f"HTTP/1.1 {status} x\r\nLocation: {there}?x=1\r\n\r\n".encode()
        near = f"HTTP/1.1 {status} x\r\nLocation: /near\r\n\r\n".encode()
        async with (
            answering(near, away) as (here, at_here),
            EventSource(
                here, store=store, reconnection_time=0, headers=[("Authorization", "secret"), ("X-Kept", "yes")]
            ) as source,
        ):
            assert [event.data for event in await source.take(2, timeout=5)] == ["there", "again"]
            assert source.current_url == f"{there}?x=1"
    assert [parse_head(request).target for request in at_here] == ["/stream", "/near"]
    assert [parse_head(request).first("Authorization") for request in at_here] == ["secret", "secret"]
    for request in at_there[:2]:
        head = parse_head(request)
        assert head.target == "/stream?x=1"
        assert head.first("Authorization") is None, "credentials stay with their origin"
        assert head.first("X-Kept") == "yes"
    assert last_event_ids(at_there[:2]) == [None, "7"]
    assert len(store.connections) >= 4


async def test_redirections_have_a_bound() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n")

    store = Store()
    async with peer(talk) as port:
        with pytest.raises(EventSourceError, match="redirects over 20 times"):
            await EventSource(f"http://127.0.0.1:{port}/", store=store)
    assert len(store.connections) == 21


async def test_close_is_prompt_wherever_it_is() -> None:
    """While it reads, waits to connect again, and while somebody waits for events; no task is left."""
    before = asyncio.all_tasks()
    async with serving(STREAM, b"data: one\n\n", end=False) as url:
        source = await EventSource(url, store=Store())
        await source.take(1, timeout=5)
        waiting = asyncio.create_task(source.take(1, timeout=30))
        iterating = asyncio.create_task(rest_of(source))
        await asyncio.sleep(0)
        await asyncio.wait_for(source.close(), 1)
        with pytest.raises(EventSourceError, match="ended after 0 of 1 events: it was closed"):
            await waiting
        assert await iterating == []
        await source.close()
    async with answering(STREAM + BODY) as (url, requests):
        source = await EventSource(url, store=Store(), reconnection_time=3600)
        await source.take(2, timeout=5)
        with pytest.raises(EventSourceError, match=r"within 0\.05 s; it is connecting again: the stream ended"):
            await source.take(1, timeout=0.05)
        assert state_of(source) is ReadyState.CONNECTING
        await asyncio.wait_for(source.close(), 1)
        assert state_of(source) is ReadyState.CLOSED
        assert len(requests) == 1
    assert asyncio.all_tasks() <= before


async def test_close_while_it_connects_the_first_time() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go.wait()
        writer.write(STREAM + BODY)
        await reader.read()

    async with peer(talk) as port:
        source = EventSource(f"http://127.0.0.1:{port}/", store=Store())
        connecting = asyncio.ensure_future(source.__aenter__())
        await asked.wait()
        await source.close()
        go.set()
        await connecting
        assert state_of(source) is ReadyState.CLOSED
        assert await rest_of(source) == []


async def test_no_more_is_read_than_has_room() -> None:
    """The bound is on whole reads; a larger `take` makes room for itself."""
    taken = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM)
        for n in range(4):
            writer.write(b"data: %d\n\n" % n + b": %s\n\n" % (b"x" * 70_000))
            await writer.drain()
        await taken.wait()

    store = Store()
    config = Config(max_queue=2)
    async with (
        peer(talk) as port,
        EventSource(f"http://127.0.0.1:{port}/", store=store, config=config, reconnect=False) as source,
    ):
        await until(lambda: len(source._events) >= 2)
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(source._events) <= 3
        assert [event.data for event in await source.take(4, timeout=5)] == ["0", "1", "2", "3"]
        taken.set()
        assert [event async for event in source] == []


async def test_takes_at_the_same_time_are_served_one_after_another() -> None:
    """The first makes room for all that it asks for, whatever those behind it do."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM)
        for n in range(10):
            writer.write(b"data: %d\n\n" % n + b": %s\n\n" % (b"x" * 70_000))  # more than one read takes
            await writer.drain()
        await reader.read()

    async with (
        peer(talk) as port,
        EventSource(f"http://127.0.0.1:{port}/", store=Store(), config=Config(max_queue=2)) as source,
    ):
        taken = await asyncio.gather(source.take(6, timeout=10), source.take(3, timeout=10), source.take(1, timeout=10))
    assert [[event.data for event in events] for events in taken] == [list("012345"), list("678"), ["9"]]


async def test_a_take_behind_another_has_its_own_bound() -> None:
    async with (
        serving(STREAM, BODY, end=False) as url,
        EventSource(url, store=Store()) as source,
    ):
        first = asyncio.create_task(source.take(3, timeout=30))
        await asyncio.sleep(0)
        with pytest.raises(EventSourceError, match=r"0 of 2 events came within 0\.05 s: another take\(\) is before it"):
            await source.take(2, timeout=0.05)
        behind = asyncio.create_task(source.take(2, timeout=5))
        await asyncio.sleep(0)
        first.cancel()
        assert [event.data for event in await behind] == ["one", "two"]


async def test_https_with_a_ca_of_ones_own(tmp_path: Path) -> None:
    """A real server, aiohttp, and a redirection from http to https."""
    authority = Authority(tmp_path)
    heads: list[tuple[str, str | None]] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        heads.append((request.scheme, request.headers.get("Last-Event-ID")))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f"id: {len(heads)}\ndata: {request.headers['X-Mine']}\n\n".encode())
        await response.write_eof()
        return response

    secure, plain = web.Application(), web.Application()
    secure.router.add_get("/stream", stream)
    async with aiohttp_serving(secure, authority.server_context("localhost")) as port:

        async def away(request: web.Request) -> web.StreamResponse:
            raise web.HTTPFound(f"https://localhost:{port}/stream")

        plain.router.add_get("/", away)
        async with aiohttp_serving(plain) as plain_port:
            url = f"http://127.0.0.1:{plain_port}/"
            async with EventSource(
                url, ca=authority.file, headers=[("X-Mine", "yes")], store=Store(), reconnection_time=0
            ) as source:
                events = await source.take(3, timeout=10)
            with pytest.raises(DialError, match=r"is not trusted: .*ca="):
                await EventSource(url, store=Store(), headers=[("X-Mine", "yes")])
            async with EventSource(
                f"https://localhost:{port}/stream", ssl=authority.client_context(), headers=[("X-Mine", "y")]
            ) as source:
                assert (await source.take(1, timeout=5))[0].data == "y"
    assert [(event.data, event.last_event_id) for event in events] == [("yes", "1"), ("yes", "2"), ("yes", "3")]
    assert heads[:3] == [("https", None), ("https", "1"), ("https", "2")]
