"""What a server is loaded with: plain sockets that count the bytes of the answers, so that the load costs little.

Every load runs once and answers how long that took in seconds; its connections are opened before.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterator

from lane_kernel.wire.frames import Frame, Opcode
from tests.benchmarks.contenders import EVENT, EVENTS, EVENTS_EACH

PATIENCE = 60.0
READ = 1024 * 1024
KEY = b"\x11\x82\xf3\x04"

_HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def _connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _head(sock: socket.socket) -> bytes:
    """Read a head; answer what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        assert more, f"the server ended the connection: {data!r}"
        data += more
    return data.partition(b"\r\n\r\n")[2]


def _websocket(port: int, path: bytes) -> socket.socket:
    sock = _connect(port)
    sock.sendall(_HANDSHAKE % path)
    assert not _head(sock)
    return sock


def _get(port: int, path: bytes) -> socket.socket:
    sock = _connect(port)
    sock.sendall(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % path)
    return sock


def frame_pair(size: int) -> tuple[bytes, bytes]:
    """A client's frame and the server's echo of it."""
    payload = bytes(range(256)) * (size // 256 + 1)
    asked, answer = Frame(Opcode.BINARY, payload[:size], masking_key=KEY), Frame(Opcode.BINARY, payload[:size])
    return asked.encode(), answer.encode()


class Pipelined:
    """Messages sent down one connection as quickly as it takes them, while the echoes are read."""

    def __init__(self, port: int, size: int, count: int) -> None:
        self._sock = _websocket(port, b"/echo")
        self._sock.setblocking(False)
        frame, self._answer = frame_pair(size)
        self._count = count
        self._data = frame * count

    def run(self) -> float:
        sock, view = self._sock, memoryview(self._data)
        expected = len(self._answer) * self._count
        buffer = bytearray(READ)
        selector = selectors.DefaultSelector()
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        sent = got = 0
        begin = time.perf_counter()
        while got < expected:
            ready = selector.select(PATIENCE)
            assert ready, f"{got:,} of {expected:,} bytes came"
            events = ready[0][1]
            if events & selectors.EVENT_READ:
                count = sock.recv_into(buffer)
                assert count, "the server ended the connection"
                got += count
            if events & selectors.EVENT_WRITE:
                sent += sock.send(view[sent : sent + 262_144])
                if sent == len(view):
                    selector.modify(sock, selectors.EVENT_READ)
        taken = time.perf_counter() - begin
        tail = min(len(self._answer), count)
        assert buffer[count - tail : count] == self._answer[-tail:]
        return taken

    @property
    def messages(self) -> int:
        return self._count

    def close(self) -> None:
        self._sock.close()


class PingPong:
    """Connections that each send their next message when the echo has come."""

    def __init__(self, port: int, size: int, connections: int, rounds: int) -> None:
        self._socks = [_websocket(port, b"/echo") for _ in range(connections)]
        self._frame, self._answer = frame_pair(size)
        self._rounds = rounds

    def run(self) -> float:
        frame, length = self._frame, len(self._answer)
        selector = selectors.DefaultSelector()
        left: dict[int, int] = {}
        by_number = {sock.fileno(): sock for sock in self._socks}
        for number in by_number:
            selector.register(number, selectors.EVENT_READ)
            left[number] = self._rounds
        busy = len(self._socks)
        begin = time.perf_counter()
        for sock in self._socks:
            sock.send(frame)
        while busy:
            ready = selector.select(PATIENCE)
            assert ready, f"{busy} connections wait for an echo"
            for key, _ in ready:
                sock = by_number[key.fd]
                assert len(sock.recv(length)) == length
                left[key.fd] -= 1
                if left[key.fd]:
                    sock.send(frame)
                else:
                    busy -= 1
        return time.perf_counter() - begin

    @property
    def messages(self) -> int:
        return self._rounds * len(self._socks)

    def close(self) -> None:
        for sock in self._socks:
            sock.close()


def _count_events(sock: socket.socket, expected: int, data: bytes = b"") -> None:
    """Read until so many events have come; chunked or not, an event's last bytes are counted."""
    mark = EVENT[-8:]
    got, rest = 0, data
    while True:
        got += rest.count(mark)
        if got >= expected:
            return
        rest = rest[-len(mark) + 1 :] if mark not in rest[-len(mark) + 1 :] else b""
        more = sock.recv(READ)
        assert more, f"{got} of {expected} events came"
        rest += more


class OneStream:
    """One event stream, from its request to its last event."""

    messages = EVENTS

    def __init__(self, port: int) -> None:
        self._port = port

    def run(self) -> float:
        begin = time.perf_counter()
        sock = _get(self._port, b"/one")
        with contextlib.closing(sock):
            _count_events(sock, EVENTS, _head(sock))
        return time.perf_counter() - begin

    def close(self) -> None:
        """Nothing stays open."""


class Crowd:
    """Connections that are all sent the same, and read together."""

    def __init__(self, socks: list[socket.socket]) -> None:
        self.socks = socks
        self._by_number = {sock.fileno(): sock for sock in socks}
        self._selector = selectors.DefaultSelector()
        for number in self._by_number:
            self._selector.register(number, selectors.EVENT_READ)

    def gather(self, expected: int) -> None:
        """Read until so many bytes have come from each."""
        left = dict.fromkeys(self._by_number, expected)
        busy = len(left)
        while busy:
            ready = self._selector.select(PATIENCE)
            assert ready, f"{busy} connections wait for more"
            for key, _ in ready:
                count = len(self._by_number[key.fd].recv(65536))
                assert count, "the server ended a connection"
                left[key.fd] -= count
                busy -= not left[key.fd]

    def close(self) -> None:
        self._selector.close()
        for sock in self.socks:
            sock.close()


class ManyStreams:
    """Event streams that are all sent some events at once."""

    def __init__(self, port: int, streams: int) -> None:
        self._port = port
        self._crowd = Crowd([_get(port, b"/many") for _ in range(streams)])
        heads = {_has_chunks(sock) for sock in self._crowd.socks}
        assert len(heads) == 1
        framing = len(b"%x\r\n\r\n" % len(EVENT)) if heads.pop() else 0
        self._bytes = EVENTS_EACH * (len(EVENT) + framing)

    def run(self) -> float:
        begin = time.perf_counter()
        with contextlib.closing(_get(self._port, b"/go")) as sock:
            _head(sock)
            self._crowd.gather(self._bytes)
        return time.perf_counter() - begin

    @property
    def messages(self) -> int:
        return len(self._crowd.socks) * EVENTS_EACH

    def close(self) -> None:
        self._crowd.close()


def _has_chunks(sock: socket.socket) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(1)
    return b"chunked" in data.lower()


class Broadcast:
    """WebSockets of which one sends a message, and all are sent it."""

    def __init__(self, port: int, members: int, rounds: int) -> None:
        self._crowd = Crowd([_websocket(port, b"/room") for _ in range(members)])
        self._frame, self._answer = frame_pair(32)
        self._rounds = rounds

    def run(self) -> float:
        begin = time.perf_counter()
        for _ in range(self._rounds):
            self._crowd.socks[0].send(self._frame)
            self._crowd.gather(len(self._answer))
        return time.perf_counter() - begin

    @property
    def messages(self) -> int:
        return self._rounds

    def close(self) -> None:
        self._crowd.close()


Load = Pipelined | PingPong | OneStream | ManyStreams | Broadcast


@contextlib.contextmanager
def closing_all(loads: list[Load]) -> Iterator[None]:
    """Close the loads at the end of the block."""
    try:
        yield
    finally:
        for load in loads:
            load.close()
