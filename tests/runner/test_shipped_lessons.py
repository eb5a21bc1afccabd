"""Every lesson that is shipped passes as a person runs it, and turns red when a handler of it fails unseen."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell

from lane_kernel.runner.execute import Cause, run
from lane_kernel.runner.lessons import shipped
from lane_kernel.runner.notebooks import read

LESSONS = sorted(shipped().glob("*.ipynb"))

pytestmark = pytest.mark.lesson


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_lesson_passes(path: Path):
    result = run(read(path))
    assert result.failures == []
    assert result.executed == result.notebook.code_cells


def test_the_lesson_turns_red_when_a_handler_of_it_raises_while_every_cell_passes():
    notebook = read(LESSONS[0])
    cells = notebook.content.cells
    starts = next(index for index, cell in enumerate(cells) if "await server.start()" in cell.source)
    # As a person might break it: the handler answers, then fails. The client has its answer, so every cell goes on.
    source = """\
@server.websocket("/broken")
async def broken(ws):
    await ws.send(await ws.receive())
    raise ZeroDivisionError("after the answer")"""
    cells.insert(starts, new_code_cell(source))
    call = """\
async with lane.connect(server.url("/broken")) as ws:
    await ws.send("hi")
    assert await ws.receive() == "hi"
"""
    stops = next(index for index, cell in enumerate(cells) if "await server.stop()" in cell.source)
    cells.insert(stops, new_code_cell(call))
    # The lesson's own check would be the failing cell; without it every cell passes.
    notebook.content.cells = [cell for cell in cells if "lane.check()" not in cell.source]
    result = run(notebook)
    assert [failure.cause for failure in result.failures] == [Cause.BACKGROUND]
    assert result.executed == notebook.code_cells
    assert "after the answer" in result.failures[0].traceback
