"""The opening handshake: the upgrade's request and answer, and what both ends agree on in it.

`judge_request` and `judge_response` list every fault; the strict `check_request` and `check_response` raise the first.

Source: RFC 6455 §4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from lane_kernel.errors import LaneError
from lane_kernel.wire import deflate, rules
from lane_kernel.wire.deflate import DeflateParameters, Extension, ExtensionError, parse_extensions
from lane_kernel.wire.rules import Rule

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UPGRADE = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
_HTTP_1_1_OR_HIGHER = re.compile(r"HTTP/(1\.[1-9]|[2-9]\.[0-9])")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Headers = Sequence[tuple[str, str]]
"""Header lines as (name, value), in the order they stand."""


class HandshakeError(LaneError):
    """The opening handshake failed.

    Attributes:
        status: The HTTP status that a server answers with, or that the server answered with.
        headers: Header lines that belong to the answer.
        rule: The rule that was broken, where it is one of the handshake's.
    """

    def __init__(
        self, status: int, text: str, headers: tuple[tuple[str, str], ...] = (), rule: Rule | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a handshake.

    Attributes:
        rule: The rule that is broken.
        text: What was seen, and what to do.
        header: The name of the header that is to blame; None for the first line.
        answer: Header lines that a server's refusal carries.
    """

    rule: Rule
    text: str
    header: str | None = None
    answer: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client asks for besides the upgrade itself.

    Attributes:
        subprotocols: The subprotocols it speaks, the preferred one first.
        extensions: The extensions it offers, the preferred one first.
    """

    subprotocols: tuple[str, ...] = ()
    extensions: tuple[Extension, ...] = ()

    @classmethod
    def of(cls, headers: Headers) -> Self:
        """Read it from a request; what is malformed there offers nothing."""
        lines = _Lines(tuple(headers))
        try:
            extensions = tuple(parse_extensions(lines.all("sec-websocket-extensions")))
        except ExtensionError:
            extensions = ()
        return cls(tuple(lines.items("sec-websocket-protocol")), extensions)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Its header lines."""
        lines = []
        if self.subprotocols:
            lines.append(("Sec-WebSocket-Protocol", ", ".join(self.subprotocols)))
        if self.extensions:
            lines.append(("Sec-WebSocket-Extensions", ", ".join(map(str, self.extensions))))
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the handshake agreed on.

    Attributes:
        subprotocol: The subprotocol, or None.
        deflate: The parameters of permessage-deflate, or None where it is not in use.
        headers: The header lines that say so in the answer.
    """

    subprotocol: str | None = None
    deflate: DeflateParameters | None = None
    headers: tuple[tuple[str, str], ...] = ()


def make_key() -> str:
    """Make a fresh Sec-WebSocket-Key: 16 random bytes as base64."""
    return base64.b64encode(os.urandom(16)).decode()


def accept_key(key: str) -> str:
    """Derive Sec-WebSocket-Accept from Sec-WebSocket-Key.

    Source: RFC 6455 §4.2.2, item 5.4.
    """
    return base64.b64encode(hashlib.sha1(key.strip(" \t").encode() + _GUID, usedforsecurity=False).digest()).decode()


@dataclass(frozen=True, slots=True)
class _Lines:
    lines: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.lines if key.lower() == name]

    def first(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    def items(self, name: str) -> list[str]:
        """The members of a list that may stand in several lines."""
        return [item.strip(" \t") for value in self.all(name) for item in value.split(",") if item.strip(" \t")]

    def tokens(self, name: str) -> set[str]:
        return {item.lower() for item in self.items(name)}


def is_upgrade(headers: Headers) -> bool:
    """Whether a request asks to become a WebSocket, rightly or wrongly."""
    return "websocket" in _Lines(tuple(headers)).tokens("upgrade")


def judge_request(method: str, version: str, headers: Headers) -> Iterator[Fault]:
    """Yield each fault of a client's opening handshake; one whose rule has no status is no reason to refuse it.

    Args:
        method: The request's method.
        version: The request's HTTP version, such as "HTTP/1.1".
        headers: The request's header lines.

    Source: RFC 6455 §4.1 and §4.2.1; the 426 answer §4.4 and RFC 9110 §15.5.22.
    """
    lines = _Lines(tuple(headers))
    if not is_upgrade(lines.lines):
        text = "this path speaks WebSocket: connect with a WebSocket client, whose request says Upgrade: websocket"
        yield Fault(rules.UPGRADE_MISSING, text, "upgrade", _UPGRADE)
    if method != "GET":
        text = f"a WebSocket handshake is a GET request, not {method}"
        yield Fault(rules.HANDSHAKE_METHOD, text, answer=(("Allow", "GET"),))
    if not _HTTP_1_1_OR_HIGHER.fullmatch(version):
        yield Fault(rules.HANDSHAKE_HTTP_VERSION, f"a WebSocket handshake takes HTTP/1.1, not {version}")
    if "upgrade" not in lines.tokens("connection"):
        yield Fault(rules.CONNECTION_MISSING, "the handshake lacks Connection: Upgrade", "connection")
    versions = [value.strip(" \t") for value in lines.all("sec-websocket-version")]
    if versions != ["13"]:
        got = " and ".join(versions)
        text = f"Sec-WebSocket-Version is {got or 'missing'}: this server speaks version 13"
        answer = (("Sec-WebSocket-Version", "13"), *_UPGRADE)
        yield Fault(rules.WEBSOCKET_VERSION, text, "sec-websocket-version", answer)
    yield from _judge_key(lines.all("sec-websocket-key"))
    yield from _judge_subprotocols(lines.items("sec-websocket-protocol"))
    yield from _judge_offers(lines.all("sec-websocket-extensions"))


def _judge_key(keys: list[str]) -> Iterator[Fault]:
    name = "sec-websocket-key"
    if len(keys) != 1:
        seen = "missing" if not keys else f"there {len(keys)} times"
        text = f"Sec-WebSocket-Key is {seen}: it is 16 random bytes as base64, once"
        yield Fault(rules.KEY_MISSING, text, name)
    elif not _is_nonce(keys[0]):
        yield Fault(rules.KEY_INVALID, f"Sec-WebSocket-Key is {keys[0]!r}: it is 16 random bytes as base64", name)


def _is_nonce(key: str) -> bool:
    try:
        return len(base64.b64decode(key.strip(" \t"), validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _judge_subprotocols(asked: list[str]) -> Iterator[Fault]:
    name = "sec-websocket-protocol"
    for subprotocol in asked:
        if not _TOKEN.fullmatch(subprotocol):
            text = f"the subprotocol {subprotocol!r} is no token: use letters, digits and !#$%&'*+-.^_`|~"
            yield Fault(rules.SUBPROTOCOL_MALFORMED, text, name)
            return
    if len(set(asked)) < len(asked):
        text = f"a subprotocol is asked for twice in {', '.join(asked)!r}: name each once"
        yield Fault(rules.SUBPROTOCOL_MALFORMED, text, name)


def _judge_offers(values: list[str]) -> Iterator[Fault]:
    name = "sec-websocket-extensions"
    try:
        offers = parse_extensions(values)
    except ExtensionError as error:
        yield Fault(rules.EXTENSIONS_MALFORMED, str(error), name)
        return
    for fault in deflate.judge_offers(offers):
        yield Fault(rules.DEFLATE_OFFER_INVALID, fault, name)


def check_request(method: str, version: str, headers: Headers) -> str:
    """Check a client's opening handshake as a server does.

    Args:
        method: The request's method.
        version: The request's HTTP version, such as "HTTP/1.1".
        headers: The request's header lines.

    Returns:
        The Sec-WebSocket-Accept to answer with.

    Raises:
        HandshakeError: With the status to answer and the reason.

    Source: RFC 6455 §4.2.1.
    """
    for fault in judge_request(method, version, headers):
        if fault.rule.status is not None:
            raise HandshakeError(fault.rule.status, fault.text, fault.answer, fault.rule)
    return accept_key(_Lines(tuple(headers)).all("sec-websocket-key")[0])


def subprotocol_names(names: Sequence[str] | bytes) -> tuple[str, ...]:
    """Take a list of subprotocols.

    Raises:
        TypeError: It is one name, whose letters would be taken for names.
    """
    if isinstance(names, str | bytes):
        name = names if isinstance(names, str) else names.decode("latin-1")
        raise TypeError(f"subprotocols is a list of names, not {names!r}: write [{name!r}]")
    return tuple(names)


def agree(headers: Headers, *, subprotocols: Sequence[str] = (), wishes: DeflateParameters | None = None) -> Agreement:
    """Choose a subprotocol and permessage-deflate's parameters as a server does.

    Args:
        headers: A request's header lines, which `check_request` has passed.
        subprotocols: What the server speaks; of those the client's most preferred one is taken.
        wishes: What the server wishes of permessage-deflate; None declines it.

    Source: RFC 6455 §4.2.2, items 5.5 and 5.6; RFC 7692 §5.1.
    """
    asked = Offer.of(headers)
    subprotocol = next((one for one in asked.subprotocols if one in subprotocols), None)
    lines = [] if subprotocol is None else [("Sec-WebSocket-Protocol", subprotocol)]
    parameters = None
    if wishes is not None and (answer := deflate.answer(asked.extensions, wishes)) is not None:
        parameters, extension = answer
        lines.append(("Sec-WebSocket-Extensions", str(extension)))
    return Agreement(subprotocol, parameters, tuple(lines))


def upgrade_request(host: str, target: str, key: str, headers: Headers = ()) -> bytes:
    """Build a client's opening handshake.

    Source: RFC 6455 §4.1.
    """
    lines = [
        ("Host", host),
        *_UPGRADE,
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
        *headers,
    ]
    return build_head(f"GET {target} HTTP/1.1", lines)


def upgrade_response(accept: str, headers: Headers = ()) -> bytes:
    """Build a server's answer to an opening handshake.

    Source: RFC 6455 §4.2.2.
    """
    lines = [*_UPGRADE, ("Sec-WebSocket-Accept", accept), *headers]
    return build_head("HTTP/1.1 101 Switching Protocols", lines)


def judge_response(status: int, reason: str, headers: Headers, key: str, offer: Offer = Offer()) -> Iterator[Fault]:
    """Yield each fault of a server's answer; after a status that is not 101 nothing else matters.

    Args:
        status: The answer's status.
        reason: Its reason phrase.
        headers: Its header lines.
        key: The request's Sec-WebSocket-Key.
        offer: What the request asked for.

    Source: RFC 6455 §4.1, the last list; RFC 7692 §7.1.
    """
    lines = _Lines(tuple(headers))
    if status != 101:
        text = f"the server answered {status} {reason} instead of 101 Switching Protocols"
        yield Fault(rules.ANSWER_STATUS, text)
        return
    if lines.tokens("upgrade") != {"websocket"}:
        yield Fault(rules.ANSWER_UPGRADE, "the server's 101 lacks Upgrade: websocket", "upgrade")
    if "upgrade" not in lines.tokens("connection"):
        yield Fault(rules.ANSWER_CONNECTION, "the server's 101 lacks Connection: Upgrade", "connection")
    got, wanted, name = lines.all("sec-websocket-accept"), accept_key(key), "sec-websocket-accept"
    if not got:
        yield Fault(rules.ACCEPT_MISSING, f"Sec-WebSocket-Accept is missing: for this key it is {wanted}", name)
    elif [value.strip(" \t") for value in got] != [wanted]:
        text = f"Sec-WebSocket-Accept is {', '.join(got)}: for this key it is {wanted}"
        yield Fault(rules.ACCEPT_MISMATCH, text, name)
    yield from _judge_chosen_subprotocol(lines.all("sec-websocket-protocol"), offer)
    yield from _judge_chosen_extensions(lines.all("sec-websocket-extensions"), offer)


def _judge_chosen_subprotocol(chosen: list[str], offer: Offer) -> Iterator[Fault]:
    name = "sec-websocket-protocol"
    if len(chosen) > 1 or any(value.strip(" \t") not in offer.subprotocols for value in chosen):
        why = "one at the most is chosen" if len(chosen) > 1 else "which was not offered"
        text = f"the server chose {', '.join(chosen)!r} in {name}, {why}"
        yield Fault(rules.SUBPROTOCOL_NOT_OFFERED, text, name)
    elif offer.subprotocols and not chosen:
        yield Fault(rules.SUBPROTOCOL_DECLINED, f"none of {', '.join(offer.subprotocols)} was chosen")


def _judge_chosen_extensions(values: list[str], offer: Offer) -> Iterator[Fault]:
    name = "sec-websocket-extensions"
    try:
        chosen = parse_extensions(values)
    except ExtensionError as error:
        yield Fault(rules.EXTENSIONS_MALFORMED, str(error), name)
        return
    offered = {extension.name for extension in offer.extensions}
    for extension in chosen:
        if extension.name not in offered:
            text = f"the server chose {str(extension)!r} in {name}, which was not offered"
            yield Fault(rules.EXTENSION_NOT_OFFERED, text, name)
    compressing = [extension for extension in chosen if extension.name == deflate.NAME and deflate.NAME in offered]
    try:
        deflate.check_answer(offer.extensions, compressing)
    except ExtensionError as error:
        yield Fault(rules.EXTENSION_ANSWER_INVALID, str(error), name)


def check_response(status: int, reason: str, headers: Headers, key: str, offer: Offer = Offer()) -> Agreement:
    """Check a server's answer as a client does.

    Args:
        status: The answer's status.
        reason: Its reason phrase.
        headers: Its header lines.
        key: The request's Sec-WebSocket-Key.
        offer: What the request asked for.

    Returns:
        What is agreed.

    Raises:
        HandshakeError: With the status that came and what is wrong with the answer.

    Source: RFC 6455 §4.1, the last list.
    """
    for fault in judge_response(status, reason, headers, key, offer):
        if fault.rule.level is rules.Level.MUST or status != 101:
            raise HandshakeError(status, fault.text, rule=fault.rule)
    return agreed(headers, offer)


def agreed(headers: Headers, offer: Offer) -> Agreement:
    """Read from an answer without fault what was agreed."""
    lines = _Lines(tuple(headers))
    chosen = [one for one in parse_extensions(lines.all("sec-websocket-extensions")) if one.name == deflate.NAME]
    subprotocol = lines.first("sec-websocket-protocol")
    return Agreement(
        None if subprotocol is None else subprotocol.strip(" \t"), deflate.check_answer(offer.extensions, chosen)
    )


def build_head(start_line: str, headers: Headers) -> bytes:
    """Build an HTTP/1.1 head.

    Raises:
        HandshakeError: The start line or a value holds a line break, which would begin another line, NUL, or what
            Latin-1 does not have; or a name is not a token.

    Source: RFC 9112 §2.1; RFC 9110 §5.1 and §5.5.
    """
    _check_line("the start line", start_line)
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise HandshakeError(500, f"a header's name is letters, digits and !#$%&'*+-.^_`|~, not {name!r}")
        _check_line(f"header {name}", value)
    lines = [start_line, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _check_line(what: str, text: str) -> None:
    if any(character in text for character in "\r\n\0"):
        raise HandshakeError(500, f"{what} holds a line break or NUL: {text!r}")
    if any(character > "\xff" for character in text):
        raise HandshakeError(500, f"{what} holds a character that a head cannot: {text!r}; encode it first")
