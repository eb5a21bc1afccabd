"""Times of several things that do the same, taken in turns, so that what else the machine does falls on all alike."""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROUNDS = 15
WARM_UP = 2


def interleaved_medians(
    things: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS, warm_up: int = WARM_UP
) -> dict[str, float]:
    """Run each thing once a round, and answer the median of each one's times in seconds.

    Args:
        things: What to run, by name; each run is to take some milliseconds at least.
        rounds: How many rounds count.
        warm_up: How many rounds before them do not.
    """
    times: dict[str, list[float]] = {name: [] for name in things}
    for number in range(warm_up + rounds):
        for name, run in things.items():
            gc.collect()  # so that nobody pays for what another left behind; in the run itself it stays on
            begin = time.perf_counter()
            run()
            if number >= warm_up:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(taken) for name, taken in times.items()}


def machine() -> str:
    """The interpreter and the processor, in one line."""
    return f"{platform.python_implementation()} {platform.python_version()}, {_processor()}, {platform.system()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.machine()
