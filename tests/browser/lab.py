"""A real JupyterLab and a real Chromium, as a person has them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, Page, Route, sync_playwright

START_TIMEOUT = 60.0
_OPTIONS = (
    "--no-browser",
    "--ip=127.0.0.1",
    "--allow-root",
    "--ServerApp.port_retries=0",
    "--IdentityProvider.token=",
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)
_CHROMIUM = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
_EXECUTE = """async (code) => {
    const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
    const future = kernel.requestExecute({ code, store_history: false });
    let text = "";
    future.onIOPub = (message) => {
        if (message.header.msg_type === "stream") text += message.content.text;
    };
    const { content } = await future.done;
    return { text, status: content.status, error: (content.traceback ?? []).join("\\n") };
}"""


class Lab:
    """A running JupyterLab over a folder of notebooks, and the browser that visits it."""

    def __init__(self, browser: Browser, address: str, folder: Path) -> None:
        self.browser = browser
        self.address = address
        self.folder = folder
        self._count = 0

    @contextlib.contextmanager
    def notebook(
        self, *cells: str, width: int = 1500, height: int = 1200, theme: str = "JupyterLab Light"
    ) -> Iterator[Notebook]:
        """Open a notebook of these cells in a page of its own and run them all."""
        self._count += 1
        name = f"test{self._count}.ipynb"
        document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        document.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(document, self.folder / name)
        context = self.browser.new_context(viewport={"width": width, "height": height})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.route("**/*", self._stay_here)
        page = context.new_page()
        try:
            notebook = Notebook(page, f"{self.address}/lab/workspaces/w{self._count}/tree/{name}?reset")
            notebook.open(theme)
            notebook.run_all()
            yield notebook
            notebook.shut_down()
        finally:
            context.close()

    @staticmethod
    def _stay_here(route: Route) -> None:
        if route.request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            route.continue_()
        else:
            route.abort()


class Notebook:
    """An open notebook in its page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self._console(message.type, message.text))

    def _console(self, kind: str, text: str) -> None:
        if kind == "error":
            self.problems.append(text)

    def open(self, theme: str) -> None:
        """Load the page and wait for the kernel."""
        self.page.goto(self.url)
        self.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext !== undefined")
        self.page.evaluate("() => window.jupyterapp.restored")
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.ready")
        self.page.evaluate("(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
        self.page.wait_for_function(
            "(light) => document.body.dataset.jpThemeLight === light", arg=str("Dark" not in theme).lower()
        )
        self.page.evaluate(
            """() => { if (!window.jupyterapp.shell.leftCollapsed) window.jupyterapp.shell.collapseLeft(); }"""
        )

    def run_all(self) -> None:
        """Run every cell."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def add_cell(self, source: str) -> None:
        """Write a cell under the others and run it."""
        self.page.evaluate(
            """async (source) => {
                const { shell, commands } = window.jupyterapp;
                const { content } = shell.currentWidget;
                content.activeCellIndex = content.widgets.length - 1;
                await commands.execute("notebook:insert-cell-below");
                content.activeCell.model.sharedModel.setSource(source);
                await commands.execute("notebook:run-cell");
            }""",
            source,
        )

    def on_cell(self, index: int, command: str) -> None:
        """Run a command of JupyterLab on one cell, such as notebook:run-cell."""
        self.page.evaluate(
            """([index, command]) => {
                window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
                return window.jupyterapp.commands.execute(command);
            }""",
            [index, command],
        )

    def execute(self, code: str) -> str:
        """Run code in the kernel beside the cells, and answer what it printed."""
        done = self.page.evaluate(_EXECUTE, code)
        assert done["status"] == "ok", done["error"]
        return str(done["text"])

    def value(self, expression: str) -> Any:
        """The value of an expression in the kernel, by way of JSON."""
        return json.loads(self.execute(f"import json\nprint(json.dumps({expression}))"))

    def shut_down(self) -> None:
        """End the kernel, so that the next test has the machine for itself."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")


@contextlib.contextmanager
def running_lab(chromium: str, folder: Path) -> Iterator[Lab]:
    """Start JupyterLab with settings of its own, and a browser."""
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONUNBUFFERED": "1",
    }
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    command = [sys.executable, "-m", "jupyterlab", *_OPTIONS, f"--port={port}", f"--ServerApp.root_dir={notebooks}"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _wait_for(process, "is running at:")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=list(_CHROMIUM))
                yield Lab(browser, f"http://127.0.0.1:{port}", notebooks)
                browser.close()
        finally:
            process.terminate()


def _wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Wait for a line of the server's log; what follows it is read and dropped."""
    assert process.stderr is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    stream = process.stderr

    def read() -> None:
        with contextlib.suppress(ValueError):  # the stream is closed when the server has ended
            for line in stream:
                lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    seen: list[str] = []
    while line := lines.get(timeout=START_TIMEOUT):
        seen.append(line)
        if words in line:
            return
    raise AssertionError("JupyterLab did not start:\n" + "".join(seen))
