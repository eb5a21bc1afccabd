"""WebSockets over real loopback sockets: both forms of handler, right and wrong peers."""

from __future__ import annotations

import asyncio

import pytest
import websockets
from websockets.asyncio.client import connect as websockets_connect

from lane_kernel.client import connect
from lane_kernel.net.config import Config
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.server import Server, ServerHook, Status, WebSocketFrame, is_ws_upgrade_type, try_get_websocket_request
from lane_kernel.sides import Side
from lane_kernel.timeline import EntryKind
from lane_kernel.wire.frames import Frame, Opcode, close_frame, decode_header
from tests.server.raw import HANDSHAKE, raw, until

KEY = b"\x01\x02\x03\x04"


def add_echo(server: Server) -> None:
    @server.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    @server.route("/hyperlane")
    class Echo(ServerHook):
        @is_ws_upgrade_type
        @try_get_websocket_request("body")
        async def handle(self, stream, ctx, body):
            await stream.send_list(WebSocketFrame.create_frame_list(body))
            return Status.CONTINUE


TEXTS = ["", "hi", "é" * 40_000, "x" * 125, "x" * 126]
MESSAGES: list[str | bytes] = [*TEXTS, b"", b"\x00\xff", b"\x80" * 65_535, b"\x80" * 200_000]


@pytest.mark.parametrize("path", ["/echo", "/hyperlane"])
async def test_echoes_every_length_and_both_kinds(server: Server, path: str) -> None:
    add_echo(server)
    async with connect(server.url(path)) as ws:
        for message in MESSAGES:
            await ws.send(message)
            assert await ws.receive() == message
    assert ws.close_code == 1000
    assert ws.closed_first is Side.CLIENT


@pytest.mark.parametrize("path", ["/echo", "/hyperlane"])
async def test_the_websockets_library_is_served(server: Server, path: str) -> None:
    add_echo(server)
    async with websockets_connect(server.url(path)) as ws:
        for message in MESSAGES:
            await ws.send(message)
            assert await ws.recv() == message
        pong = await ws.ping(b"are you there")
        assert await asyncio.wait_for(pong, 5) >= 0
        await ws.send(["frag", "men", "ted"])
        assert await ws.recv() == "fragmented"
    assert ws.close_code == 1000


async def test_frames_that_come_with_the_handshake_are_the_first(server: Server) -> None:
    """Bytes read together with the request's head wait in the stream and are frames."""
    add_echo(server)
    async with raw(server) as peer:
        await peer.send(HANDSHAKE % b"/echo" + Frame(Opcode.TEXT, b"early", masking_key=KEY).encode())
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in await peer.head()
        assert await peer.exactly(7) == b"\x81\x05early"


async def test_the_server_answers_ping_while_its_handler_is_busy(server: Server) -> None:
    released = asyncio.Event()

    @server.websocket("/busy")
    async def busy(ws):
        await released.wait()

    async with raw(server) as peer:
        await peer.send(HANDSHAKE % b"/busy" + Frame(Opcode.PING, b"p", masking_key=KEY).encode())
        await peer.head()
        assert await peer.exactly(3) == b"\x8a\x01p"
        released.set()
        assert await peer.exactly(4) == close_frame(1000).encode()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(Frame(Opcode.TEXT, b"x"), 1002, id="unmasked"),
        pytest.param(Frame(Opcode.TEXT, b"x", rsv1=True, masking_key=KEY), 1002, id="RSV1"),
        pytest.param(Frame(3, b"x", masking_key=KEY), 1002, id="reserved opcode"),
        pytest.param(Frame(Opcode.PING, b"x", fin=False, masking_key=KEY), 1002, id="fragmented Ping"),
        pytest.param(Frame(Opcode.PING, b"x" * 126, masking_key=KEY), 1002, id="long Ping"),
        pytest.param(Frame(Opcode.CONTINUATION, b"x", masking_key=KEY), 1002, id="unexpected continuation"),
        pytest.param(Frame(Opcode.TEXT, b"\xff", masking_key=KEY), 1007, id="not UTF-8"),
        pytest.param(Frame(Opcode.CLOSE, b"x", masking_key=KEY), 1002, id="1-byte Close"),
        pytest.param(Frame(Opcode.CLOSE, b"\x03\xed", masking_key=KEY), 1002, id="Close 1005"),
        pytest.param(Frame(Opcode.TEXT, b"", masking_key=KEY, declared_length=1 << 40), 1009, id="1 TiB"),
        pytest.param(Frame(Opcode.TEXT, b"x", masking_key=KEY, length_bits=64), 1002, id="not minimal"),
    ],
)
async def test_a_broken_frame_fails_its_connection_and_no_other(server: Server, frame: Frame, code: int) -> None:
    """RFC 6455 §7.1.7."""
    add_echo(server)
    async with connect(server.url("/echo")) as neighbour:
        ws = await connect(server.url("/echo"))
        await ws.send_frame(frame)
        with pytest.raises(ConnectionClosedError) as caught:
            await asyncio.wait_for(ws.receive(), 5)
        assert caught.value.code == code
        await ws.close()
        await neighbour.send("still here")
        assert await neighbour.receive() == "still here"
    assert [record.level for record in server.log.records] == ["warning"]
    server.check()


async def test_a_handler_that_raises_closes_with_1011_and_is_reported_once(server: Server) -> None:
    add_echo(server)

    @server.websocket("/bad")
    async def bad(ws):
        await ws.receive()
        raise ZeroDivisionError("by intent")

    async with connect(server.url("/echo")) as neighbour:
        async with connect(server.url("/bad")) as ws:
            await ws.send("x")
            with pytest.raises(ConnectionClosedError) as caught:
                await ws.receive()
        assert caught.value.code == 1011
        await neighbour.send("x")
        assert await neighbour.receive() == "x"
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    (error,) = group.value.exceptions
    assert isinstance(error, ZeroDivisionError)
    assert "/bad" in error.__notes__[0]
    server.check()
    record = server.log.records[-1]
    assert record.level == "error"
    assert record.route == "/bad"
    assert record.line == 4
    assert "by intent" in (record.traceback or "")


async def test_a_peer_that_vanishes_is_no_failure(server: Server) -> None:
    ended = asyncio.Event()

    @server.websocket("/wait")
    async def wait(ws):
        try:
            await ws.receive()
        finally:
            ended.set()

    async with raw(server) as peer:
        await peer.send(HANDSHAKE % b"/wait")
        await peer.head()
    await asyncio.wait_for(ended.wait(), 5)
    await until(lambda: not server.connections)
    server.check()
    assert server.log.records[-1].level == "info"


@pytest.mark.parametrize(
    ("code", "reason", "seen"), [(1000, "", 1000), (3001, "done", 3001), (None, "", 1005)], ids=str
)
async def test_the_handler_learns_why_the_client_closed(server: Server, code, reason, seen) -> None:
    """RFC 6455 §7.1.5 and §7.1.6."""
    learnt = asyncio.get_running_loop().create_future()

    @server.websocket("/closing")
    async def closing(ws):
        async for _ in ws:
            pass
        learnt.set_result((ws.close_code, ws.close_reason, ws.closed_first))

    ws = await connect(server.url("/closing"))
    await ws.close(code, reason)
    assert await asyncio.wait_for(learnt, 5) == (seen, reason, Side.CLIENT)
    assert ws.close_code == seen


async def test_route_parameters_are_arguments(server: Server) -> None:
    @server.websocket("/chat/{room}/{name}")
    async def chat(ws, name, room):
        await ws.send(f"{name} in {room}")

    async with connect(server.url("/chat/caf%C3%A9/a%2Fb")) as ws:
        assert await ws.receive() == "a/b in café"


async def test_both_ends_see_the_same_bytes(server: Server) -> None:
    add_echo(server)
    async with connect(server.url("/echo"), store=server.capture) as ws:
        await ws.send("Hello")
        await ws.receive()
    frames = [entry for entry in server.timeline if entry.kind is EntryKind.FRAME]
    assert [entry.payload for entry in frames[:2]] == [b"Hello", b"Hello"]
    for entry in frames:
        assert entry.peer_data == entry.data
    header = decode_header(frames[0].data)
    assert header is not None
    assert header.masking_key


async def test_a_slow_handler_stops_reading_and_loses_nothing(server: Server) -> None:
    """More messages than the queue holds wait in the socket, in order."""
    go = asyncio.Event()

    @server.websocket("/slow")
    async def slow(ws):
        await go.wait()
        async for message in ws:
            await ws.send(message)

    async with websockets_connect(server.url("/slow"), max_queue=None) as ws:
        for number in range(3000):
            await ws.send(str(number))
        go.set()
        assert [await ws.recv() for _ in range(3000)] == [str(number) for number in range(3000)]


async def test_a_handler_that_ends_closes_with_1000(server: Server) -> None:
    @server.websocket("/once")
    async def once(ws):
        await ws.send("bye")

    async with websockets_connect(server.url("/once")) as ws:
        assert await ws.recv() == "bye"
        with pytest.raises(websockets.ConnectionClosedOK):
            await ws.recv()


async def test_a_handler_whose_peer_is_given_up_has_not_failed(server: Server) -> None:
    server.config = Config(idle_timeout=0.1, close_timeout=0.1)

    @server.websocket("/ticks")
    async def ticks(ws):
        while True:
            await ws.send("tick")
            await asyncio.sleep(0.02)

    async with raw(server) as peer:
        await peer.send(HANDSHAKE % b"/ticks")
        await peer.head()
        await until(lambda: not server.connections)
    server.check()


async def test_a_handler_whose_websocket_another_closes_has_not_failed(server: Server) -> None:
    @server.websocket("/ticks")
    async def ticks(ws):
        while True:
            await ws.send("tick")
            await asyncio.sleep(0.02)

    async with connect(server.url("/ticks")) as client:
        await client.receive()
        await server.websockets[0].close(4000, "kicked")
        await until(lambda: not server.connections)
        assert client.close_code == 4000
    server.check()


async def test_a_handler_that_sends_after_its_own_close_has_failed(server: Server) -> None:
    @server.websocket("/careless")
    async def careless(ws):
        await ws.close()
        await ws.send("too late")

    async with connect(server.url("/careless")):
        await until(lambda: not server.connections)
    with pytest.raises(ExceptionGroup):
        server.check()


async def test_a_client_that_leaves_a_callback_alone_is_no_failure(server: Server) -> None:
    server.websocket("/post", on_message=lambda ws, message: ws.post(message))
    for _ in range(5):
        async with raw(server) as peer:
            frames = Frame(Opcode.TEXT, b"abc", masking_key=KEY).encode() * 30
            await peer.send(HANDSHAKE % b"/post" + frames)
    await until(lambda: not server.connections)
    server.check()


async def test_who_fails_a_connection_has_closed_it_first(server: Server) -> None:
    """RFC 6455 §7.1.7."""
    ended: list[Side | None] = []

    @server.websocket("/strict")
    async def strict(ws):
        async for _ in ws:
            pass
        ended.append(ws.closed_first)

    async with raw(server) as peer:
        await peer.send(HANDSHAKE % b"/strict" + Frame(Opcode.TEXT, b"unmasked").encode())
        await peer.head()
        await peer.rest()
    await until(lambda: ended)
    assert ended == [Side.SERVER]
