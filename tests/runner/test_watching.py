"""The handlers and the loop are watched in a real kernel, where prints and cells are."""

from __future__ import annotations

import json
from pathlib import Path

from lane_kernel.runner.execute import Cause, run
from lane_kernel.runner.notebooks import read
from tests.runner.notebooks import write

SERVER = """\
import asyncio, logging, sys, time
import lane_kernel as lane

from lane_kernel.net import blocking

blocking.QUIET = 0.1
before = sys.stdout, sys.stderr
server = lane.Server()

@server.websocket("/speaks")
async def speaks(ws):
    async for message in ws:
        print("heard", message)
        logging.getLogger("shop").warning("mind %s", message)
        await asyncio.to_thread(print, "from a thread")
        await ws.send("done")

@server.websocket("/slow")
async def slow(ws):
    time.sleep(0.4)
    await ws.send("done")

await server.start()
"""

ASK = """\
async with lane.connect(server.url("/{path}")) as ws:
    await ws.send("the gap")
    assert await ws.receive() == "done"
"""

TELL = """\
import json
await asyncio.sleep(0.3)
records = [(r.level, r.route, r.source, r.text) for r in server.log.records]
await server.stop()
assert (sys.stdout, sys.stderr) == before
print(json.dumps(records))
"""


def told(path: Path, *cells: str) -> list[list[str]]:
    """Run a server, then the cells; the records of its log."""
    notebook = read(write(path / "x.ipynb", SERVER, *cells, TELL))
    result = run(notebook)
    assert result.passed, result.failures
    printed = "".join(output.text for output in notebook.content.cells[-1].outputs if output.output_type == "stream")
    records: list[list[str]] = json.loads(printed)
    return records


def test_prints_and_logging_of_handlers_are_in_the_log(tmp_path: Path) -> None:
    """Also those that nbclient drops, since their cell has ended."""
    records = told(tmp_path, ASK.format(path="speaks"))
    assert [record for record in records if record[1] == "/speaks"] == [
        ["print", "/speaks", "stdout", "heard the gap"],
        ["warning", "/speaks", "shop", "mind the gap"],
        ["print", "/speaks", "stdout", "from a thread"],
    ]


def test_a_cell_that_blocks_the_loop_is_named_with_its_line(tmp_path: Path) -> None:
    """Cells are counted as the notebook shows them; a helper's own cell is told, too."""
    records = told(
        tmp_path,
        "def nap(seconds):\n    time.sleep(seconds)",
        "x = 1\n\ntime.sleep(0.6)",
        "await asyncio.sleep(0.3)\nnap(0.6)",
        "await asyncio.sleep(0.3)",
        ASK.format(path="slow"),
    )
    blocked = [record for record in records if "the loop was blocked" in record[3]]
    direct = [
        record
        for record in blocked
        if "by cell [3], line 3: time.sleep(0.6); no server on it answers meanwhile: use await" in record[3]
    ]
    nested = [record for record in blocked if "by cell [4], line 2: nap(0.6), in cell [2], line 2" in record[3]]
    handler = [record for record in blocked if "by the handler of /slow, connection" in record[3]]
    assert [len(direct), len(nested), len(handler)] == [1, 1, 1], blocked
    assert [direct[0][0], nested[0][0], handler[0][:2]] == ["warning", "warning", ["info", "/slow"]]
    assert "cell [1], line 20: time.sleep(0.4)" in handler[0][3]


def test_a_task_that_outlives_the_server_turns_the_run_red(tmp_path: Path) -> None:
    leave = (
        "async def stubborn():\n"
        "    while True:\n"
        "        try:\n"
        "            await asyncio.sleep(60)\n"
        "        except asyncio.CancelledError:\n"
        "            pass\n"
        '@server.websocket("/leaves")\n'
        "async def leaves(ws):\n"
        "    globals()['task'] = asyncio.create_task(stubborn())\n"
        "    await ws.send('done')\n"
    )
    path = write(tmp_path / "x.ipynb", SERVER, leave, ASK.format(path="leaves"), "await server.stop(0.4)")
    result = run(read(path))
    (failure,) = result.failures
    assert failure.cause is Cause.BACKGROUND
    assert "task stubborn() goes on" in failure.traceback
