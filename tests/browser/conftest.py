"""What the browser tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.lab import Lab, running_lab


@pytest.fixture(scope="module")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A running JupyterLab.

    A module's own: Playwright's loop runs on this thread while it is open, and must be gone before asynchronous tests.
    """
    with running_lab(chromium, Path(tmp_path_factory.mktemp("lab"))) as running:
        yield running
