"""The WebSocket client against the `websockets` library's server, and against servers that answer wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from lane_kernel.capture import Chunk, Store
from lane_kernel.client import connect
from lane_kernel.net.dial import DialError
from lane_kernel.net.heads import ResponseError
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.net.stream import ConnectionLostError
from lane_kernel.server import Server
from lane_kernel.sides import Side
from lane_kernel.timeline import EntryKind, Timeline
from lane_kernel.wire.connection import ConnectionStateError
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import Frame, FrameError, Opcode, apply_mask
from lane_kernel.wire.handshake import HandshakeError, accept_key
from lane_kernel.wire.policy import Policy
from tests.peers import Talk, peer


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


async def test_it_speaks_with_the_websockets_library() -> None:
    store = Store()
    async with serve(echo, "127.0.0.1", 0, compression=None) as peer:
        port = peer.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/x?y=1", store=store) as ws:
            for message in ("", "hi", "é" * 70_000, b"", b"\xff" * 70_000):
                await ws.send(message)
                assert await ws.receive() == message
            await ws.ping(b"p")
            await ws.send("after the ping")
            assert await ws.receive() == "after the ping"
    assert (ws.close_code, ws.closed_first) == (1000, Side.CLIENT)
    entries = list(Timeline(store))
    assert entries[1].what == "GET /x?y=1"
    sent = [entry for entry in entries if entry.kind is EntryKind.FRAME and entry.direction is Side.CLIENT.outgoing]
    assert all(entry.header and entry.header.masking_key for entry in sent)
    assert not any(entry.findings for entry in entries)


async def test_several_tasks_may_wait_for_messages() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        ws = await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        waiting = [asyncio.create_task(ws.receive()) for _ in range(3)]
        await ws.send("one")
        done, _ = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == ["one"]
        await ws.close()
        ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
        assert sorted(map(type, ends), key=str) == [ConnectionClosedError, ConnectionClosedError, str]


async def test_the_servers_close_is_answered_and_told() -> None:
    async def leave(ws: ServerConnection) -> None:
        await ws.close(4001, "go away")

    async with serve(leave, "127.0.0.1", 0) as peer:
        ws = await connect(f"ws://127.0.0.1:{peer.sockets[0].getsockname()[1]}/")
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.receive()
        assert (caught.value.code, caught.value.reason) == (4001, "go away")
        assert ws.closed_first is Side.SERVER
        with pytest.raises((ConnectionLostError, ConnectionStateError)):
            await ws.send("too late")
        await ws.close()


def answering(response: bytes) -> Talk:
    """Answer every request with the same bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await writer.drain()
        await reader.read()

    return talk


OK = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n"


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", HandshakeError, "403 Forbidden"),
        (OK.format("x").encode(), HandshakeError, "Sec-WebSocket-Accept is x"),
        (b"HTTP/1.1 101 x\r\n\r\n", HandshakeError, "lacks Upgrade"),
        (b"nonsense\r\n\r\n", ResponseError, "does not answer in HTTP/1"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000, ResponseError, "larger than the bound"),
    ],
)
async def test_a_wrong_answer_is_refused_and_nothing_stays_open(response: bytes, error: type, message: str) -> None:
    """RFC 6455 §4.1."""
    store = Store()
    async with peer(answering(response)) as port:
        with pytest.raises(error, match=message):
            await connect(f"ws://127.0.0.1:{port}/", store=store)
    assert [entry.what for entry in Timeline(store)][-1] == "closed by the client"


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(silence) as port:
        with pytest.raises(ResponseError, match="did not answer within"):
            await connect(f"ws://127.0.0.1:{port}/", timeout=0.05, store=Store())


@pytest.mark.parametrize("url", ["echo", "ftp://x/", "ws:///x", "ws://h:99999/", "ws://h/a b", "ws://h/\r\nX: y"])
async def test_a_wrong_url_says_so(url: str) -> None:
    with pytest.raises(DialError, match=r"not a URL|percent-encode"):
        await connect(url)


async def test_nobody_listening_is_told_clearly() -> None:
    with pytest.raises(DialError, match="is the server started"):
        await connect("ws://127.0.0.1:1/")


async def test_a_message_is_str_or_bytes() -> None:
    async with (
        serve(echo, "127.0.0.1", 0) as server,
        connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/") as ws,
    ):
        with pytest.raises(TypeError, match="not int"):
            await ws.send(5)  # type: ignore[arg-type]


async def test_any_frame_and_any_bytes_can_be_sent() -> None:
    received = bytearray()
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
        writer.write(OK.format(accept_key(key.decode())).encode())
        received.extend(await reader.read(100))
        done.set()

    async with peer(talk) as port:
        ws = await connect(f"ws://127.0.0.1:{port}/")
        await ws.send_frame(Frame(0xF, b"abc", fin=False, rsv2=True, declared_length=5))
        await asyncio.wait_for(done.wait(), 5)
        assert received == b"\x2f\x05abc"
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.receive()
        assert caught.value.code == 1006
        await ws.close()


@asynccontextmanager
async def websocket_peer(*parts: bytes) -> AsyncIterator[tuple[str, asyncio.Future[bytes]]]:
    """Shake hands and say the parts; gives the URL, and what came from the client until its end."""
    came: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
        writer.write(OK.format(accept_key(key.decode())).encode())
        for part in parts:
            writer.write(part)
        if CLOSE in parts:
            writer.write_eof()  # the client waits for the server to end the connection first
        await writer.drain()
        came.set_result(await reader.read())

    async with peer(talk) as port:
        yield f"ws://127.0.0.1:{port}/", came


def unmasked(data: bytes) -> list[tuple[int, bytes]]:
    """The opcodes and payload data of frames of a client, each shorter than 126 bytes."""
    frames = []
    while data:
        masked, length = data[1] >> 7, data[1] & 0x7F
        key, start = (data[2:6], 6) if masked else (b"\0\0\0\0", 2)
        frames.append((data[0] & 0xF, apply_mask(key, data[start : start + length])))
        data = data[start + length :]
    return frames


CLOSE = b"\x88\x02\x03\xe8"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


async def test_policy_is_strict() -> None:
    """RFC 6455 §5.2: a reserved bit fails the connection, unless one reads on all the same."""
    wire = b"\xa1\x02hi"
    async with websocket_peer(wire, CLOSE) as (url, came), connect(url, store=Store()) as ws:
        with pytest.raises(ConnectionClosedError):
            await ws.receive()
        assert ws.failure is not None
        await ws.close()
        assert unmasked(await came)[0][1][:2] == b"\x03\xea"
    async with (
        websocket_peer(wire, CLOSE) as (url, came),
        connect(url, store=Store(), policy=Policy(is_strict=False)) as ws,
    ):
        assert await ws.receive() == "hi"
        await ws.close()
        assert ws.close_code == 1000
        assert ws.failure is None


@pytest.mark.parametrize("answers", [True, False])
async def test_policy_answers_pings(answers: bool) -> None:
    """RFC 6455 §5.5.2."""
    policy = Policy(answers_pings=answers)
    async with websocket_peer(b"\x89\x02hi", CLOSE) as (url, came), connect(url, store=Store(), policy=policy) as ws:
        with pytest.raises(ConnectionClosedError, match="1000"):
            await ws.receive()
        await ws.close()
        frames = unmasked(await came)
    assert frames == [*([(0xA, b"hi")] if answers else []), (8, b"\x03\xe8")]


@pytest.mark.parametrize("echoes", [True, False])
async def test_policy_echoes_close(echoes: bool) -> None:
    """RFC 6455 §5.5.1."""
    policy = Policy(echoes_close=echoes)
    async with websocket_peer(CLOSE) as (url, came):
        ws = await connect(url, store=Store(), policy=policy)
        with pytest.raises(ConnectionClosedError, match="1000"):
            await ws.receive()
        if echoes:
            await ws.close()
        else:
            ws._transport.abort()
        assert unmasked(await came) == ([(8, b"\x03\xe8")] if echoes else [])


@pytest.mark.parametrize("checks", [True, False])
async def test_policy_checks_utf8(checks: bool) -> None:
    """RFC 6455 §8.1: in what comes, and in what is sent."""
    policy = Policy(checks_utf8=checks)
    async with websocket_peer(b"\x81\x02\xffx", CLOSE) as (url, came), connect(url, store=Store(), policy=policy) as ws:
        if checks:
            with pytest.raises(FrameError):
                await ws.send("\udcff")
            with pytest.raises(ConnectionClosedError):
                await ws.receive()
            assert ws.failure is not None
            return
        await ws.send("\udcff")
        assert await ws.receive() == "\udcffx"
        await ws.close()
        assert unmasked(await came)[0] == (1, b"\xff")


@pytest.mark.parametrize("checks", [True, False])
async def test_policy_checks_masks(checks: bool) -> None:
    """RFC 6455 §5.1: a server's frames are not masked."""
    policy = Policy(checks_masks=checks)
    wire = b"\x81\x82\1\2\3\4" + apply_mask(b"\1\2\3\4", b"hi")
    async with websocket_peer(wire, CLOSE) as (url, _), connect(url, store=Store(), policy=policy) as ws:
        if checks:
            with pytest.raises(ConnectionClosedError):
                await ws.receive()
            assert ws.failure is not None
        else:
            assert await ws.receive() == "hi"


@pytest.mark.parametrize("masks", [True, False])
async def test_policy_masks(masks: bool) -> None:
    """RFC 6455 §5.3; a real server fails a client that does not."""
    async with serve(echo, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with connect(url, store=Store(), policy=Policy(masks=masks)) as ws:
            await ws.send("hi")
            if masks:
                assert await ws.receive() == "hi"
            else:
                with pytest.raises(ConnectionClosedError, match="1002"):
                    await ws.receive()


@pytest.mark.parametrize("compresses", [True, False])
async def test_policy_compresses(compresses: bool) -> None:
    """RFC 7692 §6: what a message is, where it is not said otherwise for it."""
    store = Store()
    async with serve(echo, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        policy = Policy(compresses=compresses)
        async with connect(url, store=store, policy=policy, deflate=DeflateParameters()) as ws:
            assert ws.deflate is not None
            for is_compressed in (None, not compresses):
                await ws.send("hi" * 100, is_compressed=is_compressed)
                assert await ws.receive() == "hi" * 100
    entries = [entry for entry in Timeline(store) if entry.kind is EntryKind.FRAME and entry.header is not None]
    sent = [entry.header for entry in entries if entry.direction is Side.CLIENT.outgoing]
    assert [header.rsv for header in sent if header is not None][:2] == [4 * compresses, 4 * (not compresses)]


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
async def test_a_redirection_is_told_and_not_followed(status: str) -> None:
    """RFC 6455 §4.1: a client may follow it; browsers do not."""
    head = f"HTTP/1.1 {status}\r\nLocation: wss://example.org/there\r\nContent-Length: 0\r\n\r\n"
    async with peer(answering(head.encode())) as port:
        with pytest.raises(
            HandshakeError, match=rf"{status} \(Location: wss://example.org/there; .* not followed"
        ) as e:
            await connect(f"ws://127.0.0.1:{port}/", store=Store())
    assert e.value.status == int(status[:3])


async def test_interim_answers_are_passed_over() -> None:
    """RFC 9110 §15.2."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        writer.write(OK.format(accept_key(KEY)).encode() + b"\x81\x02hi" + CLOSE)
        writer.write_eof()
        await reader.read()

    async with peer(talk) as port, connect(f"ws://127.0.0.1:{port}/", store=Store(), key=KEY) as ws:
        assert await ws.receive() == "hi"


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"key": "short"}, 400, "answered 400"),
        ({"key": ""}, 400, "answered 400"),
        ({"request": lambda built: built.replace(b"Version: 13", b"Version: 8")}, 426, "answered 426"),
        ({"request": lambda built: built.replace(b"Upgrade: websocket\r\n", b"")}, 426, "answered 426"),
        ({"request": lambda built: built.replace(b"Host:", b"Host: twice\r\nHost:")}, 400, "answered 400"),
        ({"request": lambda built: built.replace(b"GET", b"POST")}, 405, "answered 405"),
        ({"request": b"GET / HTTP/1.0\r\n\r\n"}, 426, "answered 426"),
        ({"headers": [("Sec-WebSocket-Key", KEY)]}, 400, "answered 400"),
    ],
)
async def test_a_handshake_may_be_wrong_in_any_way(options: dict[str, Any], status: int, message: str) -> None:
    """RFC 6455 §4.2.1, as this package's own server answers it."""
    server = Server("wrong handshakes", store=Store())

    @server.websocket("/")
    async def never(ws):
        raise AssertionError

    async with server:
        with pytest.raises(HandshakeError, match=message) as caught:
            await connect(server.url("/"), store=Store(), **options)
        assert caught.value.status == status
        server.check()


async def test_an_answer_has_to_fit_what_was_sent() -> None:
    """RFC 6455 §4.1: the key, the subprotocols and the extensions of the bytes that went out."""
    request = (
        b"\r\nGET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: chat\r\n\r\n" % KEY.encode()
    )
    accepted = OK.format(accept_key(KEY)).encode()
    chosen = accepted.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
    store = Store()
    async with peer(answering(chosen + CLOSE)) as port:
        ws = await connect(f"ws://127.0.0.1:{port}/", request=request, store=store)
        assert ws.subprotocol == "chat"
        ws._transport.abort()
        assert store.read(ws.connection, Side.CLIENT.outgoing, 0, len(request)) == request
        with pytest.raises(HandshakeError, match="'chat' in sec-websocket-protocol, which was not offered"):
            await connect(f"ws://127.0.0.1:{port}/", key=KEY, store=Store())
        with pytest.raises(HandshakeError, match="Sec-WebSocket-Accept is"):
            await connect(f"ws://127.0.0.1:{port}/", request=request.replace(b"dGhl", b"eGhl"), store=Store())


async def test_chopped_bytes_and_frames_are_one_write_each() -> None:
    store = Store()
    async with websocket_peer() as (url, came):
        ws = await connect(url, store=store)
        handshake = store.length(ws.connection, Side.CLIENT.outgoing)
        await ws.send_frame(Frame(Opcode.TEXT, b"hello", masking_key=b"\0\0\0\0"), chop=4)
        await ws.send_bytes(b"\x89\x80", chop=1, pause=0.02)
        await ws.send_bytes(b"1234")
        chunks = [record for record in store.records() if isinstance(record, Chunk)]
        pieces = [c for c in chunks if c.direction is Side.CLIENT.outgoing and c.offset >= handshake]
        assert [c.data for c in pieces] == [b"\x81\x85\0\0", b"\0\0he", b"llo", b"\x89", b"\x80", b"1234"]
        assert pieces[4].time_ns - pieces[3].time_ns >= 0.02e9
        with pytest.raises(FrameError, match="at least 1 byte"):
            await ws.send_frame(Frame(Opcode.PING), chop=0)
        ws._transport.abort()
        assert await came == b"\x81\x85\0\0\0\0hello\x89\x801234"


async def test_a_chopped_frame_is_remembered_as_sent() -> None:
    """RFC 6455 §5.4 and §7.1.3: a Close, so that nothing follows it; a fragment, so that no other message does."""
    store = Store()
    async with serve(echo, "127.0.0.1", 0, compression=None) as peer:
        port = peer.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/", store=store) as ws:
            await ws.send_frame(Frame(Opcode.TEXT, b"half", fin=False, masking_key=bytes(4)), chop=1)
            with pytest.raises(FrameError, match="unfinished"):
                await ws.send("another")
            await ws.send_frame(Frame(Opcode.CONTINUATION, b"", masking_key=bytes(4)), chop=1)
            assert await ws.receive() == "half"
            close = Frame(Opcode.CLOSE, b"\x0f\xa0bye", masking_key=bytes(4))
            with pytest.raises(FrameError, match="at least 1 byte"):
                await ws.send_frame(close, chop=0)
            assert (ws.is_open, ws.closed_first) == (True, None), "what was refused was not sent"
            await ws.send_frame(close, chop=1)
            assert (ws.is_open, ws.closed_first) == (False, Side.CLIENT)
            with pytest.raises(ConnectionStateError):
                await ws.send("late")
            with pytest.raises(ConnectionClosedError, match="4000 bye"):
                await ws.receive()
    sent = [entry for entry in Timeline(store) if entry.direction is Side.CLIENT.outgoing and entry.header is not None]
    assert [entry.header.opcode for entry in sent if entry.header] == [Opcode.TEXT, Opcode.CONTINUATION, Opcode.CLOSE]
