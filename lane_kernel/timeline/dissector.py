"""From the chunks of one connection to rows: where each head, frame, event and body begins and ends.

It is lenient: what breaks a rule is still shown, with a finding. Each direction is read by a small reader that knows
what stands there now; the answer to a request decides what follows.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from lane_kernel.sides import Direction, Side
from lane_kernel.timeline.conversation import Conversation
from lane_kernel.timeline.faults import Speech
from lane_kernel.timeline.readers import (
    ChunkedReader,
    EventReader,
    FrameReader,
    HeadReader,
    Held,
    Kind,
    LengthReader,
    LostReader,
    RawReader,
    Reader,
    Row,
)
from lane_kernel.wire import rules
from lane_kernel.wire.deflate import ExtensionError
from lane_kernel.wire.eventstream_findings import judge_stream_head
from lane_kernel.wire.frames import decode_header, judge_header
from lane_kernel.wire.handshake import (
    Agreement,
    Fault,
    Offer,
    agreed,
    is_upgrade,
    judge_request,
    judge_response,
)
from lane_kernel.wire.http1 import Head
from lane_kernel.wire.rules import Finding

_START_LINE = re.compile(rb"[A-Z]{3,20} \S{1,8192} HTTP/1\.\d\r?\n|HTTP/1\.\d \d{3}[ \r\n]")


class ConnectionDissector:
    """Both directions of one connection, read together."""

    def __init__(self, observer: Side | None = None) -> None:
        """Begin before the first request.

        Args:
            observer: The end whose records these are; None where nobody knows.
        """
        self._observer = observer
        self._now_ns = 0
        self._conversation: Conversation | None = None
        self._readers: dict[Direction, Reader] = {way: self._head_reader(way) for way in Direction}
        self._ends = dict.fromkeys(Direction, 0)
        self._requests: deque[Head] = deque()
        # What a reader left for its successor. A queue, not a call within the call: one chunk may hold 3,000 requests.
        self._rest: deque[tuple[Direction, bytes, int]] = deque()

    def feed(self, direction: Direction, data: bytes, at: int, time_ns: int = 0) -> Iterator[Row]:
        """Read the next bytes of one direction.

        Args:
            direction: Which way they travelled.
            data: The bytes.
            at: Where they begin in that direction's stream; those that are passed over have been forgotten.
            time_ns: When they crossed the socket.
        """
        if not data:
            return
        self._tell_time(time_ns)
        if at > self._ends[direction]:
            yield from self._lose(direction, at)
        self._ends[direction] = at + len(data)
        self._rest.append((direction, data, at))
        while self._rest:
            way, rest, place = self._rest.popleft()
            if isinstance(self._readers[way], LostReader):
                self._find_again(way, rest)
            yield from self._readers[way].feed(rest, place)

    def finish(self, ends: dict[Direction, int]) -> Iterator[Row]:
        """Say that the connection has ended, and yield what was cut short.

        Args:
            ends: How long each direction's stream is.
        """
        for direction, end in ends.items():
            if end > self._ends[direction]:
                yield from self._lose(direction, end)
                self._ends[direction] = end
            yield from self._readers[direction].finish(end)

    def end(self, time_ns: int, ended_by: Side | None) -> tuple[Finding, ...]:
        """Say who ended the connection, after `finish`; answer what was found missing."""
        self._tell_time(time_ns)
        return () if self._conversation is None else self._conversation.end(ended_by)

    def speech(self, way: Direction) -> Speech:
        """What a direction speaks now."""
        match self._readers[way]:
            case FrameReader():
                return Speech.FRAMES
            case EventReader():
                return Speech.EVENTS
            case HeadReader():
                return Speech.HEADS
        return Speech.OTHER

    def _tell_time(self, time_ns: int) -> None:
        self._now_ns = time_ns
        if self._conversation is not None:
            self._conversation.now_ns = time_ns

    def _head_reader(self, way: Direction) -> HeadReader:
        if way is Direction.TO_SERVER:
            return HeadReader(way, self._judge_request, self._request)
        return HeadReader(way, self._judge_response, self._response)

    def _judge_request(self, head: Head) -> Iterator[Finding]:
        if _is_handshake(head):
            for fault in judge_request(head.method, head.version, head.lines):
                yield _finding(fault, head)

    def _judge_response(self, head: Head) -> Iterator[Finding]:
        request = self._requests[0] if self._requests else None
        if head.status in (100, 102, 103):
            return
        if _is_event_stream(head.first("content-type")) or (request and _is_event_stream(request.first("accept"))):
            yield from judge_stream_head(head)
        if request is None or not _is_handshake(request):
            return
        key, offer = request.first("sec-websocket-key") or "", Offer.of(request.lines)
        for fault in judge_response(head.status, head.reason, head.lines, key, offer):
            yield _finding(fault, head)
        origin = request.first("origin")
        if head.status == 403 and origin is not None:
            yield Finding(rules.ORIGIN_REFUSED, head.start_line, f"a page of {origin} was refused")

    def _lose(self, way: Direction, at: int) -> Iterator[Row]:
        """Pass over forgotten bytes; only a frame that reaches over them is not lost with them."""
        reader, end = self._readers[way], self._ends[way]
        if isinstance(reader, FrameReader) and reader.reaches(at):
            return
        yield from reader.finish(end)
        # What was lost may have been the answer to anything.
        self._conversation = None
        yield Row(Kind.BODY, way, end, at, f"{at - end:,} bytes, forgotten before they were read")
        self._readers[way] = LostReader(way)
        held = self._readers[Direction.TO_SERVER]
        if way is Direction.TO_CLIENT and isinstance(held, Held):
            self._switch(Direction.TO_SERVER, LostReader(Direction.TO_SERVER), *held.take())

    def _find_again(self, way: Direction, data: bytes) -> None:
        """Go on where a chunk begins with a head, or is whole frames that break no rule."""
        if _START_LINE.match(data):
            self._readers[way] = self._head_reader(way)
        elif _are_frames(data, way.sender):
            # Judged alone: what the other direction said meanwhile is not known.
            self._readers[way] = FrameReader(way, Conversation(self._observer), message_open=None)

    def _switch(self, direction: Direction, reader: Reader, rest: bytes, at: int) -> None:
        self._readers[direction] = reader
        if rest:
            self._rest.append((direction, rest, at))

    def _request(self, head: Head, rest: bytes) -> Iterator[Row]:
        self._requests.append(head)
        way = Direction.TO_SERVER
        reader = Held() if _asks_for_upgrade(head) else self._body(way, head, until_close=False)
        self._switch(way, reader, rest, head.span.stop)
        return iter(())

    def _response(self, head: Head, rest: bytes) -> Iterator[Row]:
        way, at = Direction.TO_CLIENT, head.span.stop
        if head.status == 101:
            yield from self._upgrade(head)
            if self._conversation is not None:
                self._switch(way, FrameReader(way, self._conversation), rest, at)
            return
        if 100 <= head.status < 200:
            self._switch(way, self._head_reader(way), rest, at)
            return
        request = self._requests.popleft() if self._requests else None
        held = self._readers[Direction.TO_SERVER]
        if isinstance(held, Held) and not any(map(_asks_for_upgrade, self._requests)):
            after = self._head_reader(Direction.TO_SERVER)
            self._switch(Direction.TO_SERVER, after, *held.take())
        bodiless = head.status in (204, 304) or (request is not None and request.method == "HEAD")
        reader = self._head_reader(way) if bodiless else self._body(way, head, until_close=True)
        self._switch(way, reader, rest, at)

    def _upgrade(self, head: Head) -> Iterator[Row]:
        way = Direction.TO_SERVER
        reader = self._readers[way]
        request = self._requests.popleft() if self._requests else None
        offer = Offer() if request is None else Offer.of(request.lines)
        self._conversation = Conversation(self._observer, _agreed(head, offer).deflate)
        self._conversation.now_ns = self._now_ns
        data, at = b"", self._ends[way]
        if isinstance(reader, Held):
            data, at = reader.take()
        else:
            yield from reader.finish(at)
        early = at + len(data) if data else 0
        self._switch(way, FrameReader(way, self._conversation, early=early), data, at)

    def _body(self, way: Direction, head: Head, *, until_close: bool) -> Reader:
        after = self._head_reader(way)
        content = EventReader(way) if _is_event_stream(head.first("content-type")) else None
        length = (head.first("content-length") or "").strip()
        if "chunked" in (head.first("transfer-encoding") or "").lower():
            return ChunkedReader(way, content, lambda rest, at: self._switch(way, after, rest, at))
        if length.isascii() and length.isdigit():
            size = int(length.lstrip("0")[:18] or "0")
            if not size:
                return after
            return LengthReader(way, content, size, lambda rest, at: self._switch(way, after, rest, at))
        if not until_close:
            return after
        return content or RawReader(way)


def _asks_for_upgrade(head: Head) -> bool:
    return is_upgrade(head.lines)


def _is_handshake(head: Head) -> bool:
    """Whether a request means to open a WebSocket, however wrongly."""
    return _asks_for_upgrade(head) or head.first("sec-websocket-key") is not None


def _is_event_stream(content_type: str | None) -> bool:
    return (content_type or "").split(";")[0].strip().lower() == "text/event-stream"


def _finding(fault: Fault, head: Head) -> Finding:
    return Finding(fault.rule, head.place(fault.header), fault.text)


def _agreed(head: Head, offer: Offer) -> Agreement:
    try:
        return agreed(head.lines, offer)
    except ExtensionError:
        return Agreement()


def _are_frames(data: bytes, sender: Side) -> bool:
    position = 0
    while (header := decode_header(data, position)) is not None:
        if any(True for _ in judge_header(header, sender)):
            return False
        position += header.size + header.length
    return position == len(data)
