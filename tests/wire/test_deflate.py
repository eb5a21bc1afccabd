"""permessage-deflate: what is offered, answered and agreed; messages compressed and inflated. RFC 7692."""

from __future__ import annotations

import contextlib
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lane_kernel.sides import Side
from lane_kernel.wire.connection import MAX_MESSAGE
from lane_kernel.wire.deflate import (
    DeflateParameters,
    Deflater,
    Extension,
    ExtensionError,
    InflatedTooBigError,
    InflateError,
    Inflater,
    answer,
    check_answer,
    judge_offers,
    offer,
    parse_extensions,
)
from tests.vectors import deflate as vectors
from tests.wire.helpers import PLACES, WAYS, cut

BOUND = 1 << 20
NOISE = random.Random(1).randbytes(1 << 14)
PARAMETERS = st.builds(DeflateParameters, st.booleans(), st.booleans(), st.integers(9, 15), st.integers(9, 15))
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def parsed(value: str) -> list[Extension]:
    return parse_extensions([value] if value else [])


def inflate(inflater: Inflater, pieces: list[bytes], bound: int = BOUND) -> bytes:
    """Inflate one message that comes in pieces; the last one says that it is."""
    *before, last = pieces or [b""]
    parts = b""
    for piece in before:
        parts += inflater.inflate(piece, bound - len(parts))
    return parts + inflater.inflate(last, bound - len(parts), is_last=True)


# Sec-WebSocket-Extensions


@pytest.mark.parametrize("case", vectors.HEADERS, ids=lambda case: case.id)
def test_parse(case: vectors.HeaderCase):
    """RFC 6455 §9.1; RFC 9110 §5.6.1.2: empty elements of a list are passed over."""
    extensions = parse_extensions(case.values)
    assert tuple(map(str, extensions)) == case.written
    assert parse_extensions(map(str, extensions)) == extensions


@pytest.mark.parametrize("value", vectors.MALFORMED)
def test_malformed(value: str):
    """RFC 6455 §9.1: what the grammar does not have."""
    with pytest.raises(ExtensionError):
        parse_extensions(["foo", value])


_tokens = st.text(st.sampled_from("abz09!#-._~"), min_size=1, max_size=5)


@given(st.lists(st.builds(Extension, _tokens, st.lists(st.tuples(_tokens, st.none() | _tokens)).map(tuple))))
def test_any_extension_is_parsed_as_written(extensions: list[Extension]):
    """One by one, and all in one line."""
    assert parse_extensions([str(extension) for extension in extensions]) == extensions
    if extensions:
        assert parse_extensions([", ".join(map(str, extensions))]) == extensions


@given(st.text(st.sampled_from('ab=";,\\ \t\n\0é'), max_size=12))
def test_any_value_is_parsed_or_refused(value: str):
    """Whatever stands there; what is parsed holds tokens only."""
    try:
        extensions = parse_extensions([value])
    except ExtensionError:
        return
    assert extensions
    written = [token for one in extensions for parameter in ((one.name, None), *one.parameters) for token in parameter]
    assert set("".join(token for token in written if token is not None)) <= set("ab")


# Offers and answers


@pytest.mark.parametrize("case", vectors.OFFERS, ids=lambda case: case.id)
def test_answer(case: vectors.OfferCase):
    """RFC 7692 §5.1, §7.1: what a server chooses, and what a client makes of it."""
    offers = parsed(case.offer)
    got = answer(offers, case.wishes)
    if case.answer is None:
        assert got is None
        return
    assert got is not None
    agreed, extension = got
    assert (str(extension), agreed) == (case.answer, case.agreed)
    assert check_answer(offers, [extension]) == agreed


@pytest.mark.parametrize("case", vectors.OFFERS, ids=lambda case: case.id)
def test_judge_offers(case: vectors.OfferCase):
    """RFC 7692 §7.1: an offer that breaks no rule may still be declined, and is not blamed for it."""
    said = list(judge_offers(parsed(case.offer)))
    assert len(said) == bool(case.says)
    assert all(case.says in text for text in said)


@pytest.mark.parametrize("case", vectors.ANSWERS, ids=lambda case: case.id)
def test_check_answer(case: vectors.AnswerCase):
    """RFC 7692 §5.1, §7.1."""
    offers, answers = parsed(case.offer), parsed(case.answer)
    if case.wrong:
        with pytest.raises(ExtensionError, match=case.wrong):
            check_answer(offers, answers)
    else:
        assert check_answer(offers, answers) == case.agreed


@pytest.mark.parametrize(
    ("wishes", "written"),
    [
        (DeflateParameters(), "client_max_window_bits"),
        (DeflateParameters(True), "server_no_context_takeover; client_max_window_bits"),
        (DeflateParameters(False, True), "client_no_context_takeover; client_max_window_bits"),
        (DeflateParameters(False, False, 9, 15), "server_max_window_bits=9; client_max_window_bits"),
        (DeflateParameters(False, False, 15, 8), "client_max_window_bits=8"),
    ],
)
def test_offer(wishes: DeflateParameters, written: str):
    """RFC 7692 §7.1."""
    assert str(offer(wishes)) == f"permessage-deflate; {written}"


@given(PARAMETERS, PARAMETERS)
def test_both_ends_agree(client: DeflateParameters, server: DeflateParameters):
    """RFC 7692 §5.1: any wishes of both, and both know the same; nobody gets more than was asked for."""
    offers = [offer(client)]
    got = answer(offers, server)
    assert got is not None
    agreed, extension = got
    assert check_answer(offers, parse_extensions([str(extension)])) == agreed
    for side in Side:
        wishes = (client, server)
        assert agreed.max_window_bits(side) == min(one.max_window_bits(side) for one in wishes)
        assert agreed.no_context_takeover(side) == any(one.no_context_takeover(side) for one in wishes)


# Messages


@pytest.mark.parametrize("case", vectors.MESSAGES, ids=lambda case: case.id)
@ways
def test_messages(case: vectors.MessageCase, way):
    """RFC 7692 §7.2.2 and the examples of §7.2.3."""
    inflater = Inflater(DeflateParameters(client_no_context_takeover=not case.keeps), Side.CLIENT)
    assert tuple(inflate(inflater, way(data)) for data in case.compressed) == case.inflated


def test_deflate_as_the_examples():
    """RFC 7692 §7.2.3.1, §7.2.3.2, §7.2.3.6: with zlib the bytes are those of the examples."""
    deflater = Deflater(DeflateParameters(), Side.SERVER)
    assert deflater.deflate(b"Hello").hex() == "f248cdc9c90700"
    assert deflater.deflate(b"Hello").hex() == "f200110000"
    deflater = Deflater(DeflateParameters(server_no_context_takeover=True), Side.SERVER)
    assert [deflater.deflate(b"Hello").hex() for _ in range(2)] == ["f248cdc9c90700"] * 2
    assert [deflater.deflate(b"") for _ in range(3)] == [b"\x00"] * 3


_messages = st.lists(
    st.binary(max_size=300)
    | st.sampled_from([b"", b"Hello" * 100, bytes(5000), NOISE[:3000]])
    | st.text(max_size=60).map(str.encode),
    max_size=6,
)


@settings(max_examples=200)
@given(PARAMETERS, st.sampled_from(Side), _messages, PLACES)
def test_any_message_is_inflated_as_it_was(
    parameters: DeflateParameters, side: Side, messages: list[bytes], places: list[int]
):
    """RFC 7692 §7.2: every window, takeover on and off, empty messages too, in any pieces."""
    deflater, inflater = Deflater(parameters, side), Inflater(parameters, side)
    for message in messages:
        compressed = deflater.deflate(message)
        assert compressed
        assert inflate(inflater, cut(compressed, places)) == message


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("side", list(Side))
def test_no_distance_is_beyond_the_window(bits: int, side: Side):
    """RFC 7692 §7.1.2: who compresses for a window of so many bits is inflated with just that window."""
    parameters = DeflateParameters(server_max_window_bits=bits, client_max_window_bits=bits)
    deflater, inflater = Deflater(parameters, side), Inflater(parameters, side)
    block = NOISE[: 1 << (bits - 1)]
    for message in (block, block, block * 5, b"", block):
        assert inflate(inflater, [deflater.deflate(message)]) == message


@pytest.mark.parametrize("side", list(Side))
def test_takeover_is_per_side(side: Side):
    """RFC 7692 §7.1.1: the second of two equal messages is shorter only where the window is taken over."""
    parameters = DeflateParameters(server_no_context_takeover=True)
    deflater = Deflater(parameters, side)
    first, second = (len(deflater.deflate(b"Hello, world")) for _ in range(2))
    assert (second < first) == (side is Side.CLIENT)


def test_a_window_of_8_bits():
    """RFC 7692 §7.1.2.2: zlib inflates with one, and does not compress with one."""
    parameters = DeflateParameters(client_max_window_bits=8)
    deflater = Deflater(parameters, Side.CLIENT)
    assert not deflater.can
    assert Deflater(parameters, Side.SERVER).can
    with pytest.raises(ExtensionError, match="window of 8 bits"):
        deflater.deflate(b"Hello")
    assert inflate(Inflater(parameters, Side.CLIENT), [bytes.fromhex("f248cdc9c90700")]) == b"Hello"


@pytest.mark.parametrize("data", vectors.CORRUPT, ids=bytes.hex)
@ways
def test_corrupt(data: bytes, way):
    """RFC 7692 §7.2.2: an error, wherever it is cut; after a reset the next message is read."""
    inflater = Inflater(DeflateParameters(), Side.CLIENT)
    with pytest.raises(InflateError, match="cannot be inflated"):
        inflate(inflater, way(data))
    inflater.reset()
    assert inflate(inflater, [bytes.fromhex("f248cdc9c90700")]) == b"Hello"


@given(st.binary(max_size=60), PLACES)
def test_any_bytes_are_inflated_or_refused(data: bytes, places: list[int]):
    """Nothing but the errors of this module."""
    inflater = Inflater(DeflateParameters(), Side.CLIENT)
    with contextlib.suppress(InflateError, InflatedTooBigError):
        assert len(inflate(inflater, cut(data, places), 1000)) <= 1000


@ways
def test_exactly_the_bound(way):
    """RFC 6455 §10.4: as many bytes as the bound pass, one more does not."""
    data = Deflater(DeflateParameters(), Side.CLIENT).deflate(b"a" * 1000)
    assert inflate(Inflater(DeflateParameters(), Side.CLIENT), way(data), 1000) == b"a" * 1000
    with pytest.raises(InflatedTooBigError):
        inflate(Inflater(DeflateParameters(), Side.CLIENT), way(data), 999)
    assert inflate(Inflater(DeflateParameters(), Side.CLIENT), [b"\x00"], 0) == b""


@pytest.mark.parametrize("bound", [BOUND, MAX_MESSAGE, 256 << 20], ids=["1 MiB", "the default", "256 MiB"])
def test_a_bomb_takes_little_memory(bound: int):
    """RFC 6455 §10.4: 1 GiB in a message of 1 MiB."""
    compressor = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(1024)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 1_100_000
    tracemalloc.start()
    try:
        inflater = Inflater(DeflateParameters(), Side.CLIENT)
        with pytest.raises(InflatedTooBigError):
            inflater.inflate(bomb, bound, is_last=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000


def test_a_large_message_is_counted_and_then_inflated():
    message = NOISE * 600 + b"end"
    data = Deflater(DeflateParameters(), Side.CLIENT).deflate(message)
    assert Inflater(DeflateParameters(), Side.CLIENT).inflate(data, len(message), is_last=True) == message
    with pytest.raises(InflatedTooBigError):
        Inflater(DeflateParameters(), Side.CLIENT).inflate(data, len(message) - 1, is_last=True)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_window_that_is_not_kept_cannot_be_looked_back_into(keeps: bool):
    """RFC 7692 §7.1.1: without takeover a message that refers to the one before it is no DEFLATE data."""
    sender = Deflater(DeflateParameters(), Side.SERVER)
    first, second = sender.deflate(b"Hello, Hello, Hello"), sender.deflate(b"Hello, Hello, Hello")
    assert len(second) < len(first), "it refers to the first"
    inflater = Inflater(DeflateParameters(server_no_context_takeover=not keeps), Side.SERVER)
    inflater.inflate(first, 100, is_last=True)
    if keeps:
        assert inflater.inflate(second, 100, is_last=True) == b"Hello, Hello, Hello"
        return
    with pytest.raises(InflateError):
        inflater.inflate(second, 100, is_last=True)
