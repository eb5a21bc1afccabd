"""permessage-deflate: its parameters, how both ends agree on them, and the compression itself.

Source: RFC 7692 §7.
"""

from __future__ import annotations

import copy
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from lane_kernel.errors import LaneError
from lane_kernel.sides import Side

NAME = "permessage-deflate"
"""The extension's token in Sec-WebSocket-Extensions."""

_TAIL = b"\x00\x00\xff\xff"
"""What a sync flush ends with; it is left out of each message."""

_PIECE = 16 * 1024
"""Bytes of input that are inflated at once."""

_STEP = 64 * 1024
"""Bytes that one call of zlib gives at the most."""

_TRUSTED = 8 * 1024 * 1024
"""Inflated bytes that are kept before the rest is counted first."""

_SMALLEST_WINDOW = 9
"""The smallest window that zlib compresses with; it refuses 8, which RFC 7692 allows."""

_EXTENSION = re.compile(
    r"""[ \t]*(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*
        (?:=[ \t]*(?:(?P<value>[!#$%&'*+.^_`|~0-9A-Za-z-]+)|"(?P<quoted>(?:\\?[!#$%&'*+.^_`|~0-9A-Za-z-])+)")[ \t]*)?
        (?P<end>;|,[ \t,]*|\Z)""",
    re.VERBOSE,
)
_BITS = re.compile(r"[89]|1[0-5]")


class ExtensionError(LaneError):
    """A Sec-WebSocket-Extensions header is malformed, or names what cannot be."""


class InflateError(LaneError):
    """Compressed data that is no DEFLATE data."""


class InflatedTooBigError(LaneError):
    """Compressed data that is over a bound when it is inflated."""


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension of a Sec-WebSocket-Extensions header.

    Attributes:
        name: Its token.
        parameters: Its parameters in order; None for one without a value.

    Source: RFC 6455 §9.1.
    """

    name: str
    parameters: tuple[tuple[str, str | None], ...] = ()

    def __str__(self) -> str:
        parts = [self.name]
        parts += [name if value is None else f"{name}={value}" for name, value in self.parameters]
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class DeflateParameters:
    """What both ends have agreed on, or what one of them wishes.

    Attributes:
        server_no_context_takeover: Whether the server begins each message with an empty window.
        client_no_context_takeover: Whether the client does.
        server_max_window_bits: The server's window as a power of two, 8 to 15.
        client_max_window_bits: The client's.

    Source: RFC 7692 §7.1.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 15
    client_max_window_bits: int = 15

    def no_context_takeover(self, side: Side) -> bool:
        """Whether a side begins each message that it sends with an empty window."""
        return self.client_no_context_takeover if side is Side.CLIENT else self.server_no_context_takeover

    def max_window_bits(self, side: Side) -> int:
        """The window that a side compresses with, as a power of two."""
        return self.client_max_window_bits if side is Side.CLIENT else self.server_max_window_bits


def parse_extensions(values: Iterable[str]) -> list[Extension]:
    """Parse the Sec-WebSocket-Extensions headers of a request or a response.

    Args:
        values: The headers' values, in order.

    Raises:
        ExtensionError: They do not follow the grammar.

    Source: RFC 6455 §9.1; RFC 9110 §5.6.1.2 and §5.6.4.
    """
    extensions: list[Extension] = []
    for value in values:
        extensions += _parse_value(value)
    return extensions


def _parse_value(value: str) -> Iterator[Extension]:
    # Empty elements of the list are passed over (RFC 9110 §5.6.1.2), but one that is not empty there has to be.
    text, position, end = value.strip(" \t,"), 0, ","
    parts: list[tuple[str, str | None]] = []
    while end:
        found = _EXTENSION.match(text, position)
        if found is None:
            raise ExtensionError(
                f"{value!r} is no list of extensions from {text[position : position + 20]!r} on: "
                "write name; parameter=value, name"
            )
        quoted = found["quoted"]
        parts.append((found["token"], found["value"] if quoted is None else quoted.replace("\\", "")))
        position, end = found.end(), found["end"]
        if end != ";":
            (name, no_value), *parameters = parts
            if no_value is not None:
                raise ExtensionError(f"{value!r}: the extension {name} has a value, which only a parameter has")
            yield Extension(name, tuple(parameters))
            parts = []


def offer(wishes: DeflateParameters) -> Extension:
    """Make a client's offer.

    It always says that it understands client_max_window_bits.

    Args:
        wishes: What the client wishes; a window of 15 bits is no wish.

    Source: RFC 7692 §7.1.
    """
    parameters: list[tuple[str, str | None]] = []
    if wishes.server_no_context_takeover:
        parameters.append(("server_no_context_takeover", None))
    if wishes.client_no_context_takeover:
        parameters.append(("client_no_context_takeover", None))
    if wishes.server_max_window_bits < 15:
        parameters.append(("server_max_window_bits", str(wishes.server_max_window_bits)))
    bits = wishes.client_max_window_bits
    parameters.append(("client_max_window_bits", str(bits) if bits < 15 else None))
    return Extension(NAME, tuple(parameters))


def answer(
    offers: Sequence[Extension], wishes: DeflateParameters = DeflateParameters()
) -> tuple[DeflateParameters, Extension] | None:
    """Choose among a client's offers as a server does.

    An offer that breaks the rules, and one that zlib cannot do, is declined; the first of the others is taken.

    Args:
        offers: The request's extensions, in the client's order of preference.
        wishes: What the server wishes besides.

    Returns:
        What is agreed, and the extension to answer with; None where all are declined.

    Source: RFC 7692 §5.1 and §7.1.
    """
    for extension in offers:
        if extension.name != NAME:
            continue
        try:
            asked = _read(extension, is_offer=True)
        except ExtensionError:
            continue
        agreed = _agree(asked, wishes)
        if agreed is not None:
            return agreed, _answer_to(asked, agreed)
    return None


def _agree(asked: _Asked, wishes: DeflateParameters) -> DeflateParameters | None:
    server_bits = min(asked.parameters.server_max_window_bits, wishes.server_max_window_bits)
    if server_bits < _SMALLEST_WINDOW:
        return None
    # Without the client's word that it understands, its window cannot be limited (RFC 7692 §7.1.2.2).
    client_bits = asked.parameters.client_max_window_bits
    if asked.limits_client_window:
        client_bits = min(client_bits, wishes.client_max_window_bits)
    return DeflateParameters(
        asked.parameters.server_no_context_takeover or wishes.server_no_context_takeover,
        asked.parameters.client_no_context_takeover or wishes.client_no_context_takeover,
        server_bits,
        client_bits,
    )


def _answer_to(asked: _Asked, agreed: DeflateParameters) -> Extension:
    parameters: list[tuple[str, str | None]] = []
    if agreed.server_no_context_takeover:
        parameters.append(("server_no_context_takeover", None))
    if agreed.client_no_context_takeover:
        parameters.append(("client_no_context_takeover", None))
    if asked.limits_server_window or agreed.server_max_window_bits < 15:
        parameters.append(("server_max_window_bits", str(agreed.server_max_window_bits)))
    if asked.limits_client_window and agreed.client_max_window_bits < 15:
        parameters.append(("client_max_window_bits", str(agreed.client_max_window_bits)))
    return Extension(NAME, tuple(parameters))


def judge_offers(offers: Sequence[Extension]) -> Iterator[str]:
    """Say of each offer of permessage-deflate that breaks a rule what is wrong with it.

    Source: RFC 7692 §7.1.
    """
    for extension in offers:
        if extension.name == NAME:
            try:
                _read(extension, is_offer=True)
            except ExtensionError as error:
                yield str(error)


def check_answer(offers: Sequence[Extension], answers: Sequence[Extension]) -> DeflateParameters | None:
    """Check a server's answer to a client's offers of permessage-deflate as the client does.

    Args:
        offers: What the client offered.
        answers: What the server chose of permessage-deflate: one extension, or none.

    Returns:
        What is agreed; None where nothing was chosen.

    Raises:
        ExtensionError: The answer breaks a rule, or fits none of the offers.

    Source: RFC 7692 §5.1 and §7.1.
    """
    if not answers:
        return None
    if len(answers) > 1:
        raise ExtensionError(f"{NAME} was chosen {len(answers)} times: a server chooses it once")
    chosen = _read(answers[0], is_offer=False)
    why = f"{answers[0]}: {NAME} was not offered"
    for extension in offers:
        if extension.name != NAME:
            continue
        try:
            return _fit(_read(extension, is_offer=True), chosen, answers[0])
        except ExtensionError as error:
            why = str(error)
    raise ExtensionError(why)


def _fit(asked: _Asked, chosen: _Asked, answer: Extension) -> DeflateParameters:
    wanted, got = asked.parameters, chosen.parameters
    if wanted.server_no_context_takeover and not got.server_no_context_takeover:
        raise ExtensionError(f"{answer}: server_no_context_takeover was asked for and is missing")
    if got.server_max_window_bits > wanted.server_max_window_bits:
        raise ExtensionError(
            f"{answer}: a server's window of {wanted.server_max_window_bits} bits at the most was asked for"
        )
    if chosen.limits_client_window and not asked.limits_client_window:
        raise ExtensionError(f"{answer}: client_max_window_bits was not offered")
    # The client's own limits hold whether the server repeats them or not.
    return replace(
        got,
        client_no_context_takeover=got.client_no_context_takeover or wanted.client_no_context_takeover,
        client_max_window_bits=min(got.client_max_window_bits, wanted.client_max_window_bits),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    parameters: DeflateParameters
    limits_server_window: bool
    limits_client_window: bool


def _read(extension: Extension, *, is_offer: bool) -> _Asked:
    """Read an offer's or an answer's parameters.

    Source: RFC 7692 §7.1: an unknown parameter, a wrong value or one that comes twice makes an offer invalid, and an
    answer one that fails the connection.
    """
    given: dict[str, str | None] = {}
    for name, value in extension.parameters:
        if name in given:
            raise ExtensionError(f"{extension}: {name} comes twice")
        given[name] = value
    seen = dict(given)
    takeover = {
        name: _flag(extension, name, seen) for name in ("server_no_context_takeover", "client_no_context_takeover")
    }
    server_bits = _bits(extension, "server_max_window_bits", seen, bare=False)
    client_bits = _bits(extension, "client_max_window_bits", seen, bare=is_offer)
    if seen:
        raise ExtensionError(f"{extension}: {next(iter(seen))} is no parameter of {NAME}")
    parameters = DeflateParameters(
        takeover["server_no_context_takeover"], takeover["client_no_context_takeover"], server_bits, client_bits
    )
    return _Asked(parameters, "server_max_window_bits" in given, "client_max_window_bits" in given)


def _flag(extension: Extension, name: str, given: dict[str, str | None]) -> bool:
    if name not in given:
        return False
    if given.pop(name) is not None:
        raise ExtensionError(f"{extension}: {name} has no value")
    return True


def _bits(extension: Extension, name: str, given: dict[str, str | None], *, bare: bool) -> int:
    if name not in given:
        return 15
    value = given.pop(name)
    if value is None and bare:
        return 15
    if value is None or not _BITS.fullmatch(value):
        raise ExtensionError(f"{extension}: {name} is a whole number from 8 to 15, not {value or 'nothing'}")
    return int(value)


class Deflater:
    """Compresses the messages of one side."""

    def __init__(self, parameters: DeflateParameters, side: Side) -> None:
        """Begin with an empty window.

        Args:
            parameters: What was agreed.
            side: Who sends.
        """
        self._bits = parameters.max_window_bits(side)
        self._keeps = not parameters.no_context_takeover(side)
        self._compressor = self._make() if self.can else None

    @property
    def can(self) -> bool:
        """Whether zlib can compress with the agreed window; it cannot with one of 8 bits."""
        return self._bits >= _SMALLEST_WINDOW

    def _make(self) -> zlib._Compress:
        return zlib.compressobj(wbits=-self._bits)

    def deflate(self, payload: bytes) -> bytes:
        """Compress a message.

        Source: RFC 7692 §7.2.1.
        """
        if self._compressor is None:
            raise ExtensionError(f"zlib does not compress with a window of {self._bits} bits: send it uncompressed")
        data = self._compressor.compress(payload) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        if not self._keeps:
            self._compressor = self._make()
        return data.removesuffix(_TAIL)

    def reset(self) -> None:
        """Begin anew with an empty window, after a message that was compressed elsewhere."""
        self._compressor = self._make() if self.can else None


class _Inflation:
    """The way through one piece of input, in small steps.

    Attributes:
        decompressor: What inflates it.
    """

    def __init__(self, decompressor: zlib._Decompress, make: Callable[[], zlib._Decompress], data: bytes) -> None:
        self.decompressor = decompressor
        self._make = make
        self._data = data
        self._start = 0
        self._rest = b""
        self._is_full = False

    def copy(self) -> Self:
        """The same way from here on, to be gone without going this one."""
        made = copy.copy(self)
        made.decompressor = self.decompressor.copy()
        return made

    @property
    def has_more(self) -> bool:
        """Whether input is left, or a full step may have left something behind."""
        return self._is_full or bool(self._rest) or self._start < len(self._data)

    def next(self) -> bytes:
        """Inflate some of it.

        Raises:
            zlib.error: It is no DEFLATE data.
        """
        if not self._rest and not self._is_full:
            self._rest = self._data[self._start : self._start + _PIECE]
            self._start += _PIECE
        part = self.decompressor.decompress(self._rest, _STEP)
        self._rest = self.decompressor.unconsumed_tail
        if self.decompressor.eof:
            # A block with BFINAL ends the window; another may follow in the same message (RFC 7692 §7.2.3.4).
            self._rest = self.decompressor.unused_data
            self.decompressor = self._make()
        self._is_full = len(part) == _STEP
        return part

    def count(self, most: int) -> None:
        """Go all the way and keep nothing: a bomb is found before it takes memory.

        Raises:
            InflatedTooBigError: It gives more than the bound.
            zlib.error: It is no DEFLATE data.
        """
        while self.has_more:
            most -= len(self.next())
            if most < 0:
                raise InflatedTooBigError("compressed data over the bound on inflated data")


class Inflater:
    """Inflates the messages of one side, in pieces of any size."""

    def __init__(self, parameters: DeflateParameters, side: Side) -> None:
        """Begin with an empty window.

        Args:
            parameters: What was agreed.
            side: Who sends.
        """
        self._bits = parameters.max_window_bits(side)
        self._keeps = not parameters.no_context_takeover(side)
        self._decompressor = self._make()

    def _make(self) -> zlib._Decompress:
        return zlib.decompressobj(wbits=-self._bits)

    def inflate(self, data: bytes, most: int, *, is_last: bool = False) -> bytes:
        """Inflate the next piece of a message.

        Args:
            data: The piece.
            most: The bound on what it gives, in bytes.
            is_last: Whether the message ends with it.

        Raises:
            InflateError: It is no DEFLATE data.
            InflatedTooBigError: It gives more than the bound. What goes far is counted before it is kept, so that this
                took little memory.

        Source: RFC 7692 §7.2.2.
        """
        parts: list[bytes] = []
        size, is_counted = 0, False
        inflation = _Inflation(self._decompressor, self._make, data + _TAIL if is_last else data)
        try:
            while inflation.has_more:
                part = inflation.next()
                size += len(part)
                if size > most:
                    raise InflatedTooBigError("compressed data over the bound on inflated data")
                parts.append(part)
                if size > _TRUSTED and not is_counted:
                    is_counted = True
                    inflation.copy().count(most - size)
        except zlib.error as error:
            raise InflateError(f"compressed data that cannot be inflated ({error})") from error
        self._decompressor = inflation.decompressor if self._keeps or not is_last else self._make()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def reset(self) -> None:
        """Begin anew with an empty window, after data that could not be inflated."""
        self._decompressor = self._make()
