"""WebSocket groups over real sockets: who is reached, the four hooks, and what becomes of the slow one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect as websockets_connect

import lane_kernel as lane
from lane_kernel.broadcast import BroadcastError, BroadcastMap, Overflow
from lane_kernel.client import ClientWebSocket, connect
from lane_kernel.net.config import Config
from lane_kernel.server import Server, ServerHook, Status, is_ws_upgrade_type
from lane_kernel.server.groups import GroupConfig, GroupContext, PointToGroup, PointToPoint, WebSocketGroups
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import Frame, FrameError, Opcode
from tests.server.raw import HANDSHAKE, Raw, until

KEY = b"\x01\x02\x03\x04"


@pytest.fixture
async def groups(server: Server) -> WebSocketGroups:
    """A server whose /chat/{room} is a group."""
    made = WebSocketGroups()

    @server.websocket("/chat/{room}")
    async def chat(ws, room):
        await made.run(ws, PointToGroup(room))

    return made


async def receive(*sockets: ClientWebSocket) -> list[str | bytes]:
    async with asyncio.timeout(5):
        return [await socket.receive() for socket in sockets]


async def test_what_one_sends_reaches_the_group_and_no_other(server: Server, groups: WebSocketGroups) -> None:
    async with (
        connect(server.url("/chat/a")) as first,
        connect(server.url("/chat/a")) as second,
        connect(server.url("/chat/b")) as other,
    ):
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
        for message in ("hello", b"\x00\xff", "", "é" * 70_000):
            await first.send(message)
            assert await receive(first, second) == [message, message]
        await other.send("alone")
        assert await receive(other) == ["alone"]
        assert len(groups.snapshot().channels) == 2
    await until(lambda: not groups.snapshot().channels)
    counters = groups.snapshot().counters
    assert (counters.sent, counters.delivered, counters.dropped) == (5, 9, 0)
    server.check()


async def test_the_websockets_library_is_a_member_with_compression_agreed(groups: WebSocketGroups) -> None:
    """The frame that all share is not compressed, which permessage-deflate allows of any message (RFC 7692 §6)."""
    async with Server("deflated", deflate=DeflateParameters()) as server:

        @server.websocket("/chat")
        async def chat(ws):
            assert ws.deflate is not None
            await groups.run(ws, PointToGroup("a"))

        async with websockets_connect(server.url("/chat")) as first, websockets_connect(server.url("/chat")) as second:
            await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
            for number in range(20):
                await first.send(f"message {number}")
                for peer in (first, second):
                    assert await asyncio.wait_for(peer.recv(), 5) == f"message {number}"
        server.check()


async def test_hyperlanes_form_runs_a_group_on_its_stream(server: Server, groups: WebSocketGroups) -> None:
    @server.route("/hyperlane")
    class Chat(ServerHook):
        @is_ws_upgrade_type
        async def handle(self, stream, ctx):
            await groups.run(stream, PointToGroup("a"))
            return Status.CONTINUE

    async with connect(server.url("/hyperlane")) as first, connect(server.url("/chat/a")) as second:
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
        await second.send("hello")
        assert await receive(first, second) == ["hello", "hello"]
    server.check()


async def test_two_points_are_one_pair_in_either_order(server: Server) -> None:
    groups = WebSocketGroups()

    @server.websocket("/from/{me}/to/{you}")
    async def pair(ws, me, you):
        await groups.run(ws, PointToPoint(me, you))

    async with (
        connect(server.url("/from/ann/to/bob")) as ann,
        connect(server.url("/from/bob/to/ann")) as bob,
        connect(server.url("/from/ann/to/cat")) as other,
    ):
        await until(lambda: groups.receiver_count(PointToPoint("bob", "ann")) == 2)
        await ann.send("hello bob")
        await other.send("hello cat")
        assert await receive(ann, bob, other) == ["hello bob", "hello bob", "hello cat"]


@given(st.text(), st.text(), st.text(), st.text())
def test_pairs_are_one_only_where_they_are_the_same_two(a: str, b: str, c: str, d: str) -> None:
    assert PointToPoint(a, b) == PointToPoint(b, a)
    assert (PointToPoint(a, b).channel == PointToPoint(c, d).channel) == (sorted((a, b)) == sorted((c, d)))
    assert PointToPoint(a, b).channel != PointToGroup(c).channel


# Hooks


async def test_the_four_hooks_are_run_in_their_places(server: Server) -> None:
    groups = WebSocketGroups()
    seen: list[object] = []

    async def connected(context: GroupContext) -> None:
        seen.append(("connected", context.receiver_count, context.message))
        await context.send("someone joined")

    async def request(context: GroupContext) -> None:
        seen.append(("request", context.message, context.sent))
        if context.message == "drop":
            context.message = None
        elif isinstance(context.message, str):
            context.message = context.message.upper()

    async def sended(context: GroupContext) -> None:
        assert context.sent is not None
        seen.append(("sended", context.message, context.sent.data))

    async def closed(context: GroupContext) -> None:
        seen.append(("closed", context.receiver_count, context.message))

    hooks = GroupConfig(connected=connected, request=request, sended=sended, closed=closed)

    @server.websocket("/chat")
    async def chat(ws):
        await groups.run(ws, PointToGroup("a"), hooks)

    async with connect(server.url("/chat")) as ws:
        for message in ("drop", "hello", b"raw"):
            await ws.send(message)
        assert await receive(ws, ws, ws) == ["someone joined", "HELLO", b"raw"]
    await until(lambda: seen[-1] == ("closed", 0, None))
    assert seen == [
        ("connected", 1, None),
        ("request", "drop", None),
        ("request", "hello", None),
        ("sended", "HELLO", "HELLO"),
        ("request", b"raw", None),
        ("sended", b"raw", b"raw"),
        ("closed", 0, None),
    ]


@pytest.mark.parametrize("name", ["connected", "request", "sended", "closed"])
async def test_a_hook_that_raises_fails_its_own_member(server: Server, groups: WebSocketGroups, name: str) -> None:
    left: list[GroupContext] = []

    async def broken(context: GroupContext) -> None:
        raise ZeroDivisionError("by intent")

    async def closed(context: GroupContext) -> None:
        left.append(context)

    config = GroupConfig(**{"closed": closed, name: broken})  # type: ignore[arg-type]

    @server.websocket("/broken")
    async def chat(ws):
        await groups.run(ws, PointToGroup("a"), config)

    async with connect(server.url("/chat/a")) as neighbour:
        async with connect(server.url("/broken")) as ws:
            with contextlib.suppress(Exception):
                await ws.send("x")
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 1)
        await neighbour.send("still here")
        while await receive(neighbour) != ["still here"]:
            pass
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    assert [type(error) for error in group.value.exceptions] == [ZeroDivisionError]
    assert len(left) == (name != "closed")


async def test_a_member_leaves_however_it_ends(server: Server) -> None:
    """A Close, a lost connection, the server's stop: the closed hook runs, and the group is empty."""
    groups = WebSocketGroups()
    left = 0

    async def closed(context: GroupContext) -> None:
        nonlocal left
        left += 1
        await context.send("someone left")

    @server.websocket("/chat")
    async def chat(ws):
        await groups.run(ws, PointToGroup("a"), GroupConfig(closed=closed))

    url = server.url("/chat")
    async with connect(url) as stays:
        await (await connect(url)).close()
        assert await receive(stays) == ["someone left"]
        async with slow_member(server, "/chat") as peer:
            await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
            peer.writer.transport.abort()
        assert await receive(stays) == ["someone left"]
        await server.stop()
    assert left == 3
    assert groups.receiver_count(PointToGroup("a")) == 0
    server.check()


async def test_a_channel_that_is_closed_ends_its_members(server: Server, groups: WebSocketGroups) -> None:
    async with connect(server.url("/chat/a")) as ws:
        await ws.send("x")
        assert await receive(ws) == ["x"]
        groups.rooms.unsubscribe(PointToGroup("a").channel)
        assert [message async for message in ws] == []
        assert ws.close_code == 1000
    server.check()


async def test_a_channel_that_fails_is_the_servers_failure(server: Server, groups: WebSocketGroups) -> None:
    async with connect(server.url("/chat/a")) as ws:
        await ws.send("x")
        assert await receive(ws) == ["x"]
        await groups.rooms.send(PointToGroup("a").channel, object())
        assert [message async for message in ws] == []
        assert ws.close_code == 1011
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    assert isinstance(group.value.exceptions[0], BroadcastError)


async def test_text_that_cannot_be_sent_is_refused_before_anyone_is_sent_it(groups: WebSocketGroups) -> None:
    with pytest.raises(FrameError):
        await groups.send(PointToGroup("a"), "\ud800")


@pytest.mark.parametrize(
    ("given", "arrives"),
    [
        (bytearray(b"x"), b"x"),
        (memoryview(b"abcd")[::2], b"ac"),
        ({"n": [1, "é"]}, '{"n": [1, "é"]}'),
        (5, "5"),
        (None, "null"),
    ],
)
async def test_what_is_neither_text_nor_bytes_goes_as_the_one_or_the_other(
    server: Server, groups: WebSocketGroups, given: object, arrives: str | bytes
) -> None:
    async with connect(server.url("/chat/a")) as first, connect(server.url("/chat/a")) as second:
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
        sent = await groups.send(PointToGroup("a"), given)
        if isinstance(given, bytearray):
            given[:] = b"changed"
        assert sent.data == arrives
        assert await receive(first, second) == [arrives, arrives]
    server.check()


@pytest.mark.parametrize("message", [object(), {1, 2}, float("inf"), {"n": object()}, {"text": "\ud800"}])
async def test_what_cannot_be_sent_is_refused_and_harms_no_member(
    server: Server, groups: WebSocketGroups, message: object
) -> None:
    async with connect(server.url("/chat/a")) as first, connect(server.url("/chat/a")) as second:
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
        with pytest.raises((BroadcastError, FrameError), match=r"a group sends str, bytes and what JSON|sent as UTF-8"):
            await groups.send(PointToGroup("a"), message)
        await groups.send(PointToGroup("a"), "next")
        assert await receive(first, second) == ["next", "next"]
    server.check()


async def test_what_a_request_hook_cannot_send_on_ends_its_own_member_only(
    server: Server, groups: WebSocketGroups
) -> None:
    async def request(context: GroupContext) -> None:
        context.message = {"as JSON"} if context.message == "bad" else bytearray(b"good")

    @server.websocket("/hooked")
    async def chat(ws):
        await groups.run(ws, PointToGroup("a"), GroupConfig(request=request))

    async with connect(server.url("/chat/a")) as neighbour, connect(server.url("/hooked")) as ws:
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
        await ws.send("good")
        assert await receive(neighbour, ws) == [b"good", b"good"]
        await ws.send("bad")
        assert [message async for message in ws] == []
        assert ws.close_code == 1011
        await neighbour.send("still here")
        assert await receive(neighbour) == ["still here"]
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    assert ["not this set" in str(error) for error in group.value.exceptions] == [True]


async def test_a_message_beside_a_hooks_fragments_waits_for_them(server: Server, groups: WebSocketGroups) -> None:
    """A frame of the group's may not stand inside a message that is sent in fragments (RFC 6455 §5.4)."""

    async def request(context: GroupContext) -> None:
        await context.ws.send_frame(Frame(Opcode.TEXT, b"one ", fin=False))
        await context.send("two")
        await context.ws.send_frame(Frame(Opcode.CONTINUATION, b"message"))
        context.message = None

    @server.websocket("/fragments")
    async def fragments(ws):
        await groups.run(ws, PointToGroup("a"), GroupConfig(request=request))

    async with connect(server.url("/fragments")) as ws:
        await ws.send("go")
        assert await receive(ws, ws) == ["one message", "two"]


async def test_a_handler_that_is_replaced_hands_its_member_over(server: Server, groups: WebSocketGroups) -> None:
    source = """
async def chat(ws, room):
    async def request(context):
        context.message = context.message.upper()
    await groups.run(ws, lane.PointToGroup(room), lane.GroupConfig(request=request))
"""
    async with connect(server.url("/chat/a")) as ws:
        await ws.send("before")
        assert await receive(ws) == ["before"]
        server.apply("/chat/{room}", source, {"groups": groups, "lane": lane})
        await ws.send("after")
        assert await receive(ws) == ["AFTER"]
        assert groups.receiver_count(PointToGroup("a")) == 1
    server.check()


# The slow one


@asynccontextmanager
async def slow_member(server: Server, path: str) -> AsyncIterator[Raw]:
    """A member that reads only when asked, with the smallest buffers its system has."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    try:
        peer = Raw(reader, writer)
        await peer.send(HANDSHAKE % path.encode())
        await peer.head()
        yield peer
    finally:
        writer.transport.abort()


BIG = b"x" * 65_000
"""One message fills a good part of what two sockets hold."""


def overflowing(server: Server, groups: WebSocketGroups, overflow: Overflow) -> None:
    @server.websocket("/slow")
    async def slow(ws):
        await groups.run(ws, PointToGroup("a"), GroupConfig(capacity=4, overflow=overflow))


async def fill(groups: WebSocketGroups, quick: ClientWebSocket, count: int) -> None:
    """Send numbered messages to the group, each read by the quick member before the next."""
    for number in range(count):
        await groups.send(PointToGroup("a"), b"%4d" % number + BIG)
        assert (await receive(quick))[0][:4] == b"%4d" % number


async def numbers_until_close(peer: Raw) -> tuple[list[int], int]:
    """Read frames up to the Close; answer the numbers of the messages, and its code."""
    numbers: list[int] = []
    async with asyncio.timeout(10):
        while True:
            head = await peer.reader.readexactly(2)
            size = head[1]
            if size == 126:
                size = int.from_bytes(await peer.reader.readexactly(2))
            elif size == 127:
                size = int.from_bytes(await peer.reader.readexactly(8))
            payload = await peer.reader.readexactly(size)
            if head[0] & 15 == Opcode.CLOSE:
                return numbers, int.from_bytes(payload[:2])
            numbers.append(int(payload[:4]))


COUNT = 200
"""Messages of 65,004 bytes: more than both sockets and the queue hold."""


@pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST])
async def test_a_slow_member_loses_messages_and_nobody_else(
    server: Server, groups: WebSocketGroups, overflow: Overflow
) -> None:
    overflowing(server, groups, overflow)
    async with connect(server.url("/chat/a")) as quick, slow_member(server, "/slow") as peer:
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
        await fill(groups, quick, COUNT)
        (channel,) = groups.snapshot().channels
        slow = next(one for one in channel.subscriptions if one.capacity == 4)
        assert (slow.depth, slow.peak) == (4, 4)
        assert slow.dropped > 0
        assert slow.delivered + slow.depth + slow.dropped == COUNT
        await peer.send(Frame(Opcode.CLOSE, b"\x03\xe8", masking_key=KEY).encode())
        reading = asyncio.create_task(numbers_until_close(peer))
        numbers, _ = await reading
        assert numbers == sorted(set(numbers))
        assert len(numbers) >= slow.delivered
        if overflow is Overflow.DROP_NEWEST:
            assert numbers == list(range(len(numbers)))
    server.check()


async def test_a_slow_member_is_closed_with_1013_and_nobody_else(server: Server, groups: WebSocketGroups) -> None:
    overflowing(server, groups, Overflow.CLOSE)
    async with connect(server.url("/chat/a")) as quick, slow_member(server, "/slow") as peer:
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
        await fill(groups, quick, COUNT)
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 1)
        numbers, code = await numbers_until_close(peer)
        assert code == 1013
        assert numbers == list(range(len(numbers)))
        await fill(groups, quick, 3)
    counters = groups.snapshot().counters
    assert counters.closed_as_slow == 1
    assert counters.dropped >= 4
    (line,) = [record for record in server.log.records if record.level == "warning"]
    assert line.route == "/slow"
    assert "closed with 1013" in line.text
    assert "its queue of 4 messages was full" in line.text
    server.check()


async def test_a_slow_member_is_waited_for_and_loses_nothing(server: Server, groups: WebSocketGroups) -> None:
    overflowing(server, groups, Overflow.WAIT)
    async with connect(server.url("/chat/a")) as quick, slow_member(server, "/slow") as peer:
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
        filling = asyncio.create_task(fill(groups, quick, COUNT))
        await until(lambda: any(one.waited for one in groups.snapshot().channels[0].subscriptions))
        assert not filling.done()
        reading = asyncio.create_task(numbers_until_close(peer))
        await asyncio.wait_for(filling, 20)
        await until(lambda: not groups.snapshot().channels[0].depth)
        await peer.send(Frame(Opcode.CLOSE, b"\x03\xe8", masking_key=KEY).encode())
        numbers, _ = await reading
        assert numbers == list(range(COUNT))
    server.check()


async def test_a_member_that_is_waited_for_too_long_is_closed_with_1013(server: Server) -> None:
    groups = WebSocketGroups(BroadcastMap(send_timeout=0.05))
    overflowing(server, groups, Overflow.WAIT)

    @server.websocket("/quick")
    async def quick(ws):
        await groups.run(ws, PointToGroup("a"))

    async with connect(server.url("/quick")) as ws, slow_member(server, "/slow") as peer:
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 2)
        await fill(groups, ws, COUNT)
        numbers, code = await numbers_until_close(peer)
        assert code == 1013
        assert numbers == list(range(len(numbers)))
    assert groups.snapshot().counters.closed_as_slow == 1
    server.check()


async def test_a_member_that_never_reads_again_does_not_hold_up_the_stop() -> None:
    groups = WebSocketGroups()
    server = Server("stuck", config=Config(close_timeout=0.2))
    overflowing(server, groups, Overflow.DROP_OLDEST)
    await server.start()
    async with slow_member(server, "/slow"):
        await until(lambda: groups.receiver_count(PointToGroup("a")) == 1)
        for _ in range(COUNT):
            await groups.send(PointToGroup("a"), BIG)
        await asyncio.wait_for(server.stop(timeout=2), 5)
    assert groups.receiver_count(PointToGroup("a")) == 0
    server.check()
