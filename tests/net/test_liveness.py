"""Pings and their Pongs, keep-alive and the idle time-out."""

from __future__ import annotations

import asyncio

import pytest

from lane_kernel.capture import Store
from lane_kernel.client import connect
from lane_kernel.net.config import Config
from lane_kernel.net.liveness import Pings, PongTimeoutError
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.net.stream import ConnectionLostError
from lane_kernel.server import Server
from lane_kernel.sides import Side
from lane_kernel.wire.frames import Frame, FrameError, Opcode, close_frame
from lane_kernel.wire.policy import Policy
from tests.server.raw import HANDSHAKE, Raw, raw, until

KEY = b"\x01\x02\x03\x04"


async def test_a_pong_answers_its_ping_and_those_before_it() -> None:
    """RFC 6455 §5.5.3."""
    pings = Pings()
    pongs = [pings.add(payload) for payload in (b"a", b"b", b"b", b"c")]
    pings.answer(b"unasked")
    assert pings.latency is None
    pings.answer(b"b")
    assert [pong.done() for pong in pongs] == [True, True, False, False]
    assert pings.latency == pongs[1].result()
    assert (pongs[0].result() or 0) >= (pongs[1].result() or 0) >= 0
    pings.end()
    assert [pong.result() for pong in pongs[2:]] == [None, None]


def add_wait(server: Server) -> None:
    @server.websocket("/wait")
    async def wait(ws):
        async for _ in ws:
            pass


@pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER], ids=str)
async def test_a_ping_is_awaited_at_both_ends(server: Server, side: Side) -> None:
    add_wait(server)
    async with connect(server.url("/wait"), store=Store()) as client:
        await until(lambda: server.websockets)
        ws = client if side is Side.CLIENT else server.websockets[0]
        seconds = await ws.ping()
        assert 0 <= seconds < 5
        assert ws.latency == seconds
        several = await asyncio.gather(*(ws.ping(b"%d" % number) for number in range(20)), ws.ping(), ws.ping(b""))
        assert all(0 <= one < 5 for one in several)
        with pytest.raises(FrameError, match="control frame of 126"):
            await ws.ping(b"x" * 126)
        ws.post_ping(b"posted")
        await ws.ping(b"after it")
        assert await ws.ping() == ws.latency


async def test_a_pong_that_does_not_come_and_an_end_before_it_are_told(server: Server) -> None:
    add_wait(server)
    ws = await connect(server.url("/wait"), store=Store(), policy=Policy(answers_pings=False))
    await until(lambda: server.websockets)
    (session,) = server.websockets
    with pytest.raises(PongTimeoutError, match=r"no Pong came within 0\.02 s"):
        await session.ping(timeout=0.02)
    waiting = asyncio.create_task(session.ping())
    await asyncio.sleep(0)
    await ws.close(4000, "enough")
    with pytest.raises(ConnectionClosedError, match="4000 enough"):
        await waiting
    with pytest.raises(ConnectionLostError, match="closed with 4000"):
        await ws.ping()


async def upgraded(peer: Raw) -> None:
    await peer.send(HANDSHAKE % b"/wait")
    assert (await peer.head()).startswith(b"HTTP/1.1 101")


async def test_a_silent_peer_is_closed_with_1001(server: Server) -> None:
    server.config = Config(idle_timeout=0.05, close_timeout=0.05)
    add_wait(server)
    async with raw(server) as peer:
        await upgraded(peer)
        wanted = close_frame(1001, "idle: nothing came for 0.05 s").encode()
        assert await peer.exactly(len(wanted)) == wanted
        await peer.send(close_frame(1001, masking_key=KEY).encode())
        assert await peer.rest() == b""
    await until(lambda: not server.connections)
    assert [record.text for record in server.log.records] == ["idle: nothing came for 0.05 s"]
    server.check()


async def test_a_silent_peer_that_answers_no_close_is_ended(server: Server) -> None:
    server.config = Config(idle_timeout=0.02, close_timeout=0.02)
    add_wait(server)
    async with raw(server) as peer:
        await upgraded(peer)
        assert (await peer.rest())[0] == 0x88
    await until(lambda: not server.connections)


async def test_whatever_comes_puts_off_the_idle_time_out(server: Server) -> None:
    server.config = Config(idle_timeout=0.2)
    add_wait(server)
    async with raw(server) as peer:
        await upgraded(peer)
        for _ in range(10):
            await asyncio.sleep(0.04)
            await peer.send(Frame(Opcode.PONG, b"", masking_key=KEY).encode())
        assert server.websockets


async def test_the_clients_idle_time_out(server: Server) -> None:
    add_wait(server)
    ws = await connect(server.url("/wait"), store=Store(), config=Config(idle_timeout=0.05))
    with pytest.raises(ConnectionClosedError) as caught:
        await asyncio.wait_for(ws.receive(), 5)
    assert caught.value.code == 1001
    assert ws.closed_first is Side.CLIENT
    await ws.close()


async def test_keep_alive_pings_measure_and_an_answering_peer_stays(server: Server) -> None:
    server.config = Config(ping_interval=0.01, ping_timeout=5)
    add_wait(server)
    async with raw(server) as peer:
        await upgraded(peer)
        payloads = set()
        for _ in range(5):
            ping = await peer.exactly(6)
            assert ping[:2] == b"\x89\x04"
            payloads.add(ping[2:])
            await peer.send(Frame(Opcode.PONG, ping[2:], masking_key=KEY).encode())
        assert len(payloads) == 5
        await until(lambda: server.websockets[0].latency is not None)


async def test_a_peer_without_pongs_is_closed_with_1011(server: Server) -> None:
    """Also one that sends other things; as the `websockets` library does."""
    server.config = Config(ping_interval=0.01, ping_timeout=0.05, close_timeout=0.05)
    add_wait(server)
    async with raw(server) as peer:
        await upgraded(peer)
        await peer.exactly(6)
        await peer.send(Frame(Opcode.TEXT, b"still talking", masking_key=KEY).encode())
        wanted = close_frame(1011, "keep-alive: no Pong came within 0.05 s").encode()
        assert await peer.exactly(len(wanted)) == wanted
    await until(lambda: not server.connections)
    assert server.log.records[-1].text == "keep-alive: no Pong came within 0.05 s"


async def test_a_handler_that_is_slow_is_not_held_against_the_peer(server: Server) -> None:
    """While we do not read, the peer's Pongs wait in the socket."""
    server.config = Config(max_queue=1, idle_timeout=0.02, ping_interval=0.02, ping_timeout=0.02)
    go = asyncio.Event()

    @server.websocket("/wait")
    async def wait(ws):
        await go.wait()
        await ws.send(await ws.receive())

    async with raw(server) as peer:
        await peer.send(HANDSHAKE % b"/wait" + Frame(Opcode.TEXT, b"x", masking_key=KEY).encode())
        await peer.head()
        await asyncio.sleep(0.1)
        assert server.websockets
        go.set()
        assert await peer.exactly(3) == b"\x81\x01x"
