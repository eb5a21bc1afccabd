"""What the fuzzer found: made as small as it can be, and kept with the line that shows it again."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.conformance.fuzzing.targets import Target

MOST_TRIES = 2000
"""Bound on the runs that making an input smaller may take."""


def failure_of(run: Callable[[bytes], None], data: bytes) -> str | None:
    """Run an input; answer the kind of error and the line that raised it, or None."""
    try:
        run(data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {last.name}:{last.lineno}"
    return None


def shrink(run: Callable[[bytes], None], data: bytes) -> bytes:
    """Leave out bytes, and put zeros in the place of others, while the same line raises the same error."""
    wanted = failure_of(run, data)
    if wanted is None:
        return data
    tries, size = MOST_TRIES, max(len(data) // 2, 1)
    while size and tries > 0:
        at, smaller = 0, data
        while at < len(smaller) and tries > 0:
            for candidate in (
                smaller[:at] + smaller[at + size :],
                smaller[:at] + bytes(len(smaller[at : at + size])) + smaller[at + size :],
            ):
                tries -= 1
                if candidate != smaller and failure_of(run, candidate) == wanted:
                    smaller = candidate
                    break
            else:
                at += size
        size = size if smaller != data else size // 2
        data = smaller
    return data


def keep(target: Target, found: Path) -> str:
    """Make a finding smaller where it fails in this process, too, and write beside it what it is.

    Args:
        target: What was fuzzed.
        found: The input's file, as the fuzzer left it.

    Returns:
        What it is, and the line that shows it again.
    """
    again = f"python -m tests.conformance.fuzz --target {target.name} --replay {os.path.relpath(found)}"
    if "-crash-" not in found.name:
        # Too slow, or too much memory: it is not run here.
        text = f"{found.name}: {again}\n"
    else:
        data = shrink(target.run, found.read_bytes())
        found.write_bytes(data)
        text = f"{again}\n{data!r}\n{_told(target.run, data)}"
    found.with_name(f"{found.name}.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
    return text


def _told(run: Callable[[bytes], None], data: bytes) -> str:
    try:
        run(data)
    except Exception:  # noqa: BLE001 - whatever it is, it is the finding
        return traceback.format_exc()
    return "It fails under atheris only: run it with `--seconds 1` and this input as a seed.\n"
