"""The runner, with real kernels: what passes, and each way of failing."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import nbformat
import pytest

from lane_kernel.runner.execute import Cause, Result, execute, run
from lane_kernel.runner.notebooks import read
from tests.runner.notebooks import output_of, write

# A handler that raises after it answered: every cell passes, for a person to find out in the handlers' log.
RAISES_IN_THE_BACKGROUND = """\
import lane_kernel as lane

server = lane.Server()

@server.websocket("/echo")
async def echo(ws):
    await ws.send(await ws.receive())
    raise ZeroDivisionError("in the handler of /echo")

await server.start()
async with lane.connect(server.url("/echo")) as ws:
    await ws.send("hello")
    assert await ws.receive() == "hello"
await server.stop()
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_notebook_passes_and_its_outputs_are_filled_in(tmp_path: Path):
    notebook = read(write(tmp_path / "x.ipynb", "print('hello')", "", "6 * 7"))
    seen: list[int] = []
    result = run(notebook, progress=seen.append)
    assert result.passed
    assert seen == [1, 2]
    assert result.executed == 2
    nbformat.write(notebook.content, tmp_path / "copy.ipynb")
    assert output_of(tmp_path / "copy.ipynb").split() == ["hello", "42"]
    assert notebook.content.metadata.language_info.name == "python"


def test_cells_await_on_the_kernels_loop(tmp_path: Path):
    assert run(read(write(tmp_path / "x.ipynb", "import asyncio\nawait asyncio.sleep(0)"))).passed


def test_it_runs_in_the_notebooks_folder_with_this_python(tmp_path: Path):
    path = write(tmp_path / "deep" / "x.ipynb", "import os, sys\nprint(os.getcwd())\nprint(sys.executable)")
    notebook = read(path)
    assert run(notebook).passed
    said = notebook.content.cells[1].outputs[0].text.splitlines()
    assert [Path(line) for line in said] == [path.parent.resolve(), Path(sys.executable)]


def test_a_failing_cell_ends_the_run_and_shows_itself(tmp_path: Path):
    notebook = read(write(tmp_path / "x.ipynb", "x = 0", "def f():\n    return 1 / x\nf()", "print('never')"))
    result = run(notebook)
    (failure,) = result.failures
    assert failure.cause is Cause.CELL
    assert failure.message == "code cell 2 of 3 raised ZeroDivisionError."
    assert failure.source.startswith("def f():")
    assert "division by zero" in failure.traceback
    assert "An error occurred while executing" not in failure.traceback
    assert notebook.content.cells[2].outputs[-1].ename == "ZeroDivisionError"
    assert notebook.content.cells[3].outputs == []


def test_a_cell_that_raises_a_group_shows_each_of_its_exceptions(tmp_path: Path):
    source = "raise ExceptionGroup('several', [ValueError('the first'), KeyError('the second')])"
    (failure,) = run(read(write(tmp_path / "x.ipynb", source))).failures
    assert failure.cause is Cause.CELL
    assert "the first" in failure.traceback
    assert "the second" in failure.traceback


def test_a_mistake_in_the_syntax_is_shown(tmp_path: Path):
    (failure,) = run(read(write(tmp_path / "x.ipynb", "def f(:"))).failures
    assert "raised SyntaxError" in failure.message
    assert "def f(:" in failure.traceback


def test_a_cell_tagged_to_raise_may_raise(tmp_path: Path):
    notebook = read(write(tmp_path / "x.ipynb", "1 / 0", "2"))
    notebook.content.cells[1].metadata["tags"] = ["raises-exception"]
    assert run(notebook).passed


def test_a_cell_that_takes_too_long_is_named_with_the_option(tmp_path: Path):
    (failure,) = run(
        read(write(tmp_path / "x.ipynb", "1", "import threading\nthreading.Event().wait()")), timeout=1
    ).failures
    assert failure.cause is Cause.TIMEOUT
    assert "code cell 2 of 2 did not end within 1 s" in failure.message
    assert "--timeout" in failure.message
    assert "Event().wait()" in failure.source


def test_a_kernel_that_dies_is_said(tmp_path: Path):
    result = run(read(write(tmp_path / "x.ipynb", "1", "import os\nos._exit(1)", "3")))
    (failure,) = result.failures
    assert failure.cause is Cause.KERNEL
    assert "the kernel died in code cell 2 of 3" in failure.message
    assert "os._exit" in failure.source
    assert result.executed == 1


def test_work_that_failed_beside_the_cells_turns_the_run_red(tmp_path: Path):
    notebook = read(write(tmp_path / "x.ipynb", RAISES_IN_THE_BACKGROUND, "'all is well'"))
    result = run(notebook)
    (failure,) = result.failures
    assert failure.cause is Cause.BACKGROUND
    assert failure.message.startswith("every cell passed, but something failed in the background")
    assert "in the handler of /echo" in failure.traceback
    assert result.executed == 2
    assert len(notebook.content.cells) == 3, "the check's own cell is in no copy"


def test_work_that_failed_beside_the_cells_is_shown_with_a_failing_cell(tmp_path: Path):
    result = run(read(write(tmp_path / "x.ipynb", RAISES_IN_THE_BACKGROUND, "assert False")))
    assert [failure.cause for failure in result.failures] == [Cause.CELL, Cause.BACKGROUND]


def test_a_notebook_without_the_library_is_not_asked(tmp_path: Path):
    notebook = read(write(tmp_path / "x.ipynb", "import sys\nassert 'lane_kernel' not in sys.modules"))
    assert run(notebook).passed


async def test_a_cancelled_run_ends_its_kernel(tmp_path: Path):
    pidfile = tmp_path / "pid"
    source = "import os, pathlib, threading\npathlib.Path('pid').write_text(str(os.getpid()))"
    notebook = read(write(tmp_path / "x.ipynb", source, "threading.Event().wait()"))
    reached = asyncio.Event()
    task = asyncio.create_task(execute(Result(notebook), progress=lambda _: reached.set()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(int(pidfile.read_text()))
