"""The streams and `logging`, as they are while a server runs and afterwards."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from typing import Any

import pytest

from lane_kernel.capture import Store
from lane_kernel.client import connect
from lane_kernel.server import Server
from lane_kernel.server.listening import _Stream
from tests.server.raw import until


async def prints(server: Server, *texts: str) -> None:
    """Let a handler print."""

    @server.websocket("/prints")
    async def handler(ws):
        for text in texts:
            print(text)

    async with connect(server.url("/prints")):
        await until(lambda: not any(route.open for route in server.routes) and server.routes[-1].hits)


def texts(server: Server) -> list[str]:
    return [record.text for record in server.log.records if record.level == "print"]


async def test_all_is_as_it_was_after_the_last_stop() -> None:
    before = (sys.stdout, sys.stderr, logging.getLogRecordFactory(), list(logging.getLogger().handlers))
    async with Server("one", store=Store()):
        async with Server("two", store=Store()):
            assert type(sys.stdout) is type(sys.stderr) is _Stream
        assert type(sys.stdout) is _Stream
    assert (sys.stdout, sys.stderr, logging.getLogRecordFactory(), list(logging.getLogger().handlers)) == before


async def test_a_stream_that_someone_replaced_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listened to from the next handler on, and left in its place."""
    theirs = io.StringIO()
    async with Server("replaced", store=Store()) as server:
        ours = sys.stdout
        monkeypatch.setattr(sys, "stdout", theirs)
        await prints(server, "hello")
        assert texts(server) == ["hello"]
    assert sys.stdout is theirs
    assert theirs.getvalue() == "hello\n"
    monkeypatch.undo()
    assert id(sys.stdout) == id(ours), "they had put it there"
    print("passed on")
    async with Server("again", store=Store()):
        assert sys.stdout is ours
    assert type(sys.stdout) is not type(ours)


async def test_a_write_that_ipython_wraps_while_a_cell_runs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, teed = io.StringIO(), []
    monkeypatch.setattr(sys, "stdout", inner)
    async with Server("teed", store=Store()) as teed_server:
        ours: Any = sys.stdout
        write = ours.write

        def tee(text: str) -> Any:
            teed.append(text)
            return write(text)

        ours.write = tee
        await prints(teed_server, "in the cell")
        ours.write = write
        await prints(teed_server, "after it")
        assert texts(teed_server) == ["in the cell", "after it"]
    assert teed == ["in the cell", "\n"]
    assert inner.getvalue() == "in the cell\nafter it\n"
    assert vars(inner) == {}


async def test_a_stream_around_ours_is_heard_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As colorama's, or a tee of a person's own."""

    class Tee:
        def __init__(self, stream) -> None:
            self.stream = stream

        def write(self, text: str) -> int:
            return int(self.stream.write(text))

        def flush(self) -> None:
            self.stream.flush()

    async with Server("around", store=Store()) as server:
        tee = Tee(sys.stdout)
        monkeypatch.setattr(sys, "stdout", tee)
        await prints(server, "once")
        assert texts(server) == ["once"]
    assert sys.stdout is tee


async def test_what_a_handler_sends_elsewhere_goes_there(server: Server) -> None:
    caught = io.StringIO()

    @server.websocket("/caught")
    async def handler(ws):
        with contextlib.redirect_stdout(caught):
            print("not for the log")

    async with connect(server.url("/caught")):
        await until(lambda: not server.routes[0].open and server.routes[0].hits)
    assert caught.getvalue() == "not for the log\n"
    assert texts(server) == []


async def test_the_stream_is_else_the_one_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = io.StringIO()
    monkeypatch.setattr(sys, "stdout", inner)
    async with Server("else", store=Store()):
        ours: Any = sys.stdout
        assert ours is not inner
        assert (ours.encoding, ours.isatty(), ours.getvalue()) == (inner.encoding, False, "")
        ours.writelines(["a", "b\n"])
        print("c", flush=True)
        is_one: bool = isinstance(ours, io.StringIO)
        assert is_one
        assert not hasattr(ours, "parent_header")
        ours.parent_header = "as ipykernel sets it"
        with pytest.raises(AttributeError):
            _ = ours.no_such_thing
    assert (inner.getvalue(), vars(inner)) == ("ab\nc\n", {"parent_header": "as ipykernel sets it"})


@pytest.mark.parametrize("is_configured", [False, True])
async def test_a_logged_line_is_one_record_and_is_written_where_it_was(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_configured: bool
) -> None:
    """Also where no handler is set up, and logging writes warnings to stderr; basicConfig goes on to work."""

    @server.websocket("/logs")
    async def handler(ws):
        logging.getLogger("shop").warning("mind the gap")

    root = logging.getLogger()
    # As a kernel has it; pytest has handlers of its own.
    monkeypatch.setattr(root, "handlers", [])
    if is_configured:
        logging.basicConfig(format="%(name)s says %(message)s")
        assert len(root.handlers) == 1
    async with connect(server.url("/logs")):
        await until(lambda: not server.routes[0].open and server.routes[0].hits)
    assert [(record.source, record.level, record.text) for record in server.log.records] == [
        ("shop", "warning", "mind the gap")
    ]
    assert capsys.readouterr().err == ("shop says mind the gap\n" if is_configured else "mind the gap\n")


async def test_a_record_factory_that_someone_set_meanwhile_stays(server: Server) -> None:
    before = logging.getLogRecordFactory()
    made: list[str] = []

    def theirs(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = before(*arguments, **named)
        made.append(record.msg)
        return record

    logging.setLogRecordFactory(theirs)
    try:
        await server.stop()
        assert logging.getLogRecordFactory() is theirs
        await server.start()

        @server.websocket("/logs")
        async def handler(ws):
            logging.getLogger("shop").error("%d %d", 1)  # noqa: PLE1206 - that is what is tested
            logging.getLogger("shop").error("heard once")

        with contextlib.redirect_stderr(io.StringIO()):
            logging.raiseExceptions = False
            async with connect(server.url("/logs")):
                await until(lambda: not server.routes[0].open and server.routes[0].hits)
    finally:
        logging.raiseExceptions = True
        await server.stop()
        assert logging.getLogRecordFactory() is theirs
        logging.setLogRecordFactory(logging.LogRecord)
    assert [record.text for record in server.log.records if record.source == "shop"] == [
        "%d %d (its arguments do not fit: not enough arguments for format string)",
        "heard once",
    ]
