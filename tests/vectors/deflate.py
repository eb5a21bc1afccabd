"""Sec-WebSocket-Extensions in requests and answers, and compressed messages byte by byte.

Source: RFC 6455 §9.1; RFC 7692 §7.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lane_kernel.wire.deflate import DeflateParameters as P

PMD = "permessage-deflate"


@dataclass(frozen=True)
class HeaderCase:
    """The values of Sec-WebSocket-Extensions headers, and the extensions in them as they are written again."""

    id: str
    values: tuple[str, ...]
    written: tuple[str, ...]


HEADERS = (
    HeaderCase("none", (), ()),
    HeaderCase("name", ("foo",), ("foo",)),
    HeaderCase("two", ("foo, bar",), ("foo", "bar")),
    HeaderCase("two-lines", ("foo; a=1", "bar"), ("foo; a=1", "bar")),
    HeaderCase("rfc6455-9.1", ("foo, bar; baz=2",), ("foo", "bar; baz=2")),
    HeaderCase("parameter-without-value", ("foo; bar",), ("foo; bar",)),
    HeaderCase("parameters", ("foo; a; b=c; d=1",), ("foo; a; b=c; d=1",)),
    HeaderCase("same-name-twice", ("foo; a, foo",), ("foo; a", "foo")),
    HeaderCase("quoted", ('foo; a="10"',), ("foo; a=10",)),
    HeaderCase("quoted-pair", (r'foo; a="\1\0"; b="c\d"',), ("foo; a=10; b=cd",)),
    HeaderCase("white-space", (" foo\t;  a =\t1 ,bar;b ",), ("foo; a=1", "bar; b")),
    HeaderCase("no-white-space", ("foo;a=1,bar",), ("foo; a=1", "bar")),
    HeaderCase("every-token-character", ("!#$%&'*+-.^_`|~09azAZ; a=!#$%&'*+-.^_`|~",),
               ("!#$%&'*+-.^_`|~09azAZ; a=!#$%&'*+-.^_`|~",)),
    HeaderCase("empty-elements", (", foo,, bar ,\t,",), ("foo", "bar")),
    HeaderCase("comma-last", ("foo,",), ("foo",)),
)  # fmt: skip

MALFORMED = (
    "",
    " ",
    ",",
    ";",
    "foo;",
    "foo; ",
    "foo;;a",
    "foo;, bar",
    "; a=1",
    "foo=1",
    "foo, bar=1; baz",
    "foo; a=",
    "foo; =1",
    "foo; a==1",
    "foo; a=1 2",
    "foo bar",
    'foo; a="',
    'foo; a="1',
    'foo; a=""',
    'foo; a="b c"',
    'foo; a="b,c"',
    'foo; a="1"2',
    'foo; a="\\',
    'foo; a="\\"',
    "foo; a='b c'",
    '"foo"',
    "foo/1",
    "foo; a=é",
    "foo\xa0",
    "foo\r\nbar",
    "foo\0",
)


@dataclass(frozen=True)
class OfferCase:
    """A client's extensions and what a server answers.

    Attributes:
        id: The case's name.
        offer: The request's header.
        answer: The answer's, or None where all is declined.
        agreed: What is agreed.
        wishes: What the server wishes.
        says: What is said of an offer that breaks a rule.
    """

    id: str
    offer: str
    answer: str | None
    agreed: P | None = None
    wishes: P = field(default_factory=P)
    says: str = ""


OFFERS = (
    OfferCase("plain", PMD, PMD, P()),
    OfferCase("another-extension", "x-webkit-deflate-frame", None),
    OfferCase("among-others", f"foo; a=1, {PMD}, bar", PMD, P()),
    OfferCase("browsers", f"{PMD}; client_max_window_bits", PMD, P()),
    OfferCase("server-no-context", f"{PMD}; server_no_context_takeover", f"{PMD}; server_no_context_takeover",
              P(server_no_context_takeover=True)),
    OfferCase("client-no-context", f"{PMD}; client_no_context_takeover", f"{PMD}; client_no_context_takeover",
              P(client_no_context_takeover=True)),
    OfferCase("server-window", f"{PMD}; server_max_window_bits=10", f"{PMD}; server_max_window_bits=10",
              P(server_max_window_bits=10)),
    OfferCase("server-window-15", f"{PMD}; server_max_window_bits=15", f"{PMD}; server_max_window_bits=15", P()),
    OfferCase("server-window-quoted", f'{PMD}; server_max_window_bits="10"', f"{PMD}; server_max_window_bits=10",
              P(server_max_window_bits=10)),
    OfferCase("client-window", f"{PMD}; client_max_window_bits=10", f"{PMD}; client_max_window_bits=10",
              P(client_max_window_bits=10)),
    OfferCase("client-window-8", f"{PMD}; client_max_window_bits=8", f"{PMD}; client_max_window_bits=8",
              P(client_max_window_bits=8)),
    OfferCase(
        "all-four",
        f"{PMD}; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=9; client_max_window_bits=11",
        f"{PMD}; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=9; client_max_window_bits=11",
        P(True, True, 9, 11),
    ),
    # What the server wishes besides.
    OfferCase("wishes", f"{PMD}; client_max_window_bits",
              f"{PMD}; server_no_context_takeover; client_no_context_takeover; "
              "server_max_window_bits=12; client_max_window_bits=11",
              P(True, True, 12, 11), P(True, True, 12, 11)),
    OfferCase("wish-smaller-than-asked", f"{PMD}; server_max_window_bits=12; client_max_window_bits=12",
              f"{PMD}; server_max_window_bits=10; client_max_window_bits=11", P(False, False, 10, 11),
              P(False, False, 10, 11)),
    OfferCase("wish-greater-than-asked", f"{PMD}; server_max_window_bits=10; client_max_window_bits=10",
              f"{PMD}; server_max_window_bits=10; client_max_window_bits=10", P(False, False, 10, 10),
              P(False, False, 12, 12)),
    # RFC 7692 §7.1.2.2: without the client's word its window is not limited.
    OfferCase("wish-that-the-client-does-not-know", PMD, PMD, P(), P(client_max_window_bits=10)),
    # What zlib cannot do.
    OfferCase("server-window-8", f"{PMD}; server_max_window_bits=8", None),
    OfferCase("server-window-8-then-any", f"{PMD}; server_max_window_bits=8, {PMD}", PMD, P()),
    # RFC 7692 §7.1.3: the client's order is its preference.
    OfferCase("first-of-two", f"{PMD}; server_max_window_bits=10, {PMD}", f"{PMD}; server_max_window_bits=10",
              P(server_max_window_bits=10)),
    # RFC 7692 §7: what makes an offer invalid.
    OfferCase("unknown-parameter", f"{PMD}; foo", None, says="foo is no parameter of permessage-deflate"),
    OfferCase("unknown-then-any", f"{PMD}; foo=1, {PMD}", PMD, P(), says="foo is no parameter of permessage-deflate"),
    OfferCase("case-of-a-parameter", f"{PMD}; Client_Max_Window_Bits", None, says="Client_Max_Window_Bits is no"),
    OfferCase("flag-with-value", f"{PMD}; server_no_context_takeover=1", None, says="has no value"),
    OfferCase("client-flag-with-value", f"{PMD}; client_no_context_takeover=true", None, says="has no value"),
    OfferCase("flag-twice", f"{PMD}; server_no_context_takeover; server_no_context_takeover", None, says="comes twice"),
    OfferCase("window-twice", f"{PMD}; client_max_window_bits; client_max_window_bits=9", None, says="comes twice"),
    OfferCase("server-window-without-value", f"{PMD}; server_max_window_bits", None, says="8 to 15, not nothing"),
    *(
        OfferCase(f"{side}-window-{bits}", f"{PMD}; {side}_max_window_bits={bits}", None, says=f"8 to 15, not {bits}")
        for side in ("server", "client")
        for bits in ("7", "16", "0", "08", "015", "1", "150", "-9", "9.0", "x")
    ),
)  # fmt: skip


@dataclass(frozen=True)
class AnswerCase:
    """What a client makes of a server's answer.

    Attributes:
        id: The case's name.
        offer: The request's header.
        answer: The answer's.
        agreed: What is agreed, None for no compression.
        wrong: What is wrong with the answer, where something is.
    """

    id: str
    offer: str
    answer: str
    agreed: P | None = None
    wrong: str = ""


_LIMITS = f"{PMD}; client_max_window_bits"
ANSWERS = (
    AnswerCase("declined", PMD, ""),
    AnswerCase("declined-nothing-offered", "", ""),
    AnswerCase("plain", PMD, PMD, P()),
    AnswerCase("after-another-offer", f"foo, {PMD}", PMD, P()),
    AnswerCase("server-no-context-unasked", PMD, f"{PMD}; server_no_context_takeover",
               P(server_no_context_takeover=True)),
    AnswerCase("client-no-context-unasked", PMD, f"{PMD}; client_no_context_takeover",
               P(client_no_context_takeover=True)),
    AnswerCase("server-window-unasked", PMD, f"{PMD}; server_max_window_bits=10", P(server_max_window_bits=10)),
    AnswerCase("server-window-8", PMD, f"{PMD}; server_max_window_bits=8", P(server_max_window_bits=8)),
    AnswerCase("server-window-smaller", f"{PMD}; server_max_window_bits=12", f"{PMD}; server_max_window_bits=10",
               P(server_max_window_bits=10)),
    AnswerCase("client-window", _LIMITS, f"{PMD}; client_max_window_bits=10", P(client_max_window_bits=10)),
    AnswerCase("client-window-8", _LIMITS, f"{PMD}; client_max_window_bits=8", P(client_max_window_bits=8)),
    AnswerCase("client-window-not-taken-up", _LIMITS, PMD, P()),
    # The client's own limits hold, whatever is answered.
    AnswerCase("own-window", f"{PMD}; client_max_window_bits=10", PMD, P(client_max_window_bits=10)),
    AnswerCase("own-window-greater-answered", f"{PMD}; client_max_window_bits=10",
               f"{PMD}; client_max_window_bits=12", P(client_max_window_bits=10)),
    AnswerCase("own-no-context", f"{PMD}; client_no_context_takeover", PMD, P(client_no_context_takeover=True)),
    AnswerCase("second-offer", f"{PMD}; server_no_context_takeover, {PMD}", PMD, P()),
    AnswerCase("second-offer-after-an-invalid-one", f"{PMD}; foo, {PMD}", PMD, P()),
    # RFC 7692 §5.1 and §7.1: what fails the connection.
    AnswerCase("not-offered", "", PMD, wrong="was not offered"),
    AnswerCase("another-offered", "foo", PMD, wrong="was not offered"),
    AnswerCase("twice", PMD, f"{PMD}, {PMD}", wrong="chosen 2 times"),
    AnswerCase("server-no-context-missing", f"{PMD}; server_no_context_takeover", PMD,
               wrong="server_no_context_takeover was asked for and is missing"),
    AnswerCase("server-window-missing", f"{PMD}; server_max_window_bits=10", PMD, wrong="window of 10 bits"),
    AnswerCase("server-window-greater", f"{PMD}; server_max_window_bits=10", f"{PMD}; server_max_window_bits=11",
               wrong="window of 10 bits"),
    AnswerCase("client-window-not-offered", PMD, f"{PMD}; client_max_window_bits=10", wrong="was not offered"),
    AnswerCase("client-window-without-value", _LIMITS, f"{PMD}; client_max_window_bits", wrong="8 to 15, not nothing"),
    AnswerCase("server-window-without-value", PMD, f"{PMD}; server_max_window_bits", wrong="8 to 15, not nothing"),
    AnswerCase("window-7", _LIMITS, f"{PMD}; client_max_window_bits=7", wrong="8 to 15, not 7"),
    AnswerCase("window-16", PMD, f"{PMD}; server_max_window_bits=16", wrong="8 to 15, not 16"),
    AnswerCase("unknown-parameter", PMD, f"{PMD}; foo", wrong="foo is no parameter"),
    AnswerCase("flag-with-value", PMD, f"{PMD}; server_no_context_takeover=1", wrong="has no value"),
    AnswerCase("flag-twice", PMD, f"{PMD}; client_no_context_takeover; client_no_context_takeover",
               wrong="comes twice"),
)  # fmt: skip


@dataclass(frozen=True)
class MessageCase:
    """Compressed messages that one side sends, and what they inflate to.

    Attributes:
        id: The case's name.
        compressed: Each message's payload data.
        inflated: Each message.
        keeps: Whether the window is taken over from one to the next.
    """

    id: str
    compressed: tuple[bytes, ...]
    inflated: tuple[bytes, ...]
    keeps: bool = True


_HELLO = bytes.fromhex("f248cdc9c90700")
MESSAGES = (
    MessageCase("rfc7692-7.2.3.1-one-block", (_HELLO,), (b"Hello",)),
    MessageCase("rfc7692-7.2.3.2-shared-window", (_HELLO, bytes.fromhex("f200110000")), (b"Hello", b"Hello")),
    MessageCase("rfc7692-7.2.3.2-own-windows", (_HELLO, _HELLO), (b"Hello", b"Hello"), keeps=False),
    MessageCase("rfc7692-7.2.3.3-no-compression", (bytes.fromhex("000500faff48656c6c6f00"),), (b"Hello",)),
    MessageCase("rfc7692-7.2.3.4-bfinal", (bytes.fromhex("f348cdc9c9070000"),), (b"Hello",)),
    MessageCase("rfc7692-7.2.3.5-two-blocks", (bytes.fromhex("f248050000 00ffffcac9c90700"),), (b"Hello",)),
    MessageCase("rfc7692-7.2.3.6-empty", (b"\x00",), (b"",)),
    MessageCase("bfinal-then-more", (bytes.fromhex("f348cdc9c90700") + _HELLO,), (b"HelloHello",)),
    MessageCase("bfinal-twice", (bytes.fromhex("f348cdc9c90700f348cdc9c9070000"),), (b"HelloHello",)),
    MessageCase("bfinal-then-a-message", (bytes.fromhex("f348cdc9c9070000"), _HELLO), (b"Hello", b"Hello")),
    MessageCase("bfinal-own-windows", (bytes.fromhex("f348cdc9c9070000"), _HELLO), (b"Hello", b"Hello"), keeps=False),
    MessageCase("empty-between", (_HELLO, b"\x00", bytes.fromhex("f200110000")), (b"Hello", b"", b"Hello")),
)

CORRUPT = (
    bytes.fromhex("ff"),  # a block of the reserved type
    bytes.fromhex("06ffff"),
    bytes.fromhex("f200110000"),  # a distance before the first byte
    bytes.fromhex("000500faaa48656c6c6f00"),  # a length that is not its complement's
    _HELLO + b"\xff\xff\xff",
)
"""What is no DEFLATE data.

Source: RFC 1951 §3.2.
"""
