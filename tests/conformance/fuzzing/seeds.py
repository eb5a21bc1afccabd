"""Choose, of what the fuzzer has found to be new, the few inputs that are worth a place in tests/vectors/fuzz.

    python -m tests.conformance.fuzz --cache DIR
    python -m tests.conformance.fuzzing.seeds DIR/corpus

An input is worth it where it takes a turn in the package's code that neither a case table nor an input chosen before it
takes. Names that end in a digest are the chosen ones, and are chosen anew each time; what was found wrong has a name of
its own, and stays.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

import lane_kernel
from tests.conformance.fuzzing.targets import MAX_SIZE, SEEDS, TARGETS, Target, kept_seeds

MOST = 50
"""Inputs that are chosen for all targets together."""

Turn = tuple[str, int, int]
"""A function's file, and two of its lines that ran one after the other."""

_PACKAGE = str(Path(lane_kernel.__file__).parent)
_CHOSEN = re.compile(r"\w+-[0-9a-f]{10}")


def turns(run: Callable[[bytes], None], data: bytes) -> set[Turn]:
    """The turns that one input takes in the package."""
    taken: set[Turn] = set()
    last: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _: object) -> object:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        if event == "line":
            taken.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        run(data)
    finally:
        sys.settrace(None)
    return taken


def choose(target: Target, inputs: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Choose the inputs that take most turns of their own, each time the best of those that are left."""
    seen = set[Turn]().union(*(turns(target.run, seed) for seed in target.seeds()))
    left = {data: turns(target.run, data) for data in sorted(inputs, key=len) if len(data) <= MAX_SIZE}
    for _ in range(most):
        best = max(left, key=lambda data: (len(left[data] - seen), -len(data)), default=None)
        if best is None or not left[best] - seen:
            return
        seen |= left[best]
        yield best


def main() -> None:
    """Choose from the corpora in a folder, and write the seeds."""
    for name in kept_seeds():
        if _CHOSEN.fullmatch(name):
            (SEEDS / name).unlink()
    whole = sum(target.share for target in TARGETS.values())
    for target in TARGETS.values():
        corpus = [path.read_bytes() for path in sorted((Path(sys.argv[1]) / target.name).iterdir())]
        chosen = list(choose(target, corpus, MOST * target.share // whole))
        for data in chosen:
            (SEEDS / f"{target.name}-{hashlib.sha256(data).hexdigest()[:10]}").write_bytes(data)
        print(f"{target.name}: {len(chosen)} of {len(corpus)} inputs")


if __name__ == "__main__":
    main()
