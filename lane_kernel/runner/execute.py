"""The execution of one notebook, headless, in a kernel of its own."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbformat import NotebookNode

    from lane_kernel.runner.notebooks import Notebook

DEFAULT_TIMEOUT = 120
"""Seconds that one cell may take, unless asked otherwise."""

STARTUP_TIMEOUT = 60
"""Seconds until a kernel must answer; nbclient's own default."""

# Run after the last cell, and kept in no copy. Handlers, tasks and callbacks that raise leave every cell green; the
# library collects what they raised, and this raises it. Names nothing in the person's namespace.
CHECK = '(lambda lane: lane and lane.check())(__import__("sys").modules.get("lane_kernel"));'


class Cause(Enum):
    """Why a run is red."""

    CELL = "a cell raised"
    TIMEOUT = "a cell took too long"
    KERNEL = "the kernel died, or did not start"
    BACKGROUND = "something beside the cells raised"
    INTERRUPTED = "a person stopped the run"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, ready to be shown."""

    cause: Cause
    message: str
    """One sentence: what happened, where, and what to do."""
    source: str = ""
    """The cell's source, where one cell is to blame."""
    traceback: str = ""
    """As the kernel wrote it, with its colours (ANSI)."""


@dataclass(slots=True)
class Result:
    """How the execution of a notebook went."""

    notebook: Notebook
    seconds: float = 0.0
    executed: int = 0
    """How many code cells ran to their end."""
    failures: list[Failure] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every cell ran, and nothing failed beside them."""
        return not self.failures


def run(notebook: Notebook, *, timeout: int = DEFAULT_TIMEOUT, progress: Callable[[int], None] | None = None) -> Result:
    """Execute a notebook from a program without a loop; Ctrl-C ends its kernel and gives a result that says so.

    Args:
        notebook: What to execute; its outputs are filled in as far as it gets.
        timeout: Seconds that each cell may take; 0 for no limit.
        progress: Called with the number of code cells done, after each.
    """
    result = Result(notebook)
    try:
        asyncio.run(execute(result, timeout=timeout, progress=progress))
    except KeyboardInterrupt:
        result.failures.append(
            Failure(Cause.INTERRUPTED, f"interrupted in {_place(result)}; its kernel has been ended.")
        )
    return result


async def execute(
    result: Result, *, timeout: int = DEFAULT_TIMEOUT, progress: Callable[[int], None] | None = None
) -> None:
    """Execute `result.notebook` in its own folder and write down in `result` how it goes.

    A failing cell ends the run; the failures in the background are asked for in any case, since they are often its
    reason. However this ends, cancelled too, the kernel has ended with it.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    started = time.perf_counter()
    manager = _kernel()
    client = NotebookClient(
        result.notebook.content,
        km=manager,
        timeout=timeout or None,
        startup_timeout=STARTUP_TIMEOUT,
        record_timing=False,
    )
    listens = False
    try:
        if await _start(manager, client, result):
            await _cells(client, result, progress)
            await _check(client, result)
            client.set_widgets_metadata()
            listens = True
    except CellTimeoutError:
        message = f"{_place(result)} did not end within {timeout} s; if it needs longer, say so: --timeout SECONDS."
        result.failures.append(Failure(Cause.TIMEOUT, message, _source(result)))
    except DeadKernelError:
        # nbclient reports a cancellation from outside in the same words as the kernel's death.
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError from None
        message = f"the kernel died in {_place(result)}; too little memory or a crash in compiled code does that."
        result.failures.append(Failure(Cause.KERNEL, message, _source(result)))
    finally:
        result.seconds = time.perf_counter() - started
        await _end(manager, client, now=not listens)


async def _start(manager: AsyncKernelManager, client: NotebookClient, result: Result) -> bool:
    """Start the kernel in the notebook's folder; whether it answers."""
    folder = result.notebook.path.resolve().parent
    try:
        await manager.start_kernel(cwd=str(folder), extra_arguments=["--HistoryManager.hist_file=:memory:"])
        # Not nbclient's setup_kernel: its handler for Ctrl-C makes an interrupted run look like a kernel that died.
        channels = await client.async_start_new_kernel_client()
    except RuntimeError as error:
        result.failures.append(Failure(Cause.KERNEL, f"no kernel came up with {sys.executable}: {error}"))
        return False
    # The copy says its language, as one that JupyterLab saved does.
    reply = await client.async_wait_for_reply(channels.kernel_info())
    if reply is not None:
        client.nb.metadata["language_info"] = reply["content"]["language_info"]
    return True


async def _cells(client: NotebookClient, result: Result, progress: Callable[[int], None] | None) -> None:
    """Execute the cells in order, up to the first that fails."""
    from nbclient.exceptions import CellExecutionError

    for cell, index in _code_cells(client.nb):
        try:
            await client.async_execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
        except CellExecutionError as error:
            message = f"{_place(result)} raised {error.ename}."
            result.failures.append(Failure(Cause.CELL, message, cell.source, _traceback(cell, error)))
            return
        result.executed += 1
        if progress is not None:
            progress(result.executed)


def _kernel() -> AsyncKernelManager:
    """A kernel of this very Python, whatever kernel of the same name is installed elsewhere on the machine."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:  # noqa: ARG002 - always this one
            return KernelSpec(resource_dir="", **get_kernel_dict())

    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython())
    if manager.has_trait("transport_encryption"):
        # Not in jupyter_client 8.8 and before; without it, ipykernel 7.4 warns of plain TCP in every run.
        manager.set_trait("transport_encryption", "auto")
    return manager


async def _end(manager: AsyncKernelManager, client: NotebookClient, *, now: bool) -> None:
    """End the kernel: by asking it, or at once where it may not listen."""
    if client.kc is not None:
        client.kc.stop_channels()
    if manager.has_kernel:
        await manager.shutdown_kernel(now=now)


async def _check(client: NotebookClient, result: Result) -> None:
    """Ask the library in the kernel for what failed beside the cells."""
    from nbclient.exceptions import CellExecutionError
    from nbformat.v4 import new_code_cell

    cells = client.nb.cells
    cell = new_code_cell(CHECK)
    # nbclient finds a cell by its index, also when the check refreshes what earlier cells display.
    cells.append(cell)
    try:
        await client.async_execute_cell(cell, len(cells) - 1, store_history=False)
    except CellExecutionError as error:
        traceback = _traceback(cell, error)
        where = "every cell passed, but" if result.passed else "also,"
        if not any(failure.traceback == traceback for failure in result.failures):
            message = f"{where} something failed in the background ({error.ename}, found by lane.check())."
            result.failures.append(Failure(Cause.BACKGROUND, message, traceback=traceback))
    finally:
        cells.pop()


def _code_cells(content: NotebookNode) -> Iterator[tuple[NotebookNode, int]]:
    for index, cell in enumerate(content.cells):
        if cell.cell_type == "code" and cell.source.strip():
            yield cell, index


def _place(result: Result) -> str:
    total = result.notebook.code_cells
    return (
        f"code cell {result.executed + 1} of {total}" if result.executed < total else "lane.check() after the last cell"
    )


def _source(result: Result) -> str:
    """The source of the cell that was running."""
    cells = [cell for cell, _ in _code_cells(result.notebook.content)]
    return str(cells[result.executed].source) if result.executed < len(cells) else ""


def _traceback(cell: NotebookNode, error: Exception) -> str:
    """The traceback as the kernel wrote it; nbclient's own text repeats the cell and its output around it."""
    for output in cell.outputs:
        if output.output_type == "error" and output.traceback:
            return "\n".join(output.traceback)
    # IPython leaves an ExceptionGroup's traceback out of the error and writes it to stderr.
    written = [output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stderr"]
    return "".join(written) or str(error)
