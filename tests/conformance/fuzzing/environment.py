"""Atheris, which fuzzes by coverage: this interpreter's own, or one in an environment of its own.

Nothing is installed anywhere but in the folder that is given.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from tests.conformance.environment import SuiteError, run_step

ATHERIS = "atheris>=2.3"


class NoAtherisError(Exception):
    """Atheris cannot be had here."""


def find_atheris(folder: Path) -> Path | None:
    """Find atheris, or install it.

    Args:
        folder: Where to install it; what an earlier call has left there is taken again.

    Returns:
        The folder to import it from; None where it can be imported already.

    Raises:
        NoAtherisError: There is none for this Python and machine, or none can be fetched.
    """
    if importlib.util.find_spec("atheris") is not None:
        return None
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    made = folder / f"atheris-{version}"
    packages = made / "lib" / f"python{version}" / "site-packages"
    if (packages / "atheris").is_dir():
        return packages
    made.mkdir(parents=True, exist_ok=True)
    log = made / "environment.log"
    log.unlink(missing_ok=True)
    pip = (str(made / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install")
    try:
        run_step([sys.executable, "-m", "venv", str(made)], log)
        # Made from its source, it would need a Clang with libFuzzer.
        run_step([*pip, "--only-binary", ":all:", ATHERIS], log)
    except SuiteError as error:
        raise NoAtherisError(f"atheris cannot be had for Python {version} on {sys.platform}: {error}") from error
    return packages
