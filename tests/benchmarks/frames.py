"""How fast messages are read, next to websockets and wsproto: python -m tests.benchmarks.frames

Bytes go in, in reads of 64 KiB, as a client's masked frames; whole messages come out, text as str. `websockets`'
sans-I/O protocol gives frames, so that what its callers do is done here, too: text is decoded. wsproto gives parts of
messages, which are joined. Each unmasks as it does by itself; ours with Tornado's C function, as `lane_kernel.net`
does, and with the standard library alone. The messages of all are compared first; nobody's checks are switched off.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode as TheirOpcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Message as WsprotoMessage

from lane_kernel.net.stream import unmask
from lane_kernel.sides import Side
from lane_kernel.wire.connection import WebSocketConnection
from lane_kernel.wire.frames import Frame, Opcode, Unmask, apply_mask
from tests.benchmarks.timing import interleaved_medians, machine

READ = 64 * 1024
DEMANDED = {"websockets": 4.5, "wsproto": 15.0}

_Reader = Callable[[list[bytes]], list[str | bytes]]


def _frames(size: int, count: int, opcodes: tuple[Opcode, ...]) -> bytes:
    chance = random.Random(1)
    frames = []
    for number in range(count):
        opcode = opcodes[number % len(opcodes)]
        payload = chance.randbytes(size)
        if opcode is Opcode.TEXT:
            payload = bytes(32 + byte % 95 for byte in payload)
        frames.append(Frame(opcode, payload, masking_key=chance.randbytes(4)).encode(unmask))
    return b"".join(frames)


def streams() -> dict[str, tuple[bytes, int]]:
    """Streams and their numbers of messages by what is in them; the first is the one that the speed is demanded for."""
    both = (Opcode.TEXT, Opcode.BINARY)
    return {
        name: (_frames(size, count, opcodes), count)
        for name, size, count, opcodes in (
            ("32 bytes, text and binary", 32, 20_000, both),
            ("32 bytes, text", 32, 20_000, (Opcode.TEXT,)),
            ("32 bytes, binary", 32, 20_000, (Opcode.BINARY,)),
            ("125 bytes, text and binary", 125, 10_000, both),
            ("1 KiB, text and binary", 1024, 4_000, both),
            ("64 KiB, text and binary", 65536, 200, both),
        )
    }


def run_ours(mask: Unmask, reads: list[bytes]) -> list[str | bytes]:
    """Read with our strict connection."""
    connection = WebSocketConnection(Side.SERVER, unmask=mask)
    messages: list[str | bytes] = []
    for read in reads:
        messages += [event for event in connection.receive_data(read) if isinstance(event, (str, bytes))]
    return messages


def run_websockets(reads: list[bytes]) -> list[str | bytes]:
    """Read with `websockets`' protocol."""
    protocol = ServerProtocol(state=State.OPEN)
    messages: list[str | bytes] = []
    for read in reads:
        protocol.receive_data(read)
        for event in protocol.events_received():
            assert isinstance(event, TheirFrame)
            data = bytes(event.data)
            messages.append(data.decode() if event.opcode is TheirOpcode.TEXT else data)
    return messages


def run_wsproto(reads: list[bytes]) -> list[str | bytes]:
    """Read with wsproto's connection."""
    connection = Connection(ConnectionType.SERVER)
    messages: list[str | bytes] = []
    parts: list[str | bytes] = []
    for read in reads:
        connection.receive_data(read)
        for event in connection.events():
            assert isinstance(event, WsprotoMessage)
            # A frame that the end of a read cuts comes in parts.
            parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
            if event.message_finished:
                messages.append(parts[0] if len(parts) == 1 else type(parts[0])().join(parts))  # type: ignore[arg-type]
                parts = []
    return messages


READERS: dict[str, _Reader] = {
    "websockets": run_websockets,
    "wsproto": run_wsproto,
    "ours": partial(run_ours, unmask),
    "ours, stdlib": partial(run_ours, apply_mask),
}


def main() -> None:
    """Print a table."""
    versions = f"websockets {version('websockets')}, wsproto {version('wsproto')}"
    print(f"{machine()}; {versions}; reads of {READ // 1024} KiB")
    print("median times for a message; ours with Tornado's unmasking and with the standard library's\n")
    names = "".join(f"{name:>15}" for name in READERS)
    print(f"{'messages':<28}{names}{'÷ websockets':>15}{'÷ wsproto':>12}")
    for number, (name, (stream, count)) in enumerate(streams().items()):
        reads = [stream[at : at + READ] for at in range(0, len(stream), READ)]
        wanted = run_websockets(reads)
        assert len(wanted) == count
        assert all(read(reads) == wanted for read in READERS.values()), f"{name}: the messages differ"
        medians = interleaved_medians({who: partial(read, reads) for who, read in READERS.items()})
        times = "".join(f"{medians[who] / count * 1e9:>12,.0f} ns" for who in READERS)
        first, second = (medians[who] / medians["ours"] for who in DEMANDED)
        sign = "" if number else "  (demanded: " + ", ".join(f"{ratio:g}" for ratio in DEMANDED.values()) + ")"
        print(f"{name:<28}{times}{first:>15.2f}{second:>12.2f}{sign}")


if __name__ == "__main__":
    main()
