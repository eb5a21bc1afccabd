"""What all tests share: where a browser is, and where screenshots go."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC = (
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)


def find_chromium() -> str | None:
    """The machine's Chromium or Chrome; else the one that `playwright install chromium` fetched."""
    if named := os.environ.get("LANE_CHROMIUM"):
        if shutil.which(named) is None:
            pytest.fail(f"LANE_CHROMIUM={named} is no program on this machine")
        return named
    for name in _BROWSERS:
        if found := shutil.which(name):
            return found
    for application in _MAC:
        if application.exists():
            return str(application)
    # In a process of its own, since Playwright's synchronous face refuses a thread with a loop.
    code = (
        "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path, end='')"
    )
    own = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout
    return own if own and Path(own).exists() else None


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; without one the test is skipped, or fails where the browser is required."""
    if found := find_chromium():
        return found
    reason = (
        "no Chromium or Chrome on this machine (Debian: apt-get install chromium; LANE_CHROMIUM=/path names another)"
    )
    if os.environ.get("LANE_REQUIRE_BROWSER") == "1":
        pytest.fail(f"LANE_REQUIRE_BROWSER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """The git-ignored folder for screenshots, traces and figures."""
    folder = ROOT / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder
