"""Fuzz the codecs and the timeline, guided by coverage.

    python -m tests.conformance.fuzz
    python -m tests.conformance.fuzz --seconds 60 --target connection --cache ~/.cache/lane-fuzz
    python -m tests.conformance.fuzz --target connection --replay artifacts/fuzz/connection-crash-…

Each target is in `tests.conformance.fuzzing`: it takes any bytes, and raises where something does not hold of what the
package makes of them. Inputs begin from the case tables and from tests/vectors/fuzz. What is found is written to
artifacts/fuzz, made as small as it can be, with the line that shows it again.

It ends with 0 where nothing was found; with 1 where something was, or where the fuzzer did not come to its end; with 77
where atheris cannot be had; with 130 where it was interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.environment import tail
from tests.conformance.fuzzing.environment import NoAtherisError, find_atheris
from tests.conformance.fuzzing.findings import keep
from tests.conformance.fuzzing.targets import MAX_SIZE, TARGETS, Target, kept_seeds

ROOT = Path(__file__).resolve().parents[2]
NOT_RUN = 77
INTERRUPTED = 130

GRACE = 120.0
"""How long after its time a worker may take to end, in seconds."""

LIMITS = (f"-max_len={MAX_SIZE}", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1")
"""libFuzzer's bounds: bytes of an input, seconds for one, MiB for all."""

_PROGRESS = re.compile(r"^#\d+\s+(\w+)\s+cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_RUNS = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)


class FuzzError(Exception):
    """The fuzzer did not come to its end."""


@dataclass(frozen=True)
class Outcome:
    """What fuzzing one target came to.

    Attributes:
        target: The target's name.
        seconds: How long it was fuzzed.
        runs: How many inputs were run.
        before: Edges of the package's code that the seeds reached.
        after: Edges that were reached in the end.
        features: Edges by how often they were passed, in the end.
        corpus: Inputs that are worth keeping, each of which reaches something of its own.
        findings: What was found.
    """

    target: str
    seconds: int
    runs: int
    before: int
    after: int
    features: int
    corpus: int
    findings: tuple[str, ...] = ()


def read_log(target: str, seconds: int, log: str, findings: Sequence[str] = ()) -> Outcome:
    """Read what libFuzzer said.

    Raises:
        FuzzError: It did not begin, or ended without a finding before its time.
    """
    progress = _PROGRESS.findall(log)
    runs = _RUNS.search(log)
    is_done = any(event == "DONE" for event, *_ in progress)
    if runs is None or not (findings or is_done):
        raise FuzzError(f"{target}: the fuzzer did not come to its end")
    before = next((int(edges) for event, edges, *_ in progress if event == "INITED"), 0)
    _, after, features, corpus = progress[-1] if progress else ("", 0, 0, 0)
    return Outcome(
        target, seconds, int(runs[1]), before, int(after), int(features), int(corpus), findings=tuple(findings)
    )


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """The outcomes as the lines of a table."""
    lines = [
        "| target | seconds | runs | runs/s | edges by the seeds | edges | features | corpus | findings |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in outcomes:
        cells = (
            one.target, one.seconds, f"{one.runs:,}", f"{one.runs / max(one.seconds, 1):,.0f}", one.before, one.after,
            one.features, one.corpus, len(one.findings),
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def share_time(targets: Sequence[Target], seconds: int) -> dict[str, int]:
    """How many seconds each target has; at least one."""
    whole = sum(target.share for target in targets)
    return {target.name: max(seconds * target.share // whole, 1) for target in targets}


def fuzz(target: Target, seconds: int, folder: Path, findings: Path, packages: Path | None) -> Outcome:
    """Fuzz one target.

    Args:
        target: The target.
        seconds: For how long.
        folder: Where its corpus and its log are kept.
        findings: Where its findings go.
        packages: Where atheris is, if it is not this interpreter's own.

    Raises:
        FuzzError: The fuzzer did not come to its end.
    """
    corpus, log = folder / "corpus" / target.name, folder / f"{target.name}.log"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in (*target.seeds(), *kept_seeds().values()):
        (corpus / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    known = set(findings.glob(f"{target.name}-*"))
    path = os.pathsep.join(str(entry) for entry in (ROOT, packages, os.environ.get("PYTHONPATH")) if entry)
    command = [
        sys.executable, "-m", "tests.conformance.fuzzing.worker", target.name, *LIMITS,
        f"-max_total_time={seconds}", f"-artifact_prefix={findings}/{target.name}-", str(corpus),
    ]  # fmt: skip
    with log.open("wb") as output:
        try:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=seconds + GRACE,
                env={**os.environ, "PYTHONPATH": path},
            )
        except subprocess.TimeoutExpired as error:
            raise FuzzError(f"{target.name}: the fuzzer did not end in time:\n{tail(log)}") from error
    found = sorted(set(findings.glob(f"{target.name}-*")) - known)
    kept = [keep(target, path) for path in found if not path.name.startswith(f"{target.name}-slow-unit-")]
    try:
        return read_log(target.name, seconds, log.read_text(encoding="utf-8", errors="replace"), kept)
    except FuzzError as error:
        raise FuzzError(f"{error}:\n{tail(log)}") from None


def replay(targets: Sequence[Target], files: Sequence[Path]) -> None:
    """Run inputs without atheris; what is wrong is raised."""
    for file in files:
        for target in targets:
            target.run(file.read_bytes())
            print(f"{file}: {target.name} finds nothing wrong")


def run(options: argparse.Namespace) -> bool:
    """Do what the command line says; answer whether nothing was found.

    Raises:
        FuzzError: The fuzzer did not come to its end.
        NoAtherisError: There is no atheris.
    """
    targets = [TARGETS[name] for name in options.target or TARGETS]
    if options.replay:
        replay(targets, options.replay)
        return True
    options.findings.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="lane-fuzz-") as scratch:
        folder = (options.cache or Path(scratch)).absolute()
        packages = find_atheris(folder)
        for name, seconds in share_time(targets, options.seconds).items():
            print(f"{name}: {seconds} s", flush=True)
            outcomes.append(fuzz(TARGETS[name], seconds, folder, options.findings.absolute(), packages))
    print("", *table(outcomes), "", *(text for one in outcomes for text in one.findings), sep="\n")
    return not any(one.findings for one in outcomes)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.fuzz", description="Fuzz the codecs and the timeline, guided by coverage."
    )
    parser.add_argument("--seconds", type=int, default=300, metavar="N", help="for all targets together; %(default)s")
    parser.add_argument("--target", action="append", choices=tuple(TARGETS), help="only this one; may be repeated")
    parser.add_argument("--replay", nargs="+", type=Path, metavar="FILE", help="run these inputs, without atheris")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep atheris and the corpora there")
    parser.add_argument("--findings", type=Path, metavar="DIR", default=Path("artifacts/fuzz"), help="%(default)s")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and answer its exit status."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return 0 if run(options) else 1
    except NoAtherisError as error:
        print(f"not run: {error}", file=sys.stderr)
        return NOT_RUN
    except FuzzError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
