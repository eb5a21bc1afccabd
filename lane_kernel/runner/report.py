"""What a person sees of a headless run: the progress while it goes, a line per notebook, and every failure."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lane_kernel.runner.execute import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from lane_kernel.runner.execute import Failure, Result
    from lane_kernel.runner.notebooks import Notebook

EXCERPT_LINES = 12
"""Lines of a failed cell that are shown; the traceback has the lines around its own place."""


@contextmanager
def progress(console: Console, notebook: Notebook) -> Iterator[Callable[[int], None]]:
    """Show a bar for one notebook while it runs; it is gone when it ends, and never in a log.

    Yields:
        A function to call with the number of code cells done.
    """
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(escape(str(notebook.path)), total=notebook.code_cells)
        yield lambda done: bar.update(task, completed=done)


def summary(console: Console, result: Result) -> None:
    """Print the line that stays: the notebook, how far it came, and how long it took."""
    sign, style = ("passed", "green") if result.passed else ("FAILED", "bold red")
    console.print(sign, style=style, end="  ")
    cells = f"{result.executed} of {result.notebook.code_cells} code cells"
    console.print(
        f"{result.notebook.path}  {cells}  {result.seconds:.1f} s", markup=False, highlight=False, soft_wrap=True
    )


def failures(console: Console, result: Result) -> None:
    """Print each failure of a notebook: where, the cell, and the traceback."""
    from rich.text import Text

    for failure in result.failures:
        console.print(
            f"\n{result.notebook.path}: {failure.message}", style="bold", markup=False, highlight=False, soft_wrap=True
        )
        for line in _excerpt(failure):
            console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
        if failure.traceback:
            console.print(Text.from_ansi(failure.traceback), soft_wrap=True)


def exit_status(results: list[Result]) -> int:
    """Give the command's exit status: 0 if all passed, 130 if a person stopped it (as shells say it), 1 otherwise."""
    causes = {failure.cause for result in results for failure in result.failures}
    if Cause.INTERRUPTED in causes:
        return 130
    return 1 if causes else 0


def _excerpt(failure: Failure) -> list[str]:
    lines = failure.source.splitlines()
    if len(lines) <= EXCERPT_LINES:
        return lines
    left_out = len(lines) - EXCERPT_LINES + 1
    return [*lines[: EXCERPT_LINES - 1], f"… {left_out} more lines"]
