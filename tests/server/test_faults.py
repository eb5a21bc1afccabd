"""Faults over real sockets: what real peers see of them, and what the timeline says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading

import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websockets_connect

import lane_kernel as lane
from lane_kernel.client import EventSource, connect
from lane_kernel.net import faulty
from lane_kernel.net.faults import Faults, FaultsError
from lane_kernel.server import Server
from lane_kernel.sides import Direction
from lane_kernel.timeline import Entry, EntryKind, Meant
from lane_kernel.wire.frames import Frame, Opcode
from tests.server.raw import HANDSHAKE, raw, until


@pytest.fixture(autouse=True)
def routes(server: Server) -> None:
    """An echo, a count to five, a page and an event stream."""

    @server.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    @server.websocket("/count")
    async def count(ws):
        for number in range(1, 6):
            await ws.send(f"number {number}")
        await ws.receive()

    @server.events("/clock")
    async def clock(events):
        for number in range(1, 6):
            await events.send(f"tick {number}", id=number)

    @server.route("/page")
    async def page(stream, ctx):
        ctx.response.set_body("a page of some bytes")


async def take(ws: ClientConnection, count: int) -> list[str | bytes]:
    """So many messages."""
    return [await asyncio.wait_for(ws.recv(), 5) for _ in range(count)]


async def rest(ws: ClientConnection) -> list[str | bytes]:
    """Close, and answer the messages that had come before the server's Close."""
    await asyncio.wait_for(ws.close(), 5)
    found: list[str | bytes] = []
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            found.append(await ws.recv())
    return found


def faults_of(server: Server) -> list[Entry]:
    return [entry for entry in server.timeline if entry.kind is EntryKind.FAULT]


def sent(server: Server) -> list[str]:
    """The text messages that crossed the socket."""
    frames = [e for e in server.timeline if e.kind is EntryKind.FRAME and e.direction is Direction.TO_CLIENT]
    return [frame.payload.decode() for frame in frames if frame.header and frame.header.opcode == Opcode.TEXT]


NUMBERS = [f"number {number}" for number in range(1, 6)]

SEEN: dict[str, tuple[Faults, list[str], int | None]] = {
    "drop every third frame": (Faults(drop=True, every=3), ["number 1", "number 2", "number 4", "number 5"], None),
    "duplicate the second": (Faults(duplicate=True, nth=2), ["number 1", "number 2", *NUMBERS[1:]], None),
    "chop": (Faults(chop=1), NUMBERS, None),
    "chop with a pause": (Faults(chop=4, pause=0.001), NUMBERS, None),
    "delay": (Faults(delay=0.02), NUMBERS, None),
    "delay one": (Faults(delay=0.05, nth=2), NUMBERS, None),
    "buffer": (Faults(buffer=25), NUMBERS[:3], None),
    "cut the fifth in its middle": (Faults(cut=0.5, nth=5), NUMBERS[:4], 1006),
    "cut by a reset": (Faults(cut=3, nth=3, reset=True), NUMBERS[:2], 1006),
    "corrupt an opcode": (Faults(corrupt=0, mask=0x0A, nth=3), NUMBERS[:2], 1002),
    "corrupt a text": (Faults(corrupt=-1, mask=0x80, nth=3), NUMBERS[:2], 1007),
}


@pytest.mark.parametrize("name", SEEN)
async def test_what_the_websockets_library_sees(server: Server, name: str) -> None:
    """RFC 6455 §7.4.1: 1002 for what breaks the protocol, 1007 for wrong UTF-8; 1006 where no Close came."""
    faults, messages, code = SEEN[name]
    server.faults["/count"] = faults
    async with websockets_connect(server.url("/count")) as ws:
        assert await take(ws, len(messages)) == messages
        if code is None:
            server.faults.clear()
            assert await rest(ws) == (NUMBERS[3:] if name == "buffer" else [])
        else:
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(ws.recv(), 5)
            said = ws.protocol.close_sent
            assert (ws.close_code if said is None else said.code) == code
    assert faults_of(server), "every fault stands on the timeline"


async def test_each_fault_stands_there_with_what_was_meant(server: Server) -> None:
    server.faults["/count"] = Faults(drop=True, every=2)
    async with websockets_connect(server.url("/count")) as ws:
        assert await take(ws, 3) == ["number 1", "number 3", "number 5"]
        found = faults_of(server)
        assert [entry.what for entry in found] == ["fault: drop"] * 2
        assert [entry.data for entry in found] == [Frame(Opcode.TEXT, f"number {n}".encode()).encode() for n in (2, 4)]
        assert [entry.preview for entry in found] == ["TEXT FIN number 2", "TEXT FIN number 4"]
        assert [entry.direction for entry in found] == [Direction.TO_CLIENT] * 2
        assert found[0].fields[-1].text == "'number 2'"
        assert sent(server) == ["number 1", "number 3", "number 5"]


async def test_each_piece_of_a_chopped_frame_is_a_write_of_its_own(server: Server) -> None:
    server.faults["/echo"] = Faults(chop=3)
    async with websockets_connect(server.url("/echo")) as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
        (connection,) = server.connections
        chunks = [r for r in server.capture.records() if getattr(r, "direction", None) is Direction.TO_CLIENT]
        assert [c.data for c in chunks if c.connection is connection][1:] == [b"\x81\x05h", b"ell", b"o"]  # type: ignore[union-attr]


async def test_a_unit_is_a_unit_although_the_sends_of_a_turn_are_joined(server: Server) -> None:
    server.faults["/echo"] = Faults(drop=True, every=2)
    async with raw(server) as peer:
        await peer.send(HANDSHAKE % b"/echo")
        await peer.head()
        await peer.send(b"".join(Frame(Opcode.TEXT, bytes([97 + n]), masking_key=b"abcd").encode() for n in range(6)))
        expected = b"".join(Frame(Opcode.TEXT, text).encode() for text in (b"a", b"c", b"e"))
        assert await peer.exactly(len(expected)) == expected


async def test_pongs_and_fragments_are_units_of_their_own(server: Server) -> None:
    server.faults["/echo"] = Faults(drop=True, nth=2)
    async with raw(server) as peer:
        await peer.send(HANDSHAKE % b"/echo")
        await peer.head()
        await peer.send(b"".join(Frame(Opcode.PING, bytes([97 + n]), masking_key=b"abcd").encode() for n in range(3)))
        expected = b"".join(Frame(Opcode.PONG, text).encode() for text in (b"a", b"c"))
        assert await peer.exactly(len(expected)) == expected
        (ws,) = server.websockets
        ws.faults = Faults(drop=True, nth=2)
        await ws.send("abc", fragment_size=1)
        expected = Frame(Opcode.TEXT, b"a", fin=False).encode() + Frame(Opcode.CONTINUATION, b"c").encode()
        assert await peer.exactly(len(expected)) == expected


# Whose they are, and when


async def test_a_connections_own_go_before_its_routes_and_these_before_alls(server: Server) -> None:
    async with websockets_connect(server.url("/echo")) as ws:

        async def echoed(text: str) -> bool:
            await ws.send(text)
            await ws.send("end of it")
            messages = [await asyncio.wait_for(ws.recv(), 5)]
            while messages[-1] != "end of it":
                messages.append(await asyncio.wait_for(ws.recv(), 5))
            return text in messages

        assert await echoed("without any")
        first = Faults(drop=True, nth=1)
        server.faults.all = first
        assert server.faults["*"] == server.faults.all == first
        assert not await echoed("all's")
        server.faults["/echo"] = Faults.none()
        assert await echoed("its route's, which are none")
        (session,) = server.websockets
        session.faults = Faults(drop=True, nth=1)
        assert not await echoed("its own")
        session.faults = None
        assert await echoed("its route's again")
        server.faults["/echo"] = None
        assert not await echoed("all's, which begin anew")
        server.faults[session.connection.number] = Faults(drop=True, nth=1)
        assert server.faults[session.connection.number] == Faults(drop=True, nth=1)
        assert not await echoed("by its number")
        server.faults.clear()
        assert await echoed("without any again")
    assert len(faults_of(server)) == 4


async def test_a_routes_do_not_touch_another_route(server: Server) -> None:
    server.faults["/echo"] = Faults(drop=True)
    async with websockets_connect(server.url("/count")) as ws:
        assert await take(ws, 5) == NUMBERS
    assert faults_of(server) == []


async def test_the_next_request_of_a_connection_is_under_its_own_route(server: Server) -> None:
    server.faults["/page"] = Faults(corrupt=-1, mask=1)
    async with raw(server) as peer:
        await peer.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\nGET /none HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await peer.head()
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert await peer.exactly(length) == b"a page of some byter"
        assert (await peer.head()).startswith(b"HTTP/1.1 404 ")
    assert [entry.kind for entry in faults_of(server)] == [EntryKind.FAULT]


@pytest.mark.parametrize("key", ["/nothing", 999, 1.5])
async def test_what_is_not_there_has_no_faults(server: Server, key: object) -> None:
    with pytest.raises(FaultsError, match=r"routes are /echo, /count|no open connection 999"):
        server.faults[key] = Faults(drop=True)  # type: ignore[index]


async def test_only_faults_are_faults(server: Server) -> None:
    with pytest.raises(FaultsError, match=r"lane\.Faults"):
        server.faults["/echo"] = {"drop": True}  # type: ignore[assignment]
    with pytest.raises(FaultsError, match=r"lane\.Faults"):
        connect(server.url("/echo"), faults=0.5)  # type: ignore[arg-type]


async def test_they_are_set_from_any_thread(server: Server) -> None:
    thread = threading.Thread(target=lambda: server.faults.__setitem__("/echo", Faults(drop=True)))
    thread.start()
    await until(lambda: server.faults["/echo"] is not None)
    thread.join()
    assert list(server.faults) == ["/echo"]
    assert repr(server.faults) == f"<faults of server {server.name!r}: '/echo': Faults(drop=True)>"


async def test_a_connections_own_are_set_from_any_thread(server: Server) -> None:
    async with websockets_connect(server.url("/echo")) as ws:
        await until(lambda: server.websockets)
        (session,) = server.websockets
        for faults in (Faults(delay=60), None):
            thread = threading.Thread(target=setattr, args=(session, "faults", faults))
            thread.start()
            await until(lambda: not thread.is_alive())  # noqa: B023 - waited for in this very turn
            await asyncio.sleep(0)  # what the thread has asked of the loop comes first
            await ws.send("hello")
        assert await take(ws, 2) == ["hello"] * 2


# HTTP and event streams


async def test_a_response_may_be_cut(server: Server) -> None:
    server.faults["/page"] = Faults(cut=20)
    async with raw(server) as peer:
        await peer.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await peer.rest() == b"HTTP/1.1 200 OK\r\nCon"[:20]
    (entry,) = faults_of(server)
    assert entry.data.endswith(b"a page of some bytes")
    assert entry.left == entry.data[:20]
    assert {"status", "bytes"} <= {field.name for field in entry.fields}


async def test_a_response_that_is_late_is_waited_for_and_sent_once(server: Server) -> None:
    server.faults["/page"] = Faults(delay=0.1)
    async with raw(server) as peer:
        began = asyncio.get_running_loop().time()
        await peer.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await peer.rest()
        assert answer.endswith(b"\r\n\r\na page of some bytes")
        assert answer.count(b"HTTP/1.1") == 1
        assert asyncio.get_running_loop().time() - began >= 0.1


async def test_a_response_that_is_dropped_is_not_sent_again(server: Server) -> None:
    server.faults["/page"] = Faults(drop=True)
    async with raw(server) as peer:
        await peer.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert await peer.rest() == b""
    assert len(faults_of(server)) == 1


async def test_a_refusal_that_is_late_arrives_before_the_end(server: Server) -> None:
    server.faults.all = Faults(delay=0.05)
    async with raw(server) as peer:
        await peer.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\nOrigin: http://elsewhere.example\r\n\r\n")
        assert (await peer.rest()).startswith(b"HTTP/1.1 403 ")


async def test_an_event_is_a_unit(server: Server) -> None:
    """The response's head is the first."""
    server.faults["/clock"] = Faults(drop=True, every=3)
    async with EventSource(server.url("/clock")) as source:
        assert [event.data for event in await source.take(3, timeout=5)] == ["tick 1", "tick 3", "tick 4"]
        await until(lambda: len(faults_of(server)) == 2)
    assert [entry.preview for entry in faults_of(server)] == ["id: 2⏎data: tick 2⏎⏎", "id: 5⏎data: tick 5⏎⏎"]
    assert {"data", "id"} <= {field.name for entry in faults_of(server) for field in entry.fields}


async def test_events_that_are_held_go_when_the_handler_ends(server: Server) -> None:
    server.faults["/clock"] = Faults(buffer=100_000)
    async with EventSource(server.url("/clock")) as source:
        assert [event.data for event in await source.take(5, timeout=5)] == [f"tick {number}" for number in range(1, 6)]


async def test_an_event_stream_has_faults_of_its_own(server: Server) -> None:
    @server.events("/own")
    async def own(events):
        events.faults = Faults(corrupt=6, mask=0x20)
        await events.send("tick")
        events.faults = None
        await events.send("tock")

    async with EventSource(server.url("/own")) as source:
        assert [event.data for event in await source.take(2, timeout=5)] == ["Tick", "tock"]


async def test_a_stream_has_faults_of_its_own(server: Server) -> None:
    @server.route("/stream")
    async def own(stream, ctx):
        stream.faults = Faults(drop=True, nth=2)
        for part in ("one ", "two ", "three"):
            await stream.send(part)
        stream.set_closed(True)

    async with raw(server) as peer:
        await peer.send(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await peer.rest() == b"one three"


# The client


async def test_a_clients_faults_begin_after_its_handshake(server: Server) -> None:
    async with lane.connect(server.url("/echo"), faults=Faults(drop=True, nth=1), store=server.capture) as ws:
        await ws.send("lost")
        await ws.send("comes")
        assert await ws.receive() == "comes"
        ws.faults = Faults(corrupt=-1, mask=0x80)
        await ws.send("wrong")
        with pytest.raises(lane.ConnectionClosedError):
            await ws.receive()
        assert ws.close_code == 1007
    found = [entry for entry in lane.Timeline(server.capture) if isinstance(entry.detail, Meant)]
    assert [entry.direction for entry in found] == [Direction.TO_SERVER] * 3, "its answer to the Close, too"
    assert found[0].preview == "TEXT FIN M lost"


# Back-pressure, and the end


async def test_who_sends_waits_when_much_is_held(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = itertools.count()
    held: list[int] = []

    @server.websocket("/much")
    async def much(ws):
        for number in counted:
            await ws.send(bytes(100_000))
            held.append(ws._transport.stream.faults.held)
            if number == 40:
                break
        await ws.receive()

    server.faults["/much"] = Faults(delay=0.01)
    async with websockets_connect(server.url("/much"), max_size=None) as ws:
        for _ in range(41):
            assert len(await asyncio.wait_for(ws.recv(), 5)) == 100_000
    assert 0 < max(held) < faulty.ROOM + 300_000


async def test_over_the_bound_the_connection_is_ended_with_a_word(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faulty, "MAX_HELD", 1000)

    @server.websocket("/much")
    async def much(ws):
        await ws.send("small")
        await ws.send("x" * 1000)

    server.faults["/much"] = Faults(delay=30)
    async with websockets_connect(server.url("/much")) as ws:
        await asyncio.wait_for(ws.wait_closed(), 5)
        assert ws.close_code == 1006
    await until(lambda: any("faults would hold over 1,000 bytes" in record.text for record in server.log.records))
    assert faults_of(server)[-1].what.startswith("fault: lost 7 held bytes")


ANY = [
    Faults(delay=30), Faults(buffer=100_000), Faults(chop=1, pause=10), Faults(drop=True), Faults(stop_reading=True),
    Faults(duplicate=True), Faults(corrupt=0), Faults(cut=1), Faults(delay=30, stop_reading=True),
]  # fmt: skip


@pytest.mark.parametrize("faults", ANY, ids=str)
async def test_the_server_stops_within_its_time_under_any_fault(server: Server, faults: Faults) -> None:
    loop = asyncio.get_running_loop()
    async with raw(server) as peer:
        await peer.send(HANDSHAKE % b"/echo")
        await peer.head()
        await until(lambda: server.websockets)
        server.faults.all = faults
        await peer.send(Frame(Opcode.TEXT, b"hello", masking_key=b"abcd").encode())
        if not faults.stop_reading:
            await until(lambda: faults_of(server))
        began = loop.time()
        await server.stop(1.0)
        assert loop.time() - began < 2.0
        assert not server.connections


@pytest.mark.parametrize("faults", ANY, ids=str)
async def test_a_client_closes_within_its_time_under_any_fault(server: Server, faults: Faults) -> None:
    loop = asyncio.get_running_loop()
    ws = await connect(server.url("/echo"), faults=faults)
    await ws.send("hello")
    began = loop.time()
    await ws.close(timeout=0.3)
    assert loop.time() - began < 1.5
    await until(lambda: not server.connections)


async def test_a_close_does_not_wait_for_more_bytes(server: Server) -> None:
    server.faults["/echo"] = Faults(buffer=100_000)
    async with websockets_connect(server.url("/echo")) as ws:
        await ws.send("hello")
        await until(lambda: faults_of(server))
        await asyncio.wait_for(ws.close(), 5)
        assert ws.close_code == 1000
        assert await ws.recv() == "hello"


async def test_our_close_does_not_wait_for_more_bytes(server: Server) -> None:
    server.faults["/echo"] = Faults(buffer=100_000)
    async with websockets_connect(server.url("/echo")) as ws:
        await ws.send("hello")
        await until(lambda: faults_of(server))
        await server.stop(30)
        assert await ws.recv() == "hello"
        with pytest.raises(websockets.ConnectionClosed):
            await ws.recv()
        assert ws.close_code == 1001


async def test_what_is_offered_waits_for_what_is_held(server: Server) -> None:
    server.faults["/echo"] = Faults(delay=60)
    async with websockets_connect(server.url("/echo")) as ws:
        await ws.send("hello")
        await until(lambda: faults_of(server))
        (session,) = server.websockets
        assert not session.offer(Frame(Opcode.TEXT, b"at once, or not at all").encode())
        server.faults.clear()
        assert session.offer(Frame(Opcode.TEXT, b"at once").encode())
        assert await take(ws, 2) == ["hello", "at once"]


async def test_what_is_held_goes_when_faults_are_switched_off(server: Server) -> None:
    server.faults["/echo"] = Faults(delay=60)
    async with websockets_connect(server.url("/echo")) as ws:
        await ws.send("one")
        await ws.send("two")
        await until(lambda: len(faults_of(server)) == 2)
        server.faults["/echo"] = None
        assert [await asyncio.wait_for(ws.recv(), 5) for _ in range(2)] == ["one", "two"]


# Not to read


async def test_a_peer_blocks_while_nothing_is_read(server: Server) -> None:
    async with websockets_connect(server.url("/echo"), write_limit=1, compression=None) as ws:
        await ws.send("before")
        assert await ws.recv() == "before"
        (session,) = server.websockets
        session.faults = Faults(stop_reading=True)
        total = 0
        with contextlib.suppress(TimeoutError):
            while total < 60:
                await asyncio.wait_for(ws.send(bytes(500_000)), 0.3)
                total += 1
        assert total < 60, "the socket's buffers take some"
        received = server.capture.length(session.connection, Direction.TO_SERVER)
        assert received < 500_000
        session.faults = None
        got = [await asyncio.wait_for(ws.recv(), 5) for _ in range(total)]
        assert [len(message) for message in got] == [500_000] * total
    assert [entry.what for entry in faults_of(server)] == ["fault: stop reading", "fault: read again"]


async def test_what_had_come_is_still_delivered(server: Server) -> None:
    taken: list[object] = []
    go_on = asyncio.Event()

    @server.websocket("/slow")
    async def slow(ws):
        await go_on.wait()
        async for message in ws:
            taken.append(message)  # noqa: PERF401 - looked at meanwhile

    async with connect(server.url("/slow")) as ws:
        await ws.send("one")
        await ws.send("two")
        (session,) = server.websockets
        await until(lambda: session._transport.waiting == 2)
        session.faults = Faults(stop_reading=True)
        await ws.send("three")
        go_on.set()
        await until(lambda: taken == ["one", "two"])
        session.faults = None
        await until(lambda: taken == ["one", "two", "three"])


async def test_an_http_connection_may_stop_being_read(server: Server) -> None:
    async with raw(server) as peer:
        assert await peer.status(b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n") == 404
        (connection,) = server.connections
        server.faults[connection.number] = Faults(stop_reading=True)
        length = server.capture.length(connection, Direction.TO_SERVER)
        await peer.send(b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.reader.readuntil(b"404"), 0.2)
        assert server.capture.length(connection, Direction.TO_SERVER) == length
        server.faults[connection.number] = None
        await asyncio.wait_for(peer.reader.readuntil(b"404 "), 5)
