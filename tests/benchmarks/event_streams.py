"""How fast event streams are read, next to httpx-sse: python -m tests.benchmarks.event_streams

Bytes go in, in reads of 64 KiB; type, data and last event ID of each event come out. httpx-sse is run as its own
`EventSource` does it: the text decoder of httpx, `SSELineDecoder`, `SSEDecoder`. The events of both are compared first.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import partial

import httpx
import httpx_sse

from lane_kernel.wire.eventstream import EventStreamParser
from tests.benchmarks.timing import interleaved_medians, machine

READ = 64 * 1024
EVENTS = 20_000
DEMANDED = 3.0

_Seen = tuple[str, str, str]


def _payloads() -> Iterator[str]:
    """Quotes of shares, 60 to 90 bytes of JSON each."""
    chance = random.Random(1)
    for number in range(EVENTS):
        price, volume = round(chance.uniform(10, 500), 2), chance.randrange(1, 10**5)
        symbol = chance.choice(["ACME", "YHOO", "GLOBEX", "INITECH"])
        yield json.dumps({"symbol": symbol, "price": price, "volume": volume, "sequence": number})


def streams() -> dict[str, bytes]:
    """Streams by what is in them; the first two are those that the speed is demanded for."""
    payloads = list(_payloads())
    data = [f"data: {payload}\n\n" for payload in payloads]
    full = [f"event: quote\nid: {at}\ndata: {payload}\n\n" for at, payload in enumerate(payloads)]
    tokens = [
        "data: "
        + json.dumps({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]})
        for text in ("the ", "quick ", "fox ", "jumps ") * (EVENTS // 4)
    ]
    return {
        "data": "".join(data).encode(),
        "event, id, data": "".join(full).encode(),
        "tokens of a language model": "".join(f"{token}\n\n" for token in tokens).encode(),
        "data, a comment each 50": "".join(
            event if at % 50 else f": keep-alive\n\n{event}" for at, event in enumerate(data)
        ).encode(),
        "data and typed ones, mixed": "".join(
            pair[at % 3 == 0] for at, pair in enumerate(zip(data, full, strict=True))
        ).encode(),
        "data, CR LF": "".join(data).replace("\n", "\r\n").encode(),
        "data, not ASCII": "".join(data).replace("symbol", "größe").encode(),
        "two lines of data": "".join(f"data: [\ndata: {payload}]\n\n" for payload in payloads).encode(),
    }


def _reads(stream: bytes) -> list[bytes]:
    return [stream[at : at + READ] for at in range(0, len(stream), READ)]


class _Reads(httpx.SyncByteStream):
    def __init__(self, reads: list[bytes]) -> None:
        self._reads = reads

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._reads)


def _response(reads: list[bytes]) -> httpx.Response:
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=_Reads(reads))


def run_theirs(reads: list[bytes]) -> int:
    """Read with httpx-sse, and count the events."""
    count = 0
    for event in httpx_sse.EventSource(_response(reads)).iter_sse():
        if event.data:
            count += 1
    return count


def run_ours(reads: list[bytes]) -> int:
    """Read with our parser, and count the events."""
    parser, count = EventStreamParser(), 0
    for read in reads:
        for block in parser.feed(read):
            if block.data is not None:
                count += 1
    return count


def _theirs(reads: list[bytes]) -> list[_Seen]:
    events = httpx_sse.EventSource(_response(reads)).iter_sse()
    return [(event.event, event.data, event.id) for event in events if event.data]


def _ours(reads: list[bytes]) -> list[_Seen]:
    parser = EventStreamParser()
    return [block.event for read in reads for block in parser.feed(read) if block.event is not None]


def main() -> None:
    """Print a table."""
    print(f"{machine()}; httpx-sse {httpx_sse.__version__}; reads of {READ // 1024} KiB; {EVENTS:,} events; medians\n")
    print(f"{'stream':<28} {'bytes/event':>11} {'httpx-sse':>12} {'lane_kernel':>12} {'ratio':>6}")
    for number, (name, stream) in enumerate(streams().items()):
        reads = _reads(stream)
        assert _ours(reads) == _theirs(reads), f"{name}: the events differ"
        medians = interleaved_medians({"theirs": partial(run_theirs, reads), "ours": partial(run_ours, reads)})
        theirs, ours = (medians[who] / EVENTS * 1e9 for who in ("theirs", "ours"))
        sign = "" if number > 1 else f"  (demanded: {DEMANDED:g})"
        print(f"{name:<28} {len(stream) / EVENTS:>11.0f} {theirs:>9.0f} ns {ours:>9.0f} ns {theirs / ours:>6.2f}{sign}")


if __name__ == "__main__":
    main()
