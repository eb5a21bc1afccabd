"""The upgrade as a hook that can be replaced, to answer wrongly on purpose."""

from __future__ import annotations

import pytest

from lane_kernel.client import connect
from lane_kernel.server import Server, Status, Upgrade
from lane_kernel.wire.handshake import HandshakeError
from tests.server.raw import HANDSHAKE, raw


@pytest.fixture
def echo(server: Server) -> Server:
    @server.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    return server


async def test_an_answer_with_a_wrong_accept_key(echo: Server) -> None:
    @echo.upgrade
    class Wrong(Upgrade):
        def answer(self, accept, agreement):
            return super().answer("wrong" + accept, agreement)

    with pytest.raises(HandshakeError, match="Accept"):
        await connect(echo.url("/echo"))


async def test_an_answer_of_ones_own_bytes(echo: Server) -> None:
    @echo.upgrade
    async def teapot(stream, ctx):
        await stream.send("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n")
        return Status.REJECT

    async with raw(echo) as peer:
        assert await peer.status(HANDSHAKE % b"/echo") == 418


async def test_an_answer_that_is_no_101_and_frames_all_the_same(echo: Server) -> None:
    @echo.upgrade
    async def hasty(stream, ctx):
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
        stream.begin_frames(ctx.request, stream.agree(ctx.request))

    async with raw(echo) as peer:
        await peer.send(HANDSHAKE % b"/echo")
        assert (await peer.head()).startswith(b"HTTP/1.1 200")
        await peer.send(bytes.fromhex("818200000000 6869"))
        assert await peer.exactly(4) == b"\x81\x02hi"


async def test_a_refusal_of_ones_own(echo: Server) -> None:
    @echo.upgrade
    class Unfriendly(Upgrade):
        async def refuse(self, stream, ctx, error):
            return await super().refuse(stream, ctx, HandshakeError(403, "go away"))

    async with raw(echo) as peer:
        assert await peer.status(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n") == 403


async def test_the_one_of_the_rfc_comes_back(echo: Server) -> None:
    @echo.upgrade
    async def teapot(stream, ctx):
        return Status.REJECT

    echo.upgrade(Upgrade)
    async with connect(echo.url("/echo")) as ws:
        await ws.send("hi")
        assert await ws.receive() == "hi"
