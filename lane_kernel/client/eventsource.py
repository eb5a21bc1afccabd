"""An EventSource in the kernel.

Source: WHATWG HTML §9.2.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from tornado.httputil import HTTPHeaders

from lane_kernel.capture import Connection, Store, kernel_store
from lane_kernel.errors import LaneError
from lane_kernel.net.dial import CONNECT_TIMEOUT, Target, dial
from lane_kernel.net.heads import read_response_head, read_small_body
from lane_kernel.net.stream import RecordedStream, StreamClosedError
from lane_kernel.wire.eventstream import Block, Event, EventStreamError, EventStreamParser
from lane_kernel.wire.handshake import build_head
from lane_kernel.wire.http1 import ChunkedDecoder, ChunkError

_READ = 64 * 1024


class EventSourceError(LaneError):
    """A stream of events cannot be had, or has ended."""


class EventSource:
    """A stream of events over one connection.

        async with lane.EventSource(server.url("/clock")) as source:
            for event in await source.take(3, timeout=5):
                print(event.type, event.data, event.last_event_id)

    Attributes:
        url: What it reads.
    """

    def __init__(
        self,
        url: str,
        *,
        last_event_id: str = "",
        store: Store | None = None,
        timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        """Name a stream; entering the block connects.

        Args:
            url: An `http://` URL.
            last_event_id: What to send as Last-Event-ID; nothing where it is empty.
            store: Where to record; the kernel's store by default.
            timeout: The bound on connecting, and again on the answer, in seconds.
        """
        self.url = url
        self._store = store
        self._timeout = timeout
        self._parser = EventStreamParser(last_event_id)
        self._stream: RecordedStream | None = None
        self._chunked: ChunkedDecoder | None = None
        self._left: int | None = None
        self._events: deque[Event] = deque()
        self._reading: asyncio.Future[bytes] | None = None
        self._ended = False
        self._failure: ChunkError | EventStreamError | None = None

    @property
    def last_event_id(self) -> str:
        """The last event ID so far."""
        return self._parser.last_event_id

    @property
    def retry(self) -> int | None:
        """The reconnection time that the stream has set, in milliseconds."""
        return self._parser.retry

    @property
    def connection(self) -> Connection | None:
        """The connection as the capture knows it; None before it is made."""
        return None if self._stream is None else self._stream.record

    async def __aenter__(self) -> Self:
        """Connect and read the answer's head.

        Raises:
            DialError: Nothing answers at the URL.
            EventSourceError: The answer is not 200 with an event stream.
            ResponseError: What came is no HTTP, or nothing came in time.
            ConnectionLostError: The server ended the connection before it answered.
        """
        target = Target(self.url, ("http",))
        stream = await dial(target, self._store or kernel_store(), "client", self._timeout)
        try:
            lines = [("Host", target.authority), ("Accept", "text/event-stream"), ("Cache-Control", "no-store")]
            if self.last_event_id:
                # The header's value is UTF-8; heads are built as Latin-1 (WHATWG HTML §9.2.3).
                lines.append(("Last-Event-ID", self.last_event_id.encode().decode("latin-1")))
            stream.send(build_head(f"GET {target.path} HTTP/1.1", lines))
            head = await read_response_head(stream, timeout=self._timeout)
            said = "" if head.status == 200 else await read_small_body(stream, head)
            self._check(head.status, f"{head.reason} ({said})" if said else head.reason, head.headers)
        except BaseException:
            stream.close()
            raise
        self._stream = stream
        return self

    def _check(self, status: int, reason: str, headers: HTTPHeaders) -> None:
        kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
        if status != 200:
            raise EventSourceError(f"{self.url} answered {status} {reason}: an event stream is answered with 200")
        if kind != "text/event-stream":
            raise EventSourceError(
                f"{self.url} sends {kind or 'no content type'}: an event stream is text/event-stream"
            )
        if headers.get("Transfer-Encoding", "").strip().lower() == "chunked":
            self._chunked = ChunkedDecoder()
        elif (length := headers.get("Content-Length", "")).isdigit():
            self._left = int(length)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the connection."""
        self.close()

    def close(self) -> None:
        """End the connection; events that have come may still be taken."""
        self._ended = True
        if self._stream is not None:
            self._stream.close()

    async def _read(self, timeout: float | None = None) -> None:
        """Take in what comes next, or give up waiting; a read that has begun is kept for the next call."""
        if self._stream is None:
            raise EventSourceError(f"{self.url} is not connected: use `async with lane.EventSource(url) as source`")
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._stream.read_bytes(_READ, partial=True))
        await asyncio.wait({self._reading}, timeout=timeout)
        if not self._reading.done():
            return
        reading, self._reading = self._reading, None
        try:
            data = reading.result()
        except StreamClosedError:
            self._ended = True
            return
        for piece in self._unframe(data):
            self._parse(piece)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self.close()
            raise EventSourceError(f"{self.url}: {failure}") from failure
        if self._left == 0 or (self._chunked is not None and self._chunked.is_finished):
            self.close()

    def _unframe(self, data: bytes) -> list[bytes]:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        if self._chunked is None:
            return [data]
        try:
            return [piece for _, piece in self._chunked.feed(data)]
        except ChunkError as error:
            self._failure = error
            return [piece for _, piece in error.pieces]

    def _parse(self, piece: bytes) -> None:
        """Take in the events of a piece; what came before a failure is kept."""
        try:
            blocks: Sequence[Block] = self._parser.feed(piece)
        except EventStreamError as error:
            self._failure = self._failure or error
            blocks = error.blocks
        self._events.extend(event for block in blocks if (event := block.event) is not None)

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield events until the stream ends."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._ended:
                return
            await self._read()

    async def take(self, count: int, timeout: float) -> list[Event]:
        """Wait for a number of events.

        Args:
            count: How many.
            timeout: The bound on the wait in seconds.

        Raises:
            EventSourceError: The stream ended, or the time was up, before so many had come. Those that came are kept
                for the next `take`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while len(self._events) < count and not self._ended:
            left = deadline - loop.time()
            if left <= 0:
                raise EventSourceError(f"{self.url}: {len(self._events)} of {count} events came within {timeout:g} s")
            await self._read(left)
        if len(self._events) < count:
            raise EventSourceError(f"{self.url} ended after {len(self._events)} of {count} events")
        return [self._events.popleft() for _ in range(count)]
