"""The rules of HTTP/1.1 heads: what is wrong with one, and where.

Source: RFC 9112 §2 to §6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lane_kernel.wire import rules
from lane_kernel.wire.http1 import Head, HeaderLine
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~\x80-\xff]+ HTTP/[0-9]\.[0-9]")
_STATUS_LINE = re.compile(rb"HTTP/[0-9]\.[0-9] [0-9]{3}(?: [\t -~\x80-\xff]*)?")
_LINE = re.compile(rb"[^\n]*\n?")
_NOT_IN_VALUES = re.compile(rb"[\0\r]")
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.v]+\])(?::[0-9]*)?")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


def judge_head(data: bytes, head: Head, *, is_response: bool) -> Iterator[Finding]:
    """Yield each rule that a head breaks.

    Args:
        data: The head's bytes, up to and with its empty line.
        head: The same, as `parse_head` read it.
        is_response: Whether it came from the server.
    """
    offset = head.span.start
    bare = _BARE_LINE_FEED.search(data)
    if bare is not None:
        span = Span(offset + bare.start(), offset + bare.end())
        yield Finding(rules.BARE_LINE_FEED, span, "a line that ends with LF alone")
    raw = data[head.start_line.start - offset : head.start_line.stop - offset]
    if not (_STATUS_LINE if is_response else _REQUEST_LINE).fullmatch(raw):
        rule = rules.STATUS_LINE_MALFORMED if is_response else rules.START_LINE_MALFORMED
        what = "status line" if is_response else "request line"
        yield Finding(rule, head.start_line, f"{raw[:40]!r} is no {what}")
    yield from _judge_lines(data, offset)
    if not is_response:
        yield from _judge_host(head)
    yield from _judge_framing(head)


def _judge_lines(data: bytes, offset: int) -> Iterator[Finding]:
    lines = [match for match in _LINE.finditer(data) if match.group().strip(b"\r\n")]
    for match in lines[1:]:
        line = match.group().rstrip(b"\r\n")
        span = Span(offset + match.start(), offset + match.start() + len(line))
        name, colon, _ = line.partition(b":")
        name_span = Span(span.start, span.start + len(name))
        if line[:1] in (b" ", b"\t"):
            yield Finding(rules.HEADER_FOLDED, span, "a line that begins with white space")
        elif not colon:
            yield Finding(rules.HEADER_WITHOUT_COLON, span, f"{line[:40]!r} has no colon")
        elif name != name.rstrip(b" \t"):
            yield Finding(rules.SPACE_BEFORE_COLON, name_span, f"{name[:40]!r}, then a colon")
        elif not _TOKEN.fullmatch(name):
            yield Finding(rules.HEADER_NAME_INVALID, name_span, f"{name[:40]!r} is no token")
        wrong = _NOT_IN_VALUES.search(line)
        if wrong is not None:
            place = Span(span.start + wrong.start(), span.start + wrong.end())
            yield Finding(rules.HEADER_VALUE_INVALID, place, f"{wrong.group()!r} in a header's value")


def _judge_host(head: Head) -> Iterator[Finding]:
    hosts = _all(head, "host")
    if len(hosts) > 1 or (not hosts and head.version.startswith("HTTP/1.") and head.version != "HTTP/1.0"):
        yield Finding(rules.HOST_MISSING, head.place("host"), f"{len(hosts)} Host headers")
    elif hosts and not _HOST.fullmatch(hosts[0].value):
        yield Finding(rules.HOST_MISSING, hosts[0].value_span, f"{hosts[0].value[:40]!r} is no host and port")


def _judge_framing(head: Head) -> Iterator[Finding]:
    lengths = _all(head, "content-length")
    codings = _all(head, "transfer-encoding")
    if lengths and codings:
        yield Finding(rules.LENGTH_AND_CODING, head.place("content-length"), "Content-Length beside Transfer-Encoding")
    # A list of the same number is that number (RFC 9112 §6.3).
    values = {value.strip() for line in lengths for value in line.value.split(",")}
    if len(values) > 1 or any(not re.fullmatch(r"[0-9]+", value) for value in values):
        text = f"Content-Length is {', '.join(line.value for line in lengths)!r}"
        yield Finding(rules.CONTENT_LENGTH_INVALID, head.place("content-length"), text)


def _all(head: Head, name: str) -> list[HeaderLine]:
    return [line for line in head.headers if line.name.lower() == name]
