"""HTTP/1.1 heads, chunked bodies and Sec-WebSocket-Extensions, set on any bytes.

RFC 9112 §2 to §7; RFC 6455 §4 and §9.1; RFC 7692 §7.1.
"""

from __future__ import annotations

from collections.abc import Iterable

from lane_kernel.sides import Side
from lane_kernel.wire.deflate import (
    DeflateParameters,
    Deflater,
    Extension,
    ExtensionError,
    Inflater,
    answer,
    check_answer,
    judge_offers,
    offer,
    parse_extensions,
)
from lane_kernel.wire.eventstream_findings import judge_stream_head
from lane_kernel.wire.handshake import (
    HandshakeError,
    Offer,
    agree,
    build_head,
    check_request,
    check_response,
    judge_request,
    judge_response,
)
from lane_kernel.wire.heads import judge_head
from lane_kernel.wire.http1 import (
    ChunkedDecoder,
    ChunkError,
    Head,
    describe_head,
    find_head_end,
    is_secret,
    parse_head,
    redact_head,
)
from lane_kernel.wire.spans import Span
from tests.conformance.fuzzing.choices import Choices, assert_within, chunkings
from tests.wire.helpers import assert_tiles

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


# Heads


def run_heads(data: bytes) -> None:
    """Read an input as a head, and judge it as a request, an answer and the beginning of an event stream."""
    choices = Choices(data)
    offset = choices.one_of((0, 1000))
    offered = choices.deflate()
    wire = choices.rest()
    end = find_head_end(wire)
    assert all(find_head_end(wire, size) == end for size in range(end or len(wire)))
    raw = wire[:end]
    head = parse_head(raw, offset)
    assert_tiles(describe_head(raw, offset), head.span)
    assert head.span == Span(offset, offset + len(raw))
    for is_response in (False, True):
        for finding in judge_head(raw, head, is_response=is_response):
            assert_within(finding.span, head.span)
    for finding in judge_stream_head(head):
        assert_within(finding.span, head.span)
    _check_redacted(raw)
    _check_built(head)
    _check_request(head)
    _check_response(head, Offer(("chat",), () if offered is None else (offer(offered),)))


def _check_redacted(raw: bytes) -> None:
    """Nothing moves, and nothing secret is left."""
    head, redacted = parse_head(raw), parse_head(redact_head(raw))
    assert redacted.span == head.span
    assert redacted.parts == head.parts
    for before, after in zip(head.headers, redacted.headers, strict=True):
        assert (after.name, after.name_span, after.value_span) == (before.name, before.name_span, before.value_span)
        assert after.value == ("*" * len(before.value) if is_secret(before.name) else before.value)


def _check_built(head: Head) -> None:
    """A head that can be built is read as it was meant."""
    start_line = " ".join(text for text, _ in head.parts)
    try:
        wire = build_head(start_line, head.lines)
    except HandshakeError:
        return
    again = parse_head(wire)
    assert find_head_end(wire) == len(wire) or not start_line
    if start_line:
        assert again.lines == head.lines
        assert " ".join(text for text, _ in again.parts) == start_line


def _check_request(head: Head) -> None:
    """The strict check raises the first fault that has a status; what passes can be agreed on and answered."""
    faults = list(judge_request(head.method, head.version, head.lines))
    for fault in faults:
        assert_within(head.place(fault.header), head.span)
    refused = next((fault for fault in faults if fault.rule.status is not None), None)
    try:
        accept = check_request(head.method, head.version, head.lines)
    except HandshakeError as error:
        raised = (error.rule, str(error), error.status)
        assert refused is not None
        assert raised == (refused.rule, refused.text, refused.rule.status)
        return
    assert refused is None
    asked = Offer.of(head.lines)
    assert Offer.of(asked.headers) == asked
    agreed = agree(head.lines, subprotocols=("chat", "superchat"), wishes=DeflateParameters())
    lines = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept), *agreed.headers]
    seen = check_response(101, "", lines, head.first("sec-websocket-key") or "", asked)
    assert (seen.subprotocol, seen.deflate) == (agreed.subprotocol, agreed.deflate)


def _check_response(head: Head, offered: Offer) -> None:
    faults = list(judge_response(head.status, head.reason, head.lines, KEY, offered))
    for fault in faults:
        assert_within(head.place(fault.header), head.span)
    try:
        agreed = check_response(head.status, head.reason, head.lines, KEY, offered)
    except HandshakeError as error:
        blamed = error.rule
        assert blamed in [fault.rule for fault in faults]
        return
    assert agreed.subprotocol in (None, *offered.subprotocols)
    assert agreed.deflate is None or offered.extensions


# Chunked bodies


def run_chunked(data: bytes) -> None:
    """Read an input as a chunked body, and another as its data."""
    choices = Choices(data)
    max_line = choices.one_of((8192, 4, 9))
    places = choices.places()
    wire = choices.rest()
    first, *others = [_decode(wire, pieces, max_line) for pieces in chunkings(wire, places)]
    for other in others:
        assert other == first, f"another chunking reads {other}, not {first}"
    for pieces in chunkings(wire, places):
        coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"
        assert _decode(coded + b"next", [coded + b"next"], 8192) == (wire, len(coded), "")


def _decode(wire: bytes, pieces: Iterable[bytes], max_line: int) -> tuple[bytes, int | None, str]:
    """The body, where it ended, and what was wrong; each piece stands where it is said to."""
    decoder = ChunkedDecoder(max_line)
    body, at = b"", 0
    for piece in pieces:
        try:
            found = decoder.feed(piece, at)
        except ChunkError as error:
            return body + b"".join(part for _, part in error.pieces), None, str(error)
        for place, part in found:
            assert wire[place : place + len(part)] == part
            assert part
            body += part
        assert decoder.consumed == len(piece) or decoder.is_finished
        at += decoder.consumed
        if decoder.is_finished:
            return body, at, ""
    return body, None, ""


# Sec-WebSocket-Extensions


def run_extensions(data: bytes) -> None:
    """Read an input as lines of the header, each a value; offer, answer and use what they say."""
    choices = Choices(data)
    wishes = choices.deflate() or DeflateParameters()
    message = choices.rest()
    values = message.decode("latin-1").split("\n")
    try:
        extensions = parse_extensions(values)
    except ExtensionError:
        return
    assert parse_extensions([", ".join(map(str, extensions))]) == extensions
    assert parse_extensions(map(str, extensions)) == extensions
    assert all(judge_offers(extensions))
    _check_agreement(extensions, wishes, message)
    offered = offer(wishes)
    assert list(judge_offers([offered])) == []
    _check_agreement([offered], DeflateParameters(), message)
    try:
        check_answer([offered], extensions)
    except ExtensionError:
        return


def _check_agreement(offers: list[Extension], wishes: DeflateParameters, message: bytes) -> None:
    """What a server answers, the client reads as the server meant it, and both understand each other."""
    chosen = answer(offers, wishes)
    if chosen is None:
        return
    agreed, extension = chosen
    assert parse_extensions([str(extension)]) == [extension]
    assert check_answer(offers, [extension]) == agreed
    for side in Side:
        deflater, inflater = Deflater(agreed, side), Inflater(agreed, side)
        for _ in range(2 if deflater.can else 0):
            assert inflater.inflate(deflater.deflate(message), len(message), is_last=True) == message
