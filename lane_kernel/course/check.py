"""The last cell of a notebook: red where anything failed in the background."""

from __future__ import annotations

import sys

from lane_kernel.server import servers


def check() -> None:
    """Raise what failed in the background of this kernel since the last check, and refresh the stills of panels.

    A cell passes although a handler raised; this does not. Each failure is raised once.

    Raises:
        ExceptionGroup: One group for each server whose handlers failed.
    """
    _refresh_stills()
    failures: list[ExceptionGroup[Exception]] = []
    for server in servers():
        try:
            server.check()
        except ExceptionGroup as group:
            failures.append(group)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup(f"failures in the background of {len(failures)} servers", failures)


def _refresh_stills() -> None:
    """Show in the outputs of panels what has come since; a notebook without panels does not load them for it."""
    if "lane_kernel.panels" in sys.modules:
        from lane_kernel.panels import refresh_stills

        refresh_stills()
