"""How fast the server is beside others: python -m tests.benchmarks.servers [--rounds N] [--only WORD ...]

Every server runs in a process of its own and is loaded in turns, so that what else the machine does falls on all
alike. The times are medians; the ratios to Tornado's are medians of the rounds' ratios. `processor` is the server's own
processor time, where the system tells it: it does not depend on what else runs. A server that is not installed is
skipped: `pip install -e '.[bench]'`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.load import Broadcast, Load, ManyStreams, OneStream, PingPong, Pipelined, closing_all
from tests.benchmarks.timing import machine

ROUNDS = 9
WARM_UP = 2
LANES = tuple(name for name in CONTENDERS if name.startswith("lane"))
WEBSOCKET = ("tornado", "websockets", "aiohttp", "picows", *LANES)
PINGPONG = ("tornado", "websockets", "aiohttp", "picows", "limit", *LANES)


@dataclass(frozen=True)
class Scenario:
    """A load, who is put under it, and what is asked of ours as multiples of Tornado's speed."""

    name: str
    make: Callable[[int], Load]
    contenders: tuple[str, ...]
    asked: dict[str, float]


SCENARIOS = (
    Scenario("pipelined echo, 32 B", lambda port: Pipelined(port, 32, 20_000), WEBSOCKET, {"lane": 22}),
    Scenario("pipelined echo, 1 KiB", lambda port: Pipelined(port, 1024, 8_000), WEBSOCKET, {"lane": 13}),
    Scenario("pipelined echo, 64 KiB", lambda port: Pipelined(port, 65536, 400), WEBSOCKET, {"lane": 1.2}),
    Scenario(
        "ping-pong, 50 connections",
        lambda port: PingPong(port, 32, 50, 100),
        PINGPONG,
        {"lane": 5, "lane, no capture": 6, "lane, on_message, no capture": 8},
    ),
    Scenario("one event stream", OneStream, ("tornado", "aiohttp", "lane", "lane, no capture"), {"lane": 2}),
    Scenario(
        "500 event streams",
        lambda port: ManyStreams(port, 500),
        ("tornado", "aiohttp", "lane", "lane, no capture"),
        {"lane": 2.5},
    ),
    Scenario(
        "a message to 500 WebSockets",
        lambda port: Broadcast(port, 500, 5),
        ("tornado", "websockets", "aiohttp", "picows", "lane", "lane, no capture"),
        {"lane": 1 / 0.15},
    ),
)


class Process:
    """A contender's process."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.contenders", name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def processor_time(self) -> float:
        """Its processor time so far in seconds; NaN where the system does not tell."""
        if not sys.platform.startswith("linux"):
            return float("nan")
        # The kernel's number for the clock of a process's processor time, as clock_getcpuclockid(3) makes it.
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def close(self) -> None:
        """End it, and wait for that."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@dataclass
class Result:
    """The rounds of one contender: seconds, and seconds of processor time, for a message."""

    times: list[float]
    processor: list[float]


def measure(scenario: Scenario, names: list[str], rounds: int) -> dict[str, Result]:
    """Put contenders under a load in turns."""
    results = {name: Result([], []) for name in names}
    with contextlib.ExitStack() as stack:
        processes = {name: stack.enter_context(contextlib.closing(Process(name))) for name in names}
        loads = {name: scenario.make(process.port) for name, process in processes.items()}
        stack.enter_context(closing_all(list(loads.values())))
        for number in range(WARM_UP + rounds):
            for name, load in loads.items():
                before = processes[name].processor_time()
                taken = load.run()
                if number >= WARM_UP:
                    results[name].times.append(taken / load.messages)
                    results[name].processor.append((processes[name].processor_time() - before) / load.messages)
    return results


def _ratio(first: list[float], second: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(first, second, strict=True))


def table(scenario: Scenario, results: dict[str, Result]) -> Iterator[str]:
    """A scenario's results, line by line."""
    yield f"{scenario.name:<30}{'µs a message':>14}{'processor':>12}{'× Tornado':>12}{'by processor':>14}{'asked':>8}"
    base = results["tornado"]
    for name, result in results.items():
        taken, processor = (statistics.median(values) * 1e6 for values in (result.times, result.processor))
        faster, leaner = _ratio(base.times, result.times), _ratio(base.processor, result.processor)
        asked = f"{scenario.asked[name]:8.3g}" if name in scenario.asked else ""
        yield f"  {name:<28}{taken:>14.2f}{processor:>12.2f}{faster:>12.2f}{leaner:>14.2f}{asked}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Our server beside others.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="WORD", help="scenarios whose name has a word of these"
    )
    parser.add_argument("--servers", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS), metavar="NAME")
    arguments = parser.parse_args()
    libraries = ("tornado", "websockets", "aiohttp", "picows")
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    versions = ", ".join(f"{name} {version(name)}" for name in libraries if name not in missing)
    print(f"{machine()}; {versions}; {arguments.rounds} rounds")
    for name in missing:
        print(f"{name} is not installed, and skipped: pip install -e '.[bench]'")
    for scenario in SCENARIOS:
        if arguments.only and not any(word in scenario.name for word in arguments.only):
            continue
        chosen = [name for name in scenario.contenders if name not in missing]
        names = [name for name in chosen if name == "tornado" or name in arguments.servers]
        print()
        for line in table(scenario, measure(scenario, names, arguments.rounds)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
