"""The frames of both directions of one connection, held against the rules that take more than one frame.

Each frame by itself is judged by `wire.frames`; here is what hangs between them: fragments and what they add up to,
Pings and their Pongs, the two Closes, and how it all ended.

Source: RFC 6455 §5.4, §5.5 and §7.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lane_kernel.sides import Direction, Side
from lane_kernel.wire import rules
from lane_kernel.wire.deflate import DeflateParameters, Inflater
from lane_kernel.wire.frames import FrameHeader, Opcode, Unmask, apply_mask, judge_header
from lane_kernel.wire.messages import MessageReader
from lane_kernel.wire.rules import Finding, ProtocolError, Rule
from lane_kernel.wire.spans import Span
from lane_kernel.wire.writer import RSV1

PATIENCE_NS = 1_000_000_000
"""How long an answer may be under way, where the other end's records do not tell that the question had come."""

MAX_INFLATED = 64 * 1024 * 1024
"""The bound on what one message is inflated to for its judgement, in bytes."""

_MAX_PINGS = 1000
"""Pings of one direction that a Pong is looked for among; a peer that answers only the latest leaves the others."""

_MAX_CONTROL = 0xFFFF


@dataclass(slots=True)
class _Question:
    """A Ping or a Close that waits for its answer."""

    payload: bytes
    span: Span
    time_ns: int
    is_owed: bool = True


@dataclass(slots=True)
class _Way:
    """What is known of one direction."""

    message: MessageReader
    found: list[Finding] = field(default_factory=list)
    last_key: bytes | None = None
    close: _Question | None = None
    pings: list[_Question] = field(default_factory=list)
    control: bytearray | None = None
    taken: int = 0


class Conversation:
    """Both directions' frames.

    Attributes:
        now_ns: When the bytes that are judged crossed the socket.
        rsv_allowed: The RSV bits that the handshake gave a meaning, RSV1 being 4.
    """

    def __init__(
        self, observer: Side | None = None, deflate: DeflateParameters | None = None, unmask: Unmask = apply_mask
    ) -> None:
        """Begin after the opening handshake.

        Args:
            observer: The end whose records these are; None where nobody knows.
            deflate: What the handshake agreed on permessage-deflate.
            unmask: The function that unmasks payload data.
        """
        self.now_ns = 0
        self.rsv_allowed = 0 if deflate is None else RSV1
        self._observer = observer
        self._unmask = unmask
        self._ways = {way: _Way(self._reader(way, deflate)) for way in Direction}

    def _reader(self, way: Direction, deflate: DeflateParameters | None) -> MessageReader:
        def blame(rule: Rule, span: Span, text: str) -> None:
            self._ways[way].found.append(Finding(rule, span, text))

        inflater = None if deflate is None else Inflater(deflate, way.sender)
        return MessageReader(blame=blame, max_message=MAX_INFLATED, inflater=inflater)

    def is_plain(self, way: Direction) -> bool:
        """Whether a whole message in one frame that breaks no rule by itself needs no judgement here."""
        state = self._ways[way]
        return state.close is None and state.message.opcode is None

    def last_key(self, way: Direction) -> bytes | None:
        """The masking-key of the last frame."""
        return self._ways[way].last_key

    def note_key(self, way: Direction, key: bytes | None) -> None:
        """Say what the masking-key of a frame was that needed no judgement."""
        self._ways[way].last_key = key

    def begin(self, way: Direction, header: FrameHeader, at: int, *, message_open: bool | None) -> bool:
        """Take a frame's header.

        Args:
            way: Which way it travels.
            header: The header.
            at: Where it begins.
            message_open: Whether a message is unfinished there; None where nobody knows.

        Returns:
            Whether `feed` wants the frame's payload data.
        """
        state, span = self._ways[way], Span(at, at + header.size)
        found = state.found
        found += [Finding(rule, span, text) for rule, text in judge_header(header, way.sender, self.rsv_allowed)]
        key = header.masking_key
        if key is not None and key == state.last_key and header.length:
            text = f"the masking-key {key.hex(' ')} of the frame before, too"
            found.append(Finding(rules.MASKING_KEY_REPEATED, Span(span.stop - 4, span.stop), text))
        state.last_key = key
        if state.close is not None and header.opcode < 8:
            found.append(Finding(rules.DATA_AFTER_CLOSE, span, "a data frame after a Close"))
        state.taken = 0
        if header.opcode >= 8:
            state.control = bytearray()
            return header.length <= _MAX_CONTROL
        state.control = None
        is_continuation = header.opcode == Opcode.CONTINUATION
        if is_continuation and message_open is False:
            found.append(Finding(rules.UNEXPECTED_CONTINUATION, span, "a continuation frame outside a message"))
        if not is_continuation and message_open:
            found.append(Finding(rules.DATA_INSIDE_MESSAGE, span, "a new message inside an unfinished one"))
        return self._begin_data(state, header)

    def _begin_data(self, state: _Way, header: FrameHeader) -> bool:
        message = state.message
        is_compressed = bool(header.rsv & self.rsv_allowed)
        if header.opcode == Opcode.CONTINUATION:
            return message.opcode is not None
        # A whole, uncompressed message is judged by its own bytes, when someone looks at it.
        if header.opcode > Opcode.BINARY or (header.fin and not is_compressed):
            message.opcode = None
            return False
        message.begin(Opcode(header.opcode), is_compressed=is_compressed)
        return True

    def feed(self, way: Direction, header: FrameHeader, at: int, data: bytes) -> None:
        """Take a piece of the payload data of the frame that has begun.

        Args:
            way: Which way it travels.
            header: The frame's header.
            at: Where the frame's payload data begins.
            data: The piece as it crossed the socket; empty where there is none.
        """
        state = self._ways[way]
        if header.masking_key is not None:
            turn = state.taken % 4
            data = self._unmask(header.masking_key[turn:] + header.masking_key[:turn], data)
        place = at + state.taken
        state.taken += len(data)
        if state.control is not None:
            state.control += data
            return
        is_last = header.fin and state.taken == header.length
        try:
            state.message.feed(data, place, Span(at, at + header.length), is_last=is_last)
        except ProtocolError:
            # Too big to be inflated for a judgement: what follows of the message is not judged.
            state.message.opcode = None
            return
        if is_last:
            state.message.finish()

    def finish(self, way: Direction, header: FrameHeader, span: Span) -> tuple[Finding, ...]:
        """Say that the frame is whole, or all that there is of it.

        Args:
            way: Which way it travelled.
            header: Its header.
            span: All of it.

        Returns:
            What was found in it.
        """
        state = self._ways[way]
        if state.control is not None and state.taken == header.length:
            self._take_control(way, header, bytes(state.control), span)
        found, state.found = tuple(state.found), []
        return found

    def _take_control(self, way: Direction, header: FrameHeader, payload: bytes, span: Span) -> None:
        state = self._ways[way]
        if header.opcode == Opcode.CLOSE:
            self._take_close(way, payload, span)
        elif header.opcode == Opcode.PING:
            # Who has received a Close need not answer, and who has sent one may be silent (RFC 6455 §5.5.2, §1.4).
            is_owed = state.close is None and self._other(way).close is None
            state.pings.append(_Question(payload, span, self.now_ns, is_owed))
            del state.pings[:-_MAX_PINGS]
        elif header.opcode == Opcode.PONG and not self._answer_ping(self._other(way).pings, payload):
            state.found.append(Finding(rules.UNSOLICITED_PONG, span, "a Pong that answers no Ping"))

    @staticmethod
    def _answer_ping(pings: list[_Question], payload: bytes) -> bool:
        """Take a Pong for the answer to a Ping, if there is one that it may answer.

        It may answer the latest Ping alone, and so all before it; these are owed nothing any more, and may be answered
        all the same (RFC 6455 §5.5.3).
        """
        places = [place for place, ping in enumerate(pings) if ping.payload == payload]
        if not places:
            return False
        for ping in pings[: places[-1] + 1]:
            ping.is_owed = False
        del pings[places[0]]
        return True

    def _take_close(self, way: Direction, payload: bytes, span: Span) -> None:
        state, other = self._ways[way], self._other(way)
        if state.close is not None:
            return
        state.close = _Question(payload, span, self.now_ns)
        if state.message.opcode is not None:
            state.found.append(Finding(rules.UNFINISHED_MESSAGE, span, "a Close inside an unfinished message"))
        # Two Closes may cross: only the observer's own, sent after the other had come, is known to be an answer.
        answered = other.close if self._observer is way.sender else None
        if answered is not None and answered.payload[:2] not in (b"", payload[:2]):
            code = int.from_bytes(answered.payload[:2], "big")
            text = f"the Close it answers has code {code}"
            state.found.append(Finding(rules.CLOSE_CODE_NOT_ECHOED, span, text))

    def _other(self, way: Direction) -> _Way:
        return self._ways[way.sender.incoming]

    def end(self, ended_by: Side | None) -> tuple[Finding, ...]:
        """Say that the connection has ended.

        Args:
            ended_by: Who ended it; None where nobody knows.

        Returns:
            What was found missing; the spans are of what was not answered.
        """
        found: list[Finding] = []
        for way in Direction:
            state, sender = self._ways[way], way.sender.value
            for ping in state.pings:
                if ping.is_owed and self._was_due(way, ping, ended_by):
                    text = f"the {sender}'s Ping {ping.payload[:20]!r} has no Pong"
                    found.append(Finding(rules.UNANSWERED_PING, ping.span, text))
            close = state.close
            is_unanswered = self._other(way).close is None
            if close and is_unanswered and (ended_by is way.sender.peer or self._was_due(way, close, ended_by)):
                found.append(Finding(rules.UNANSWERED_CLOSE, close.span, f"the {sender}'s Close has no answer"))
            if close is None and state.message.opcode is not None:
                text = f"the {sender}'s last message has no last fragment"
                found.append(Finding(rules.UNFINISHED_MESSAGE, Span(0, 0), text))
        closes = [way for way in Direction if self._ways[way].close is not None]
        if not closes:
            found.append(Finding(rules.EOF_WITHOUT_CLOSE, Span(0, 0), "the connection ended without a Close"))
        elif len(closes) == 2 and ended_by is Side.CLIENT:
            text = "the client ended the TCP connection before the server did"
            found.append(Finding(rules.CLIENT_ENDED_FIRST, Span(0, 0), text))
        return tuple(found)

    def _was_due(self, way: Direction, question: _Question, ended_by: Side | None) -> bool:
        """Whether an answer was owed: the other end had the question, or time enough, and the asker did not leave."""
        if self._observer is way.sender.peer and ended_by is not way.sender:
            return True
        return self.now_ns - question.time_ns >= PATIENCE_NS
