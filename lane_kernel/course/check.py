"""The last cell of a notebook: red where anything failed in the background."""

from __future__ import annotations

from lane_kernel.server import servers


def check() -> None:
    """Raise what failed in the background of this kernel since the last check.

    A cell passes although a handler raised; this does not. Each failure is raised once.

    Raises:
        ExceptionGroup: One group for each server whose handlers failed.
    """
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
