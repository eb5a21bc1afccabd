"""The Jupyter pages that embed this kernel's panels: their origins, as the panels tell them or as Jupyter's files do.

A page of JupyterLab has another port than a server in its kernel, so its origin is a foreign one to the browser. It may
ask all the same; also behind JupyterHub or a proxy, where only the page itself knows its origin.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

MAX_TOLD = 64
"""Origins that are remembered; a person has few pages."""

_FRESH = 5.0
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class JupyterPages:
    """The origins of the pages that show this kernel's notebooks."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._told: dict[str, str] = {}
        self._found: frozenset[str] = frozenset()
        self._looked = float("-inf")

    def tell(self, origin: str) -> None:
        """Remember the origin of a page that shows a panel.

        Args:
            origin: The page's own word, `location.origin`.
        """
        host = _host(origin)
        if host and origin != "null" and len(self._told) < MAX_TOLD:
            self._told[origin] = host

    def has_origin(self, origin: str) -> bool:
        """Whether a page of this origin shows this kernel's notebooks."""
        return origin in self._told or origin in self._running()

    def has_host(self, host: str) -> bool:
        """Whether such a page's host is this one: behind a proxy, requests name the proxy's host."""
        return host in self._told.values()

    def _running(self) -> frozenset[str]:
        """The origins of the Jupyter server that started this kernel, looked up again after some seconds."""
        parent = os.environ.get("JPY_PARENT_PID", "")
        if parent and time.monotonic() - self._looked > _FRESH:
            self._looked = time.monotonic()
            self._found = frozenset(_origins_of(int(parent))) if parent.isdigit() else frozenset()
        return self._found


def _origins_of(pid: int) -> list[str]:
    """The origins of a running Jupyter server, as the file that it keeps while it runs tells them.

    jupyter_server has a function that reads these files; importing it would block the loop for a second.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    origins: list[str] = []
    for path in Path(jupyter_runtime_dir()).glob("jpserver-*.json"):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # it ended, or is just writing
        if told.get("pid") == pid:
            url = urlsplit(str(told.get("url", "")))
            port = "" if url.port is None else f":{url.port}"
            origins += [f"{url.scheme}://{name}{port}" for name in {url.hostname or "", *_LOOPBACK}]
    return origins


def _host(origin: str) -> str:
    try:
        return (urlsplit(origin).hostname or "").lower()
    except ValueError:
        return ""


jupyter_pages = JupyterPages()
"""Those of this kernel."""
