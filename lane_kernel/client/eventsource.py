"""An EventSource in the kernel.

| state      | what happens                                                  | next       |
| ---------- | ------------------------------------------------------------- | ---------- |
| CONNECTING | 200 with an event stream is answered                          | OPEN       |
| CONNECTING | 204 is answered                                               | CLOSED     |
| CONNECTING | any other status, or another content type, is answered        | CLOSED (*) |
| CONNECTING | nothing is answered: it waits, longer each time, and tries on | CONNECTING |
| CONNECTING | nothing was answered `attempts` times in a row                | CLOSED (*) |
| OPEN       | the stream ends, or its connection is lost                    | CONNECTING |
| any        | it is closed                                                  | CLOSED     |

(*) It has failed: who waits for events is told why, after those that came before.

Source: WHATWG HTML §9.2. It leaves the wait after failed attempts and the giving up to the reader, and so the first
connection, too: where nothing answers that one, a person who mistyped the URL is told at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import ssl
from collections import deque
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lane_kernel.capture import Connection, NoteKind, Store, kernel_store
from lane_kernel.client.http import RedirectError, Response, Way, get, headers_for
from lane_kernel.errors import LaneError
from lane_kernel.net.config import DEFAULT, Config
from lane_kernel.net.dial import CONNECT_TIMEOUT, DialError
from lane_kernel.net.heads import ResponseError, read_small_body
from lane_kernel.net.stream import ConnectionLostError
from lane_kernel.wire.eventstream import Block, Event, EventStreamError, EventStreamParser
from lane_kernel.wire.handshake import Headers
from lane_kernel.wire.http1 import ChunkError

RECONNECTION_TIME = 3.0
"""The wait before connecting again while the stream has not set one, in seconds; Chromium's, Firefox takes 5."""

MAX_WAIT = 60.0
"""The longest wait after failed attempts, in seconds; a stream may set a longer reconnection time."""

MIN_BACKOFF = 0.05
"""What the waits after failed attempts double from at the least, in seconds: twice nothing would be nothing."""

ATTEMPTS = 5
"""Default number of attempts to connect again that may fail in a row."""

MAX_RECONNECTIONS = 1000
"""Reconnections remembered."""

_NETWORK_ERRORS = (DialError, ConnectionLostError, ResponseError)


class EventSourceError(LaneError):
    """A stream of events cannot be had, or has ended."""


class ReadyState(Enum):
    """What an EventSource is at.

    Source: WHATWG HTML §9.2.2, readyState.
    """

    CONNECTING = 0
    OPEN = 1
    CLOSED = 2


@dataclass(frozen=True, slots=True)
class Reconnection:
    """An attempt to connect again.

    Attributes:
        reason: Why it was needed.
        wait: How long it was waited for, in seconds.
        last_event_id: What was sent as Last-Event-ID; nothing where it is empty.
    """

    reason: str
    wait: float
    last_event_id: str


class EventSource:
    """A stream of events, over one connection after another.

        async with lane.EventSource(server.url("/clock")) as source:
            for event in await source.take(3, timeout=5):
                print(event.type, event.data, event.last_event_id)

    Attributes:
        url: What it reads.
        current_url: Where it reads it, after redirections; it connects again there, as the standard and browsers do.
        state: What it is at.
        reconnections: The attempts to connect again, the last thousand of them.
    """

    def __init__(
        self,
        url: str,
        *,
        last_event_id: str = "",
        headers: Headers = (),
        reconnect: bool = True,
        reconnection_time: float = RECONNECTION_TIME,
        attempts: int = ATTEMPTS,
        store: Store | None = None,
        config: Config = DEFAULT,
        timeout: float = CONNECT_TIMEOUT,
        ssl: ssl.SSLContext | None = None,
        ca: str | Path | None = None,
    ) -> None:
        """Name a stream; entering the block connects, and so does awaiting it.

        Args:
            url: An `http://` or `https://` URL.
            last_event_id: What to send as Last-Event-ID; nothing where it is empty.
            headers: Header lines to add to each request; credentials are not sent to another origin.
            reconnect: Whether it connects again where the stream ends; otherwise that is the end.
            reconnection_time: The wait before it does, in seconds, until the stream sets another. It doubles with each
                attempt that fails, from 0.05 on where it is shorter.
            attempts: How many attempts to connect again may fail in a row.
            store: Where to record; the kernel's store by default.
            config: The bounds; `max_queue` is that of the events that wait before no more is read.
            timeout: The bound on connecting, and again on the answer, in seconds.
            ssl: How TLS is spoken and who is trusted, where the URL asks for TLS.
            ca: The path of a CA's file in PEM form, to trust besides those of this machine.
        """
        self.url = self.current_url = url
        self.state = ReadyState.CONNECTING
        self.reconnections: deque[Reconnection] = deque(maxlen=MAX_RECONNECTIONS)
        self._headers = tuple(headers)
        self._reconnects = reconnect
        self._reconnection_time = reconnection_time
        self._attempts = attempts
        self._way = Way(store or kernel_store(), timeout, config, ssl, ca)
        self._parser = EventStreamParser(last_event_id)
        self._retry: int | None = None
        self._connection: Connection | None = None
        self._events: deque[Event] = deque()
        self._room = asyncio.Event()
        self._wanted = 0
        self._taking = asyncio.Lock()
        self._waiters: set[asyncio.Future[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._why = ""
        self._failure: EventSourceError | None = None

    @property
    def last_event_id(self) -> str:
        """The last event ID so far."""
        return self._parser.last_event_id

    @property
    def retry(self) -> int | None:
        """The reconnection time that the stream has set, in milliseconds; None while it has not."""
        return self._retry

    @property
    def reconnection_time(self) -> float:
        """The wait before it connects again, in seconds."""
        return self._reconnection_time if self._retry is None else self._retry / 1000

    @property
    def connection(self) -> Connection | None:
        """The latest connection as the capture knows it; None before there is one."""
        return self._connection

    # Its life

    def __await__(self) -> Generator[Any, None, Self]:
        """Connect; `close` ends it."""
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        """Connect, and read the answer's head.

        Raises:
            DialError: Nothing answers at the URL, or the server cannot be trusted.
            EventSourceError: The answer is no event stream. A 204 is none, but no error: there are no events then.
            ResponseError: What came is no HTTP, or nothing came in time.
            ConnectionLostError: The server ended the connection before it answered.
        """
        if self._reading is not None or self.state is ReadyState.CLOSED:
            raise EventSourceError(f"{self.url} has been connected to: make a new EventSource for another time")
        try:
            response = await self._connect()
        except BaseException:
            self._end("it could not connect")
            raise
        if response is not None:
            self._reading = asyncio.create_task(self._run(response), context=contextvars.Context())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """End the connection, and connect no more; events that have come may still be taken."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        self._end("it was closed")

    def _end(self, why: str) -> None:
        if self.state is not ReadyState.CLOSED:
            self.state = ReadyState.CLOSED
            self._why = why
        self._wake()

    async def _run(self, response: Response) -> None:
        """Read one connection after another."""
        last: Response | None = response
        try:
            while last is not None:
                reason = await self._read(last)
                if not self._reconnects:
                    self._end(reason)
                    return
                last = await self._reconnect(reason)
        except EventSourceError as error:
            self._failure = error
            self._end(str(error))
        finally:
            self._end("it was closed")

    async def _connect(self) -> Response | None:
        """Open the stream; None where the server tells that it is not to be asked again.

        Source: WHATWG HTML §9.2.3.
        """
        own = headers_for(self._headers, self.url, self.current_url)
        lines = [("Accept", "text/event-stream"), ("Cache-Control", "no-store"), *own]
        if self.last_event_id:
            # The header's value is UTF-8; heads are built as Latin-1.
            lines.append(("Last-Event-ID", self.last_event_id.encode().decode("latin-1")))
        try:
            response = await get(self.current_url, lines, self._way)
        except RedirectError as error:
            raise EventSourceError(str(error)) from error
        self._connection = response.stream.record
        self.current_url = response.url
        try:
            if response.head.status == 204:
                response.close()
                self._end("the server answered 204, which tells a source not to connect again")
                return None
            await self._check(response)
        except BaseException:
            response.close()
            raise
        if self.state is ReadyState.CLOSED:  # meanwhile
            response.close()
            return None
        self.state = ReadyState.OPEN
        return response

    async def _check(self, response: Response) -> None:
        head, url = response.head, response.url
        if head.status != 200:
            said = await read_small_body(response.stream, head)
            reason = f"{head.reason} ({said})" if said else head.reason
            raise EventSourceError(f"{url} answered {head.status} {reason}: an event stream is answered with 200")
        kind = head.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind != "text/event-stream":
            raise EventSourceError(f"{url} sends {kind or 'no content type'}: an event stream is text/event-stream")
        for name, known in (("Transfer-Encoding", ("", "chunked")), ("Content-Encoding", ("", "identity"))):
            if (coding := head.headers.get(name, "").strip().lower()) not in known:
                raise EventSourceError(f"{url} sends {name}: {coding}, which was not asked for and is not known here")

    async def _read(self, response: Response) -> str:
        """Read a connection to its end, and say how it came to it."""
        self._parser = EventStreamParser(self.last_event_id)
        try:
            while data := await response.read():
                self._parse(data)
                self._make_room()
                await self._room.wait()
        except ChunkError as error:
            if not self._reconnects:
                raise EventSourceError(f"{self.url}: {error}") from error
            return f"the connection was lost: {error}"
        finally:
            response.close()
        return "the stream ended" if response.is_whole else "the connection was lost in the middle of the stream"

    def _parse(self, data: bytes) -> None:
        """Take in the events of some bytes; those before a failure are kept."""
        failure: EventStreamError | None = None
        try:
            blocks: Sequence[Block] = self._parser.feed(data)
        except EventStreamError as error:
            failure, blocks = error, error.blocks
        if self._parser.retry is not None:
            self._retry = self._parser.retry
        self._events.extend(event for block in blocks if (event := block.event) is not None)
        self._wake()
        if failure is not None:
            # Another connection would bring the same event.
            raise EventSourceError(f"{self.url}: {failure}") from failure

    async def _reconnect(self, reason: str) -> Response | None:
        """Wait, and connect again; None where the server tells that it is not to be asked again."""
        self.state = ReadyState.CONNECTING
        for failed in range(self._attempts):
            wait = self._wait_after(failed)
            self._why = reason
            self._note(f"{reason}: connecting again in {wait:g} s with Last-Event-ID {self.last_event_id!r}")
            await asyncio.sleep(wait)
            self.reconnections.append(Reconnection(reason, wait, self.last_event_id))
            try:
                return await self._connect()
            except _NETWORK_ERRORS as error:
                reason = str(error)
        raise EventSourceError(f"{self.url}: gave up after {self._attempts} attempts to connect again: {reason}")

    def _wait_after(self, failed: int) -> float:
        """How long to wait before an attempt, after so many that failed, in seconds."""
        wait = self.reconnection_time
        if not failed:
            return wait
        return max(wait, min(max(wait, MIN_BACKOFF) * 2.0**failed, MAX_WAIT))

    def _note(self, text: str) -> None:
        self._way.store.note(NoteKind.LOG, self._connection, "log info", preview=text, route="")

    # Its events

    def _make_room(self) -> None:
        if len(self._events) < max(self._way.config.max_queue, self._wanted):
            self._room.set()
        else:
            self._room.clear()

    def _take(self) -> Event:
        event = self._events.popleft()
        self._make_room()
        return event

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _change(self) -> None:
        """Wait until events have come, or the end."""
        if self._reading is None:
            raise EventSourceError(f"{self.url} is not connected: use `async with lane.EventSource(url) as source`")
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield events until there are no more.

        Raises:
            EventSourceError: The source has failed; the events before that have been given.
        """
        while True:
            while self._events:
                yield self._take()
            if self.state is ReadyState.CLOSED:
                break
            await self._change()
        if self._failure is not None:
            raise EventSourceError(str(self._failure)) from self._failure

    async def take(self, count: int, timeout: float) -> list[Event]:
        """Wait for a number of events; of takes at the same time, each waits for those that came before it.

        Args:
            count: How many.
            timeout: The bound on the wait in seconds.

        Raises:
            EventSourceError: The source ended, or the time was up, before so many had come. Those that came are kept
                for the next `take`.
        """
        try:
            async with asyncio.timeout(timeout), self._taking:
                return await self._take_all(count)
        except TimeoutError:
            raise EventSourceError(f"{self.url}: {self._why_not_yet(count, timeout)}") from None

    async def _take_all(self, count: int) -> list[Event]:
        self._wanted = count
        self._make_room()
        try:
            while len(self._events) < count and self.state is not ReadyState.CLOSED:
                await self._change()
        finally:
            self._wanted = 0
        if len(self._events) < count:
            raise EventSourceError(
                f"{self.url} ended after {len(self._events)} of {count} events: {self._why}"
            ) from self._failure
        return [self._take() for _ in range(count)]

    def _why_not_yet(self, count: int, timeout: float) -> str:
        if self._taking.locked():
            return f"0 of {count} events came within {timeout:g} s: another take() is before it"
        came = f"{len(self._events)} of {count} events came within {timeout:g} s"
        return f"{came}; it is connecting again: {self._why}" if self.state is ReadyState.CONNECTING else came
