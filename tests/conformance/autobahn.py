"""Autobahn's test suite against a server and a client of this project.

    python -m tests.conformance.autobahn
    python -m tests.conformance.autobahn --only client --cases 5 6.4 '12.*.1'
    python -m tests.conformance.autobahn --full --cache ~/.cache/lane-autobahn

It ends with 0 where every case is OK or INFORMATIONAL, in its closing, too; with 1 where one is not or where the suite
did not come to its end; with 77 where there is no Python 2.7; with 130 where it was interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from lane_kernel import LaneError
from tests.conformance.echo import CLIENT_OPTIONS, SERVER_OPTIONS, ask, echo_back, echo_server
from tests.conformance.environment import (
    QUICK_TIMEOUT,
    NoPython27Error,
    SuiteError,
    clean_environment,
    find_python27,
    make_environment,
    tail,
)
from tests.conformance.report import CaseResult, case_order, faults, read_reports, table

AGENT = "lane_kernel"
NOT_RUN = 77
INTERRUPTED = 130

GROUPS = ("1", "2", "3", "4", "5", "6", "7", "9", "10", "12", "13")
"""What `--full` runs; the suite has no other cases."""

SHORT = (*GROUPS[:-2], *(f"{group}.*.{size}" for group in GROUPS[-2:] for size in (1, 3, 5, 7, 11)))
"""What is run by default: of the compressed ones, each of which sends 1,000 messages, those of 16, 256, 4,096 and
16,384 bytes, and that of 8,192 bytes in fragments of 256."""

CASE_TIMEOUT = 600.0
"""Bound on one case in seconds; the suite itself gives the longest 480."""

START_TIMEOUT = 60.0
"""Bound on the start of the suite in seconds."""

END_TIMEOUT = 5.0
"""Bound on the end of a process that was asked to end, in seconds."""

_LIST_CASES = """
import json, sys
from autobahntestsuite.case import Cases, CaseBasename, CaseCategories, CaseSetname, CaseSubCategories
from autobahntestsuite.caseset import CaseSet
made = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories)
sys.stdout.write(json.dumps([made.caseClasstoId(case) for case in Cases]))
"""

# The suite's own command listens on every interface, and does not say when it does.
_FUZZING_SERVER = """
import json, sys
from autobahntestsuite import choosereactor
from autobahn.twisted.websocket import listenWS
from autobahntestsuite.fuzzing import FuzzingServerFactory
from twisted.internet import reactor
with open(sys.argv[1]) as spec:
    listenWS(FuzzingServerFactory(json.load(spec)), interface="127.0.0.1")
sys.stdout.write("listening\\n")
reactor.run()
"""


def list_cases(python: Path) -> list[str]:
    """Ask the suite for the numbers of all its cases.

    Raises:
        SuiteError: It does not answer.
    """
    try:
        done = subprocess.run(
            [python, "-c", _LIST_CASES],
            capture_output=True,
            text=True,
            check=True,
            timeout=QUICK_TIMEOUT,
            env=clean_environment(),
        )
    except subprocess.CalledProcessError as error:
        raise SuiteError(f"the suite does not list its cases:\n{error.stderr}") from error
    except subprocess.TimeoutExpired as error:
        raise SuiteError(f"the suite has not listed its cases within {QUICK_TIMEOUT:g} s") from error
    cases: list[str] = json.loads(done.stdout)
    return cases


def select_cases(cases: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Select cases by their numbers.

    Args:
        cases: All there are.
        patterns: Each a number, the beginning of one ("9" or "9.1"), or with wildcards ("12.*.1").

    Raises:
        SuiteError: A pattern selects none.
    """
    selected: set[str] = set()
    for pattern in patterns:
        found = {case for case in cases if fnmatchcase(case, pattern) or case.startswith(f"{pattern}.")}
        if not found:
            raise SuiteError(f"the suite has no case {pattern}")
        selected |= found
    return sorted(selected, key=case_order)


@contextlib.asynccontextmanager
async def suite_process(command: Sequence[str | Path], folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process of the suite, and end it at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process, and see that it has ended."""
    for ask_to_end in (process.terminate, process.kill):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            ask_to_end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT):
                await process.wait()


async def copy_lines(process: asyncio.subprocess.Process, log: Path, *, until: bytes | None = None) -> bool:
    """Copy what a process says to a log, until it says that line or ends; say whether it said it.

    Raises:
        SuiteError: It has said nothing for too long.
    """
    if process.stdout is None:
        return False
    with log.open("ab", buffering=0) as output:
        try:
            while True:
                async with asyncio.timeout(START_TIMEOUT if until is not None else CASE_TIMEOUT):
                    line = await process.stdout.readline()
                output.write(line)
                if not line or line == until:
                    return line == until
        except TimeoutError as error:
            raise SuiteError(f"the suite has said nothing for too long; at last:\n{tail(log)}") from error


async def fuzz_server(python: Path, cases: Sequence[str], folder: Path) -> None:
    """Set the suite's fuzzing client on the echo server.

    Raises:
        SuiteError: It did not come to its end.
    """
    log = folder / "suite.log"
    async with echo_server(**SERVER_OPTIONS) as url:
        spec = write_spec(folder, cases, servers=[{"agent": AGENT, "url": url}])
        command: list[str | Path] = [python, "-u", "-m", "autobahntestsuite.wstest", "-m", "fuzzingclient", "-s", spec]
        async with suite_process(command, folder) as process:
            await copy_lines(process, log)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_TIMEOUT):
                    await process.wait()
        if process.returncode:
            raise SuiteError(f"the suite's fuzzing client ended with {process.returncode}:\n{tail(log)}")


async def fuzz_client(python: Path, cases: Sequence[str], folder: Path) -> None:
    """Set the echo client on the suite's fuzzing server, case by case.

    Raises:
        SuiteError: The suite's server did not start, or does not answer.
    """
    log = folder / "suite.log"
    root = f"ws://127.0.0.1:{free_port()}"
    spec = write_spec(folder, cases, url=root)
    async with suite_process([python, "-u", "-c", _FUZZING_SERVER, spec], folder) as process:
        if not await copy_lines(process, log, until=b"listening\n"):
            raise SuiteError(f"the suite's fuzzing server did not start:\n{tail(log)}")
        copying = asyncio.create_task(copy_lines(process, log))
        try:
            count = int(await ask(f"{root}/getCaseCount", START_TIMEOUT, **CLIENT_OPTIONS))
            for number in range(1, count + 1):
                await run_case(f"{root}/runCase?case={number}&agent={AGENT}")
            await echo_back(f"{root}/updateReports?agent={AGENT}", CASE_TIMEOUT, **CLIENT_OPTIONS)
        except (LaneError, TimeoutError) as error:
            raise SuiteError(f"the suite's fuzzing server does not answer: {error}\n{tail(log)}") from error
        finally:
            copying.cancel()
            await asyncio.wait({copying})


async def run_case(url: str) -> None:
    """Have the echo client run a case; where its opening handshake fails, the report says so or lacks the case."""
    try:
        await echo_back(url, CASE_TIMEOUT, **CLIENT_OPTIONS)
    except LaneError as error:
        print(f"{url}: {error}", file=sys.stderr)


def free_port() -> int:
    """A port of this machine that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def write_spec(folder: Path, cases: Sequence[str], **more: object) -> Path:
    """Write what the suite is to do, and where its reports go."""
    spec = {"outdir": str(folder), "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}, **more}
    path = folder / "spec.json"
    path.write_text(json.dumps(spec, indent=2), encoding="utf-8")
    return path


Fuzz = Callable[[Path, Sequence[str], Path], Awaitable[None]]

SIDES: dict[str, Fuzz] = {"server": fuzz_server, "client": fuzz_client}


async def run_sides(python: Path, sides: Sequence[str], cases: Sequence[str], reports: Path) -> list[CaseResult]:
    """Run the cases against each side, one after the other, and read the reports."""
    results: list[CaseResult] = []
    for side in sides:
        folder = reports / side
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"Autobahn's suite against the {side}: {len(cases)} cases, reports in {folder}", flush=True)
        start = time.monotonic()
        await SIDES[side](python, cases, folder)
        print(f"  took {time.monotonic() - start:.0f} s", flush=True)
        results += read_reports(folder, side, AGENT, cases)
    return results


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.autobahn", description="Run Autobahn's test suite against server and client."
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--cases", nargs="+", metavar="CASE", help="numbers, their beginnings, or patterns: 9.1 '12.*.1'"
    )
    which.add_argument("--full", action="store_true", help="all of 12.* and 13.*, too; takes long")
    parser.add_argument("--only", choices=tuple(SIDES), help="one side only")
    parser.add_argument("--python27", metavar="PATH", help="the Python 2.7 to run the suite with")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep the suite's environment there, for the next run"
    )
    parser.add_argument("--reports", type=Path, metavar="DIR", default=Path("artifacts/autobahn"), help="%(default)s")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> bool:
    """Do what the command line says; answer whether every case is as it should be.

    Raises:
        SuiteError: The suite could not be run to its end.
    """
    python27 = find_python27(options.python27)
    print(f"Python 2.7: {python27}", flush=True)
    with tempfile.TemporaryDirectory(prefix="lane-autobahn-") as scratch:
        python = make_environment(python27, (options.cache or Path(scratch)).absolute())
        cases = select_cases(list_cases(python), options.cases or (GROUPS if options.full else SHORT))
        sides = (options.only,) if options.only else tuple(SIDES)
        results = asyncio.run(run_sides(python, sides, cases, options.reports.absolute()))
    print("", *table(results), "", *faults(results), sep="\n")
    return all(result.is_good for result in results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and answer its exit status."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return 0 if run(options) else 1
    except NoPython27Error as error:
        print(f"not run: {error}", file=sys.stderr)
        return NOT_RUN
    except SuiteError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
