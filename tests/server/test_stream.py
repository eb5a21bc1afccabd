"""The stream a handler holds: every form of sending, and `async for` over requests and messages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lane_kernel as lane
from lane_kernel.client import connect
from lane_kernel.server import Server
from lane_kernel.server.stream import NotUpgradedError
from lane_kernel.wire.frames import Opcode
from tests.server.raw import HANDSHAKE, raw

LAST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


FRAMES = st.builds(
    lane.Frame,
    opcode=st.integers(0, 15),
    payload=st.binary(max_size=200),
    fin=st.booleans(),
    rsv1=st.booleans(),
    rsv2=st.booleans(),
    rsv3=st.booleans(),
    masking_key=st.none() | st.binary(min_size=4, max_size=4),
    length_bits=st.sampled_from([None, 64]),
)


@given(FRAMES, st.binary(max_size=5))
def test_a_frame_is_decoded_as_it_was_encoded(frame: lane.Frame, rest: bytes) -> None:
    """RFC 6455 §5.2: every bit, masked or not, in a longer form than it needs or not."""
    data = frame.encode()
    assert lane.WebSocketFrame.decode_ws_frame(data + rest) == (frame, len(data))
    assert lane.WebSocketFrame.decode_ws_frame(data[:-1]) is None


def test_the_accept_key_of_the_rfc() -> None:
    """RFC 6455 §1.3."""
    assert lane.WebSocketFrame.generate_accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


async def sent_by(server: Server, handle: Any) -> bytes:
    """What a handler sends, to the byte."""
    server.route("/x")(handle)
    async with raw(server) as peer:
        await peer.send(LAST % b"/x")
        return await peer.rest()


@pytest.mark.parametrize("data", ["é", b"\xc3\xa9", bytearray(b"\xc3\xa9"), memoryview(b"\xc3\xa9")])
async def test_every_form_of_sending_takes_every_form_of_bytes(server: Server, data: Any) -> None:
    answers: list[object] = []

    async def handle(stream, ctx):
        answers.append(await stream.send(data))
        answers.append(await stream.try_send(data))
        answers.append(await stream.send_list([data, "|"]))
        answers.append(await stream.try_send_list(part for part in ("|", data)))
        answers.append(await stream.flush())
        answers.append(await stream.try_flush())

    e = b"\xc3\xa9"
    assert await sent_by(server, handle) == e + e + e + b"||" + e
    assert answers == [None, True, None, True, None, True]
    server.check()


async def test_on_a_connection_that_is_gone_try_answers_false_and_the_plain_form_raises(server: Server) -> None:
    tried: list[bool] = []
    raised: list[str] = []

    async def handle(stream, ctx):
        stream.close()
        tried.extend([await stream.try_send("x"), await stream.try_send_list(["x"]), await stream.try_flush()])
        for name, arguments in (("send", ["x"]), ("send_list", [["x"]]), ("flush", [])):
            try:
                await getattr(stream, name)(*arguments)
            except lane.ConnectionLostError as error:
                raised.append(str(error))

    assert await sent_by(server, handle) == b""
    assert tried == [False, False, False]
    assert len(raised) == 3
    assert all("is gone" in text for text in raised)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("send", 5),
        ("try_send", None),
        ("send", ["a"]),
        ("send_list", b"abc"),
        ("try_send_list", "abc"),
        ("send_list", [b"a", 5]),
    ],
)
async def test_what_is_no_bytes_is_refused_before_anything_is_sent(server: Server, name: str, argument: Any) -> None:
    """`bytes(5)` would be five zeros, and a list of bytes' numbers as many again."""
    said: list[str] = []

    async def handle(stream, ctx):
        try:
            await getattr(stream, name)(argument)
        except TypeError as error:
            said.append(str(error))
        await stream.send("end")

    assert await sent_by(server, handle) == b"end"
    assert len(said) == 1


async def test_async_for_over_requests(server: Server) -> None:
    paths: list[str] = []

    @server.route("/first")
    async def handle(stream, ctx):
        await stream.send(ctx.response.set_body("0").build())
        async for request in stream.requests():
            paths.append(request.path)
            await stream.send(lane.Response(request).set_body(str(len(paths))).build())

    async with raw(server) as peer:
        await peer.send(GET % b"/first" + GET % b"/second" + LAST % b"/third")
        answers = await peer.rest()
    assert paths == ["/second", "/third"]
    assert [part[-1:] for part in answers.split(b"HTTP/1.1 200 OK")[1:]] == [b"0", b"1", b"2"]
    server.check()


async def test_async_for_over_requests_ends_with_the_connection_and_with_set_closed(server: Server) -> None:
    ended: list[int] = []

    @server.route("/x")
    async def handle(stream, ctx):
        count = 0
        await stream.send(ctx.response.build())
        async for request in stream.requests():
            count += 1
            stream.set_closed(request.path == "/last")
            await stream.send(lane.Response(request).build())
        ended.append(count)

    async with raw(server) as peer:
        await peer.send(GET % b"/x" + GET % b"/last" + GET % b"/never")
        assert (await peer.rest()).count(b"200 OK") == 2
    async with raw(server) as peer:
        await peer.send(GET % b"/x")
        await peer.head()
        peer.writer.write_eof()
        await peer.rest()
    assert ended == [1, 0]
    server.check()


async def test_a_further_request_that_cannot_be_read_is_no_failure_of_the_handler(server: Server) -> None:
    @server.route("/x")
    async def handle(stream, ctx):
        await stream.send(ctx.response.build())
        async for _ in stream.requests():
            raise AssertionError

    async with raw(server) as peer:
        await peer.send(GET % b"/x" + b"GET /long" + b"g" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await peer.rest()).split(b"HTTP/1.1 ")[2].startswith(b"414 ")
    server.check()


async def test_async_for_over_messages(server: Server) -> None:
    seen: list[tuple[bytes, Opcode]] = []

    @server.route("/ws")
    @lane.is_ws_upgrade_type
    async def handle(stream, ctx):
        async for message in stream.messages():
            seen.append((message, message.opcode))
            await stream.send_list(lane.WebSocketFrame.create_frame_list(message))
            stream.set_closed(message == b"last")

    async with connect(server.url("/ws")) as ws:
        for message in ("a", b"b", "last"):
            await ws.send(message)
            assert await ws.receive() == message
        with pytest.raises(lane.ConnectionClosedError):
            await ws.receive()
    assert seen == [(b"a", Opcode.TEXT), (b"b", Opcode.BINARY), (b"last", Opcode.TEXT)]


async def test_messages_of_a_connection_that_was_not_upgraded(server: Server) -> None:
    said: list[str] = []

    async def handle(stream, ctx):
        try:
            async for _ in stream.messages():
                raise AssertionError
        except NotUpgradedError as error:
            said.append(str(error))

    await sent_by(server, handle)
    assert len(said) == 1
    assert "@lane.is_ws_upgrade_type" in said[0]


async def nothing_instead(stream, ctx):
    pass


@pytest.mark.parametrize(
    "replace", [lambda server: server.upgrade(nothing_instead), lambda s: s.remove_hook("Upgrade")]
)
async def test_a_missing_upgrade_is_named_where_messages_are_asked_for(server: Server, replace) -> None:
    @server.route("/ws")
    @lane.is_ws_upgrade_type
    @lane.try_get_websocket_request
    async def handle(stream, ctx):
        raise AssertionError

    replace(server)
    with pytest.raises(lane.LaneError):
        await connect(server.url("/ws"))
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    (error,) = group.value.exceptions
    assert isinstance(error, NotUpgradedError)
    assert "server.upgrade(…) or server.remove_hook(…)" in str(error)
    assert "server.upgrade(lane.Upgrade)" in str(error)


async def test_raw_bytes_on_a_websocket_are_sent_as_they_are(server: Server) -> None:
    """Right or wrong: this is what makes it a teaching tool."""

    @server.route("/ws")
    @lane.is_ws_upgrade_type
    @lane.try_get_websocket_request
    async def handle(stream, ctx):
        await stream.send(b"\x81\x01a")
        await stream.send_list([b"\xff", "no frame"])

    async with raw(server) as peer:
        await peer.send(HANDSHAKE % b"/ws")
        await peer.head()
        await peer.send(lane.Frame(Opcode.TEXT, b"x", masking_key=b"\0\0\0\0").encode())
        assert await peer.exactly(12) == b"\x81\x01a\xffno frame"
