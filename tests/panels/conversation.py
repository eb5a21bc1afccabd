"""A short conversation in a store, without sockets."""

from __future__ import annotations

from dataclasses import replace

from lane_kernel.capture import Connection, NoteKind, Store
from lane_kernel.sides import Direction, Side
from lane_kernel.timeline import Entry, Timeline
from lane_kernel.wire.eventstream import encode_event
from lane_kernel.wire.frames import Frame, Opcode
from lane_kernel.wire.handshake import accept_key

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = bytes.fromhex("37fa213d")
REQUEST = (
    f"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
RESPONSE = (
    f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_key(KEY)}\r\n\r\n"
).encode()
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
SCRIPT = "<script>alert(1)</script>"


def masked(text: str, number: int = 0) -> bytes:
    """A client's text frame, with the RFC's own masking-key, or one made of it by a number."""
    return Frame(Opcode.TEXT, text.encode(), masking_key=MASK[:3] + bytes([MASK[3] ^ number & 0xFF])).encode()


def echo_store(*texts: str) -> Store:
    """A WebSocket, seen by the server, over which texts were echoed."""
    store = Store()
    server = store.open(Side.SERVER, "127.0.0.1:80", "127.0.0.1:5000", "server")
    store.append(server, Direction.TO_SERVER, REQUEST)
    store.append(server, Direction.TO_CLIENT, RESPONSE)
    for number, text in enumerate(texts):
        store.append(server, Direction.TO_SERVER, masked(text, number))
        store.append(server, Direction.TO_CLIENT, Frame(Opcode.TEXT, text.encode()).encode())
    return store


def add_events(store: Store, count: int) -> None:
    """An event stream of some events, seen by the server."""
    server = store.open(Side.SERVER, "127.0.0.1:80", "127.0.0.1:5001", "server")
    store.append(server, Direction.TO_SERVER, b"GET /clock HTTP/1.1\r\nHost: localhost\r\n\r\n")
    store.append(server, Direction.TO_CLIENT, STREAM)
    for number in range(count):
        retry = 3000 if number == 0 else None
        store.append(server, Direction.TO_CLIENT, encode_event(f"grüße {number}", event="tick", id=number, retry=retry))


def add_fault(store: Store, connection: Connection, meant: bytes, left: bytes, *done: str) -> None:
    """A note of what a fault did to what the server meant to send, as `net.faulty` writes it."""
    way = connection.side.outgoing
    offset = store.length(connection, way)
    store.note(
        NoteKind.FAULT,
        connection,
        f"fault: {'; '.join(done)}",
        done=done,
        direction=way,
        offset=offset,
        number=1,
        length=len(meant),
        meant=meant,
        left=left,
        length_left=len(left),
    )


def entries_at_fixed_times(store: Store) -> list[Entry]:
    """All entries, with times that are the same in each run."""
    return [replace(entry, time_ns=1_500_000_000 + entry.index * 2_500_000) for entry in Timeline(store)]
