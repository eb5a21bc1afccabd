"""The process that fuzzes one target. It needs atheris, and is run by `tests.conformance.fuzz`.

    python -m tests.conformance.fuzzing.worker TARGET [libFuzzer's options] CORPUS…

Source: https://llvm.org/docs/LibFuzzer.html for the options.
"""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    """Fuzz until the time is up or something does not hold."""
    atheris = importlib.import_module("atheris")
    name = sys.argv.pop(1)
    # Only what is imported within is watched: the package, not its tests.
    with atheris.instrument_imports(include=["lane_kernel"]):
        targets = importlib.import_module("tests.conformance.fuzzing.targets")
    atheris.Setup(sys.argv, targets.TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
