"""What every panel is: a widget whose front end is a built bundle, and whose callbacks run on one thread.

A page's messages reach the kernel on any thread (the main one, or a subshell's, differently from one version of
ipykernel to the next). `keep_home` is the one place that brings them to the loop where servers live; nothing else in
this room thinks about threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from lane_kernel.errors import LaneError
from lane_kernel.net.home import Home, Repeating
from lane_kernel.server.pages import jupyter_pages

STATIC = Path(__file__).parent / "static"
"""Where the build puts the bundles."""

SILENCE = 150.0
"""A page that has said nothing for so many seconds is gone; pages say something every 20, hidden ones every 60."""


class PanelError(LaneError):
    """A panel cannot do what was asked; the message says what to do."""


@cache
def bundle(name: str) -> str:
    """Read a file of the built front end.

    Args:
        name: The file's name, such as "timeline.js".

    Raises:
        PanelError: The front end has not been built.
    """
    try:
        return (STATIC / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PanelError(
            f"The front end is not built: {name} is missing from lane_kernel/panels/static. "
            "Build it with `pip install -e .` in the checkout, or install a wheel, which carries it."
        ) from None


def home_of_caller() -> Home:
    """The loop that runs on this thread.

    Raises:
        PanelError: No loop runs here.
    """
    try:
        return Home.here()
    except RuntimeError:
        raise PanelError(
            "A panel lives on an event loop, and none runs on this thread: make it in a cell or in a coroutine."
        ) from None


def keep_home(widget: ipywidgets.Widget, home: Home) -> None:
    """Let everything that a page says to a widget be heard on its home's thread.

    Args:
        widget: The widget, its comm open.
        home: Where its callbacks run.
    """
    # ipywidgets has no public seam here; its own handler is what we call, only on the right thread.
    handle = widget._handle_msg  # noqa: SLF001
    if widget.comm is not None:
        widget.comm.on_msg(lambda message: home.call(handle, message))


class Panel(anywidget.AnyWidget):
    """A drawn panel.

    Attributes:
        home: Where its callbacks run.
        trouble: What went wrong in the kernel on the page's behalf, as the page shows it; empty when all is well.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    trouble = traitlets.Unicode().tag(sync=True)
    own_id = traitlets.Unicode().tag(sync=True)
    # Here, and not only in __init__: a widget is closed also before it is made.
    _chores: tuple[tuple[float, Callable[[], object]], ...] = ()

    def __init__(self, name: str, home: Home | None = None, **traits: Any) -> None:
        """Load the panel's bundle and open its channel to the pages.

        Args:
            name: The bundle's name.
            home: Where callbacks run; the caller's loop by default.
            traits: First values of traits.
        """
        self.home = home or home_of_caller()
        self._pages: dict[str, float] = {}
        self._repeating: list[Repeating] = []
        super().__init__(_esm=bundle(f"{name}.js"), _css=bundle(f"{name}.css"), **traits)
        # By it the page finds out whether the kernel is still there.
        self.own_id = self.model_id or ""
        keep_home(self, self.home)
        self.on_msg(self._heard)

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: Sequence[memoryview]) -> None:
        self._note_page(str(content.get("page", "")), str(content.get("type", "")))
        jupyter_pages.tell(str(content.get("origin", "")))
        try:
            self.heard(content)
        except LaneError as error:
            self.trouble = str(error)
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"
            raise
        else:
            self.trouble = ""

    def _note_page(self, page: str, kind: str) -> None:
        if kind == "bye":
            self._pages.pop(page, None)
        else:
            self._pages[page] = time.monotonic()
            self.wake()

    def while_watched(self, seconds: float, function: Callable[[], object]) -> None:
        """Call a function again and again while a page shows the panel; nothing is left running where none does.

        Args:
            seconds: The pause between two calls.
            function: What to call.
        """
        self._chores = (*self._chores, (seconds, function))

    def wake(self) -> None:
        """A page shows the panel: begin what is done while one does."""
        if not self._repeating:
            self._repeating = [self.home.every(seconds, partial(self._do, chore)) for seconds, chore in self._chores]

    def _do(self, chore: Callable[[], object]) -> None:
        if self.is_watched:
            chore()
        else:
            self._rest()

    def _rest(self) -> None:
        for repeating in self._repeating:
            repeating.stop()
        self._repeating = []

    def close(self) -> None:
        """Leave nothing running and close the panel's pages."""
        if self._chores:
            self._rest()
            self._chores = ()
        super().close()

    @property
    def is_watched(self) -> bool:
        """Whether a page shows it; one that went without a word is forgotten after a while."""
        if self._pages:
            oldest = time.monotonic() - SILENCE
            self._pages = {page: heard for page, heard in self._pages.items() if heard > oldest}
        return bool(self._pages)

    def heard(self, content: dict[str, Any]) -> None:
        """Act on a page's message, on the home's thread.

        Args:
            content: The message; its "type" says what it is.
        """
