"""What is wrong with an event stream, or worth knowing, and which bytes are to blame.

    judge_stream_head(head)           the answer that begins a stream
    judge_block(data, block)          a block that has ended
    judge_unfinished(data, block)     what is left at the stream's end, `EventStreamParser.unfinished_block`
    error.finding                     an event over the bound, from `EventStreamError`

Source: WHATWG HTML §9.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lane_kernel.wire import rules
from lane_kernel.wire.eventstream import Block
from lane_kernel.wire.eventstream_fields import Body, body_of
from lane_kernel.wire.eventstream_lines import BOM, Effect, read_line, split_lines
from lane_kernel.wire.http1 import Head
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span

_SHOWN = 8
"""Wrong bytes that a finding's text shows at the most."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHARACTER_OR_WRONG_BYTE = re.compile(
    rb"[\x00-\x7f]+|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2}|(.)",
    re.DOTALL,
)  # RFC 3629 §4
_CHARSET = re.compile(r';[ \t]*charset[ \t]*=[ \t]*("[^"]*"|[^;\s]*)', re.IGNORECASE)


def judge_stream_head(head: Head) -> Iterator[Finding]:
    """Judge the head of an answer to a request for an event stream; a redirection is no answer yet.

    Args:
        head: The response's head.

    Yields:
        What a client refuses the stream for, and what it takes no notice of.

    Source: WHATWG HTML §9.2.3, §9.2.5.
    """
    if head.status in _REDIRECTS:
        return
    if head.status != 200:
        status, span = head.parts[1]
        hint = ": a client does not come again" if head.status == 204 else ""
        yield Finding(rules.STREAM_STATUS, span, f"answered with {status or 'no status'}{hint}")
        return
    line = next((line for line in head.headers if line.name.lower() == "content-type"), None)
    if line is None:
        yield Finding(rules.STREAM_CONTENT_TYPE, Span(head.span.stop, head.span.stop), "no Content-Type")
        return
    kind = line.value.partition(";")[0].strip()
    at = line.value_span.start
    if kind.lower() != "text/event-stream":
        yield Finding(rules.STREAM_CONTENT_TYPE, Span(at, at + len(kind)), f"the content type is {kind or 'empty'}")
    elif (match := _CHARSET.search(line.value)) and match[1].strip('"').lower() not in ("utf-8", "utf8"):
        span = Span(at + match.start(1), at + match.end(1))
        yield Finding(rules.STREAM_CHARSET, span, f"charset {match[1]}: read as UTF-8 all the same")


def judge_block(data: bytes, block: Block) -> Iterator[Finding]:
    """Judge a block.

    Args:
        data: The bytes of the block's span, those of its holes included.
        block: The block.

    Yields:
        What is wrong with each line, then with the whole. A hole between the first and the last byte to blame is in
        their span.

    Source: WHATWG HTML §9.2.5, §9.2.6.
    """
    body = body_of(data, block)
    for begin, stop in _lines(body, block):
        yield from _judge_line(body.data[begin:stop], begin, body)
    if block.data is None and block.type:
        typed = [
            place for place in _lines(body, block) if read_line(body.data[slice(*place)]).effect is Effect.SET_TYPE
        ]
        text = f"an event of type {block.type!r} without data: not dispatched"
        yield Finding(rules.EVENT_WITHOUT_DATA, body.place(*typed[-1]), text)


def _lines(body: Body, block: Block) -> Iterator[tuple[int, int]]:
    """The lines that are not empty and not cut short."""
    return ((begin, stop) for begin, stop, after in split_lines(body.data, block.lead) if begin < stop < after)


def _judge_line(raw: bytes, at: int, body: Body) -> Iterator[Finding]:
    for start, stop in _wrong_bytes(raw):
        shown = raw[start : min(stop, start + _SHOWN)].hex(" ") + (" …" if stop > start + _SHOWN else "")
        yield Finding(rules.STREAM_UTF8, body.place(at + start, at + stop), f"{shown} is not UTF-8: read as \ufffd")
    line = read_line(raw)
    name_stop = len(raw.partition(b":")[0])
    value_at = name_stop + line.has_colon + line.has_space
    if raw.startswith(BOM):
        text = "a byte order mark that is not at the stream's start: part of the field's name"
        yield Finding(rules.BOM_MID_STREAM, body.place(at, at + len(BOM)), text)
    match line.effect:
        case Effect.UNKNOWN_FIELD:
            yield Finding(rules.UNKNOWN_FIELD, body.place(at, at + name_stop), f"a field named {line.name!r}: ignored")
        case Effect.ID_WITH_NUL:
            nul = at + raw.index(b"\0", value_at)
            yield Finding(rules.ID_WITH_NUL, body.place(nul, nul + 1), "an ID with NUL: ignored")
        case Effect.RETRY_NOT_DIGITS:
            text = f"a reconnection time of {line.value!r}: ignored"
            yield Finding(rules.RETRY_NOT_DIGITS, body.place(at + value_at, at + len(raw)), text)


def _wrong_bytes(raw: bytes) -> list[tuple[int, int]]:
    """Find the runs of bytes that are not UTF-8."""
    runs: list[tuple[int, int]] = []
    try:
        raw.decode()
    except UnicodeDecodeError:
        for match in _CHARACTER_OR_WRONG_BYTE.finditer(raw):
            start, stop = match.span(1)
            if runs and runs[-1][1] == start:
                runs[-1] = (runs[-1][0], stop)
            elif stop > start:
                runs.append((start, stop))
    return runs


def judge_unfinished(data: bytes, block: Block) -> Iterator[Finding]:
    """Judge what is left at the end of a stream; a comment, a byte order mark or an LF alone is nothing.

    Args:
        data: The bytes of the block's span, those of its holes included.
        block: `EventStreamParser.unfinished_block`.

    Yields:
        What is wrong with its lines, and that no empty line ended them.

    Source: WHATWG HTML §9.2.6.
    """
    yield from judge_block(data, block)
    body = body_of(data, block)
    for begin, stop, _ in split_lines(body.data, block.lead):
        if stop > begin and not body.data.startswith(b":", begin):
            text = "an event without its empty line: not dispatched"
            yield Finding(rules.EVENT_UNTERMINATED, body.place(begin, len(body.data)), text)
            return
