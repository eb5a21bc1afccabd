"""Autobahn's suite, which speaks Python 2.7 only: finding such a Python, and an environment of its own for the suite.

Nothing is installed anywhere but in the folder that is given. A C compiler may be needed for what comes without wheels.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

SUITE = "autobahntestsuite==25.10.1"
VIRTUALENV = "virtualenv<20.22"
"""The last that makes environments for Python 2.7."""

VARIABLE = "LANE_PYTHON27"

INSTALL_TIMEOUT = 900.0
"""Bound on each step of making the environment, in seconds."""

QUICK_TIMEOUT = 60.0
"""Bound on asking an interpreter something, in seconds."""


class SuiteError(Exception):
    """The suite cannot be run, or did not come to its end."""


class NoPython27Error(SuiteError):
    """There is no Python 2.7 to run the suite with."""


def clean_environment() -> dict[str, str]:
    """This process's variables without those that would lead another Python astray."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def find_python27(named: str | None = None) -> Path:
    """Find a Python 2.7: the one that is named, or one on PATH, or pyenv's newest.

    Args:
        named: A path or a command; the environment variable LANE_PYTHON27 by default.

    Raises:
        NoPython27Error: There is none.
        SuiteError: What is named is none.
    """
    named = named or os.environ.get(VARIABLE)
    if named:
        if found := _executable(named):
            return found
        raise SuiteError(f"{named} is not a Python 2.7 that runs")
    for candidate in _candidates():
        if found := _executable(candidate):
            return found
    raise NoPython27Error(
        "no Python 2.7 found, and Autobahn's suite runs on nothing else: looked for python2.7 and python2 on PATH and "
        f"for pyenv's 2.7.*; `--python27 PATH` or {VARIABLE}=PATH names one"
    )


def _candidates() -> Iterator[str]:
    yield from ("python2.7", "python2")
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    versions = root.glob("versions/2.7.*/bin/python2.7")
    for path in sorted(versions, key=lambda path: path.parts[-3].zfill(12), reverse=True):
        yield str(path)


def _executable(candidate: str) -> Path | None:
    """The interpreter behind a command, if it is a 2.7; a pyenv shim without its version set does not run."""
    command = shutil.which(candidate)
    if command is None:
        return None
    code = "import sys; sys.stdout.write('%d.%d\\n%s' % (sys.version_info[:2] + (sys.executable,)))"
    try:
        done = subprocess.run(
            [command, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            timeout=QUICK_TIMEOUT,
            env=clean_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version, _, path = done.stdout.partition("\n")
    return Path(path) if done.returncode == 0 and version == "2.7" else None


def make_environment(python27: Path, folder: Path) -> Path:
    """Make an environment with the suite, or reuse the one that the folder holds.

    Args:
        python27: The interpreter it is for.
        folder: Where it is kept, with what it is made by.

    Returns:
        The environment's interpreter.

    Raises:
        SuiteError: A step failed or took too long.
    """
    suite, maker, stamp = folder / "suite", folder / "maker", folder / "made-of.txt"
    made_of = f"{SUITE} {VIRTUALENV} {python27}\n"
    python = suite / "bin" / "python"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == made_of and python.exists():
        return python
    stamp.unlink(missing_ok=True)
    for made in (suite, maker):
        shutil.rmtree(made, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "environment.log"
    log.unlink(missing_ok=True)
    maker_python = str(maker / "bin" / "python")
    pip = ("-m", "pip", "--disable-pip-version-check", "install")
    run_step([sys.executable, "-m", "venv", str(maker)], log)
    run_step([maker_python, *pip, VIRTUALENV], log)
    app_data = ("--app-data", str(folder / "virtualenv"))
    run_step([maker_python, "-m", "virtualenv", *app_data, "--python", str(python27), str(suite)], log)
    run_step([str(python), *pip, SUITE], log)
    stamp.write_text(made_of, encoding="utf-8")
    return python


def run_step(command: Sequence[str], log: Path) -> None:
    """Run a step of making an environment, with all that it says in a log.

    Raises:
        SuiteError: It failed or took too long.
    """
    with log.open("a", encoding="utf-8") as output:
        output.write(f"$ {' '.join(command)}\n")
        output.flush()
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=INSTALL_TIMEOUT,
                env=clean_environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise SuiteError(f"{' '.join(command)} did not end within {INSTALL_TIMEOUT:g} s") from error
    if done.returncode:
        raise SuiteError(f"{' '.join(command)} failed:\n{tail(log)}")


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
