"""HTTP/1.1 heads and chunked bodies, with the place of every part.

Strict parsing for the server and the clients is done by Tornado in `lane_kernel.net`; what is here reads the same
bytes leniently, so that each one can be shown with its name. A test holds that both agree.

Source: RFC 9112.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lane_kernel.errors import LaneError
from lane_kernel.wire.spans import Family, Field, Span

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(rb"[^\n]*\n?")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:")
_FRAMING = re.compile(
    rb"(?P<end>\r?\n|\r)|(?:(?<=\n)|\A)(?P<size>[0-9A-Fa-f]{1,16})(?=[ \t;\r\n]|\Z)"
    rb"|(?P<extension>[ \t;][^\r\n]*)|[^\r\n]+"
)
_REDACTED = frozenset({"cookie", "set-cookie", "authorization", "proxy-authorization"})
_MEANINGS = {
    "host": ("who is asked for", "RFC 9110 §7.2"),
    "connection": ("what concerns this connection alone", "RFC 9110 §7.6.1"),
    "upgrade": ("the protocol to change to", "RFC 9110 §7.8"),
    "sec-websocket-key": ("16 random bytes, to prove that the answer is meant", "RFC 6455 §11.3.1"),
    "sec-websocket-accept": ("derived from the key: the server understood", "RFC 6455 §11.3.3"),
    "sec-websocket-version": ("the protocol's version, 13", "RFC 6455 §11.3.5"),
    "sec-websocket-protocol": ("subprotocols", "RFC 6455 §11.3.4"),
    "sec-websocket-extensions": ("extensions", "RFC 6455 §11.3.2"),
    "origin": ("the page that asks", "RFC 6454 §7"),
    "content-type": ("what the body is", "RFC 9110 §8.3"),
    "content-length": ("bytes in the body", "RFC 9110 §8.6"),
    "transfer-encoding": ("how the body is framed", "RFC 9112 §6.1"),
    "accept": ("what the client takes", "RFC 9110 §12.5.1"),
    "cache-control": ("whether it may be kept", "RFC 9111 §5.2"),
    "last-event-id": ("the last event that the client saw", "WHATWG HTML §9.2.4"),
    "user-agent": ("the client's program", "RFC 9110 §10.1.5"),
}


class ChunkError(LaneError):
    """A chunked body is not framed as it has to be.

    Attributes:
        pieces: What the same bytes gave of the body before they went wrong.
    """

    def __init__(self, text: str, pieces: tuple[tuple[int, bytes], ...] = ()) -> None:
        super().__init__(text)
        self.pieces = pieces


@dataclass(frozen=True, slots=True)
class HeaderLine:
    """One header line.

    Attributes:
        name: The field name, as written.
        value: The field value without the white space around it.
        name_span: Where the name stands.
        value_span: Where the value stands.
    """

    name: str
    value: str
    name_span: Span
    value_span: Span


@dataclass(frozen=True, slots=True)
class Head:
    """A request's or a response's start line and header lines.

    Attributes:
        parts: The start line's three parts with their places: method, target, version; or version, status, reason.
        headers: The header lines in the order they stand.
        span: All of it, the empty line included.
    """

    parts: tuple[tuple[str, Span], ...]
    headers: tuple[HeaderLine, ...]
    span: Span

    @property
    def is_response(self) -> bool:
        """Whether the start line is a status line."""
        return self.parts[0][0].startswith("HTTP/")

    @property
    def method(self) -> str:
        """A request's method."""
        return self.parts[0][0]

    @property
    def target(self) -> str:
        """A request's target."""
        return self.parts[1][0]

    @property
    def status(self) -> int:
        """A response's status, or 0 where it is not a number."""
        text = self.parts[1][0]
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def reason(self) -> str:
        """A response's reason phrase."""
        return self.parts[2][0]

    @property
    def version(self) -> str:
        """The HTTP version, such as "HTTP/1.1"."""
        return self.parts[0 if self.is_response else 2][0]

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The header lines as (name, value)."""
        return tuple((line.name, line.value) for line in self.headers)

    @property
    def start_line(self) -> Span:
        """Where the start line stands, without its line break."""
        return Span(self.parts[0][1].start, self.parts[-1][1].stop)

    def first(self, name: str) -> str | None:
        """The first value of a header, or None."""
        return next((line.value for line in self.headers if line.name.lower() == name.lower()), None)

    def place(self, name: str | None) -> Span:
        """Where the last header of a name stands, without its line break; the start line where there is none."""
        found = [line for line in self.headers if line.name.lower() == name]
        return Span(found[-1].name_span.start, found[-1].value_span.stop) if found else self.start_line


def find_head_end(data: bytes | bytearray, searched: int = 0) -> int | None:
    """Where the first byte after a head stands, or None where the head has not ended.

    Args:
        data: Bytes that begin with a head.
        searched: How many of them have been searched before, in vain.
    """
    match = _HEAD_END.search(data, max(searched - 3, 0))
    return None if match is None else match.end()


def parse_head(data: bytes, offset: int = 0) -> Head:
    """Read a head leniently: whatever stands there gets a place.

    Args:
        data: The head's bytes, up to and with its empty line.
        offset: Where the head begins in its direction's stream.
    """
    # Empty lines before the start line are passed over, too (RFC 9112 §2.2).
    lines = [(match.group(), offset + match.start()) for match in _LINE.finditer(data) if match.group().strip(b"\r\n")]
    first, at = lines[0] if lines else (b"", offset)
    headers = tuple(_parse_header_line(line, at) for line, at in lines[1:])
    return Head(_parse_start_line(first, at), headers, Span(offset, offset + len(data)))


def _parse_start_line(line: bytes, offset: int) -> tuple[tuple[str, Span], ...]:
    bare = line.rstrip(b"\r\n")
    parts: list[tuple[str, Span]] = []
    start = 0
    for last in (False, False, True):
        stop = len(bare) if last or (found := bare.find(b" ", start)) < 0 else found
        parts.append((bare[start:stop].decode("latin-1"), Span(offset + start, offset + stop)))
        start = min(stop + 1, len(bare))
    return tuple(parts)


def _parse_header_line(line: bytes, offset: int) -> HeaderLine:
    bare = line.rstrip(b"\r\n")
    colon = bare.find(b":")
    if colon < 0:
        colon = len(bare)
    rest = bare[colon + 1 :]
    value = rest.strip(b" \t")
    start = offset + colon + 1 + (len(rest) - len(rest.lstrip(b" \t"))) if value else offset + len(bare)
    return HeaderLine(
        bare[:colon].decode("latin-1"),
        value.decode("latin-1"),
        Span(offset, offset + colon),
        Span(start, start + len(value)),
    )


def redact_head(data: bytes) -> bytes:
    """Overwrite the values of cookies and credentials in a head with asterisks; every byte keeps its place.

    Args:
        data: The head's bytes, up to and with its empty line.
    """
    redacted = bytearray(data)
    for line in parse_head(data).headers:
        if is_secret(line.name):
            redacted[line.value_span.start : line.value_span.stop] = b"*" * len(line.value_span)
    return bytes(redacted)


def is_secret(name: str) -> bool:
    """Whether a header's value must not be shown without being asked for."""
    return name.lower() in _REDACTED


def describe_head(data: bytes, offset: int = 0) -> tuple[Field, ...]:
    """Name every part of a head; the fields' spans tile it without gap or overlap.

    Args:
        data: The head's bytes, up to and with its empty line.
        offset: Where the head begins in its direction's stream.
    """
    head = parse_head(data, offset)
    names = ("version", "status", "reason") if head.is_response else ("method", "target", "version")
    clause = "RFC 9112 §4" if head.is_response else "RFC 9112 §3"
    fields = [
        Field(name, span, text, text, "", clause, Family.HTTP_START)
        for name, (text, span) in zip(names, head.parts, strict=True)
        if len(span)
    ]
    for line in head.headers:
        meaning, where = _MEANINGS.get(line.name.lower(), ("", "RFC 9110 §5"))
        if len(line.name_span):
            fields.append(
                Field("field name", line.name_span, line.name, line.name, "", "RFC 9112 §5", Family.HTTP_NAME)
            )
        if len(line.value_span):
            fields.append(Field(line.name, line.value_span, line.value, line.value, meaning, where, Family.HTTP_VALUE))
    return fill_gaps(fields, data, offset)


def fill_gaps(fields: list[Field], data: bytes, offset: int) -> tuple[Field, ...]:
    """Name the delimiters wherever the fields leave bytes without a name.

    Args:
        fields: Fields in the order of their bytes.
        data: The bytes that all of them stand in.
        offset: Where data begins in its direction's stream.
    """
    tiled: list[Field] = []
    position = offset
    for field in fields:
        if field.span.start > position:
            tiled.append(_delimiter(data, offset, position, field.span.start))
        tiled.append(field)
        position = field.span.stop
    if position < offset + len(data):
        tiled.append(_delimiter(data, offset, position, offset + len(data)))
    return tuple(tiled)


def _delimiter(data: bytes, offset: int, start: int, stop: int) -> Field:
    raw = data[start - offset : stop - offset]
    name, meaning = "space", ""
    if b"\n" in raw:
        name, meaning = ("end of head", "an empty line ends it") if raw.count(b"\n") > 1 else ("end of line", "")
    elif b":" in raw:
        name = "colon"
    return Field(name, Span(start, stop), raw, visible(raw), meaning, "RFC 9112 §2.1", Family.DELIMITER)


def visible(raw: bytes) -> str:
    """Bytes as text in quotes, with escapes for what cannot be seen."""
    return repr(raw.decode("latin-1"))


def describe_chunked(data: bytes, offset: int = 0) -> tuple[Field, ...]:
    """Name every byte of a chunked body; the fields' spans tile it without gap or overlap.

    Args:
        data: The body, its framing included, as far as it is there.
        offset: Where it begins in its direction's stream.

    Source: RFC 9112 §7.1.
    """
    try:
        pieces: Sequence[tuple[int, bytes]] = ChunkedDecoder().feed(data, offset)
    except ChunkError as error:
        pieces = error.pieces
    fields: list[Field] = []
    position = offset
    for place, piece in pieces:
        fields += describe_chunk_framing(data[position - offset : place - offset], position)
        position = place + len(piece)
        text = repr(piece.decode(errors="replace"))
        span = Span(place, position)
        fields.append(Field("chunk data", span, piece, text, "a part of the body", "RFC 9112 §7.1", Family.PAYLOAD))
    fields += describe_chunk_framing(data[position - offset :], position)
    return tuple(fields)


def describe_chunk_framing(data: bytes, offset: int = 0) -> tuple[Field, ...]:
    """Name every byte of what stands between the data of two chunks, before the first or after the last.

    Args:
        data: The bytes.
        offset: Where they begin in their direction's stream.

    Source: RFC 9112 §7.1.
    """
    fields: list[Field] = []
    for match in _FRAMING.finditer(data):
        raw, span = match.group(), Span(offset + match.start(), offset + match.end())
        name, meaning, family = "trailer", "a header line after the body", Family.HTTP_VALUE
        if match.lastgroup == "end":
            name, meaning, family = "end of line", "", Family.DELIMITER
        elif match.lastgroup == "size":
            meaning = "the last chunk" if not raw.strip(b"0") else f"{int(raw, 16):,} bytes of data follow"
            name, family = "chunk size", Family.LENGTH
        elif match.lastgroup == "extension":
            name, meaning, family = "chunk extension", "for whoever knows it", Family.HTTP_VALUE
        fields.append(Field(name, span, raw, visible(raw), meaning, "RFC 9112 §7.1", family))
    return tuple(fields)


class ChunkedDecoder:
    """An incremental reader of a chunked body.

    Source: RFC 9112 §7.1.

    Attributes:
        is_finished: Whether the last chunk and the trailers have been read.
    """

    def __init__(self, max_line: int = 8192) -> None:
        """Begin before the first chunk.

        Args:
            max_line: The bound on a chunk-size line and on a trailer line in bytes.
        """
        self.is_finished = False
        self._max_line = max_line
        self._line = bytearray()
        self._left = 0
        self._expect = "size"

    def feed(self, data: bytes, offset: int = 0) -> list[tuple[int, bytes]]:
        """Take the body's data out of its framing.

        Args:
            data: The next bytes of the connection.
            offset: Where they begin in their direction's stream.

        Returns:
            Pieces of the body, each with its place in the stream.

        Raises:
            ChunkError: The framing is wrong.
        """
        pieces: list[tuple[int, bytes]] = []
        try:
            self._feed(data, offset, pieces)
        except ChunkError as error:
            error.pieces = tuple(pieces)
            raise
        return pieces

    def _feed(self, data: bytes, offset: int, pieces: list[tuple[int, bytes]]) -> None:
        self.consumed = 0
        position = 0
        while position < len(data) and not self.is_finished:
            if self._expect == "data":
                taken = data[position : position + self._left]
                pieces.append((offset + position, taken))
                position += len(taken)
                self._left -= len(taken)
                if not self._left:
                    self._expect = "line break"
                continue
            newline = data.find(b"\n", position)
            stop = len(data) if newline < 0 else newline + 1
            self._line += data[position:stop]
            position = stop
            if len(self._line) > self._max_line:
                raise ChunkError(f"a line of a chunked body is longer than {self._max_line} bytes")
            if newline >= 0:
                line = bytes(self._line)
                self._line.clear()
                if not line.endswith(b"\r\n"):
                    raise ChunkError(f"a line of a chunked body ends with CR LF, not with LF alone: {line[:20]!r}")
                self._take_line(line[:-2])
        self.consumed = position

    consumed = 0
    """How many of the bytes last fed belong to this body; the others follow it."""

    def _take_line(self, line: bytes) -> None:
        if self._expect == "line break":
            if line:
                raise ChunkError(
                    f"a chunk is longer than its size says: {line[:20]!r} stands where a line break should"
                )
            self._expect = "size"
        elif self._expect == "size":
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise ChunkError(f"a chunk size is hexadecimal digits, not {line[:20]!r}")
            self._left = int(size[1], 16)
            self._expect = "data" if self._left else "trailer"
        elif not line:
            self.is_finished = True
        elif not _TRAILER.match(line):
            raise ChunkError(f"a trailer is a name, a colon and a value, not {line[:20]!r}")
