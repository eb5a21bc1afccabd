"""The composer panel: a frame, right or wrong, drawn before it is sent, to a server or as one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from html import escape
from typing import Any

import ipywidgets

from lane_kernel.client import ClientWebSocket, connect
from lane_kernel.errors import LaneError
from lane_kernel.net.session import WebSocketSession
from lane_kernel.panels.base import PanelError, home_of_caller, keep_home
from lane_kernel.panels.inspector import Inspector
from lane_kernel.server import RouteKind, Server
from lane_kernel.wire.frames import Frame, FrameError, Opcode
from lane_kernel.wire.handshake import HandshakeError

_POLL = 0.25
_MASKS = (("random key", "random"), ("fixed key", "fixed"), ("not masked", "none"))
_OPCODES = [(f"{number:#03x} {Opcode(number).name.lower()}", number) for number in Opcode]
_RESERVED = [(f"{number:#03x} reserved", number) for number in range(16) if number not in set(Opcode)]
_NO_TARGET = "no WebSocket route yet"


class Composer(ipywidgets.VBox):
    """A form for one frame: whom to send it to, every bit of its header, and its payload.

    Its parts are ipywidgets, so a cell sets them as a person does: `composer.payload.value = "hi"`, then
    `await composer.send()`.

    Attributes:
        server: Whom it talks to.
        target: Which end sends: a client of a route, or the server on an open connection.
        path: The path that the client connects to.
        opcode: The opcode.
        fin: The FIN bit.
        rsv: The bits RSV1, RSV2 and RSV3.
        mask: How it is masked: "random", "fixed" or "none".
        key: The masking-key in hexadecimal, for "fixed".
        payload_form: Whether `payload` is "text" or "hex".
        payload: The payload.
        preview: The frame's bytes and fields before it is sent.
        said: What became of the last press of a button.
    """

    _is_made = False

    def __init__(self, server: Server) -> None:
        """Talk to a server.

        Args:
            server: Whom to talk to.
        """
        self.server = server
        self.home = home_of_caller()
        self._clients: dict[str, ClientWebSocket] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._revision: object = None
        self._is_refreshing = False
        narrow = ipywidgets.Layout(width="auto", max_width="420px")
        self.target = ipywidgets.Dropdown(description="send as", layout=narrow)
        self.path = ipywidgets.Text(description="path", layout=narrow)
        short = ipywidgets.Layout(width="96px")
        self.connect_button = ipywidgets.Button(
            description="Connect", tooltip="Open a connection to the path", layout=short
        )
        self.close_button = ipywidgets.Button(
            description="Close", tooltip="Close that connection with 1000", layout=short
        )
        self.opcode = ipywidgets.Dropdown(
            description="opcode", options=_OPCODES + _RESERVED, value=int(Opcode.TEXT), layout=narrow
        )
        self.fin = _bit("FIN", on=True)
        self.rsv = tuple(_bit(f"RSV{number}") for number in (1, 2, 3))
        self.mask = ipywidgets.Dropdown(description="mask", options=_MASKS, layout=narrow)
        self.key = ipywidgets.Text("37fa213d", description="key (hex)", layout=narrow)
        self.payload_form = ipywidgets.ToggleButtons(options=["text", "hex"])
        self.payload_form.style.button_width = "64px"
        self.payload = ipywidgets.Textarea(
            "Hello", layout=ipywidgets.Layout(width="auto", height="64px"), continuous_update=True
        )
        self.send_button = ipywidgets.Button(description="Send", button_style="primary", layout=short)
        self.said = ipywidgets.HTML()
        self.preview = Inspector(home=self.home, hint="Nothing to send yet.")
        self._random_key = os.urandom(4)
        row = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        bits = ipywidgets.HBox([_label("bits"), self.fin, *self.rsv], layout=row)
        bits.add_class("lane-bits-row")
        forms = ipywidgets.HBox([_label("payload"), self.payload_form], layout=row)
        super().__init__(
            [
                ipywidgets.HBox([self.target, self.path, self.connect_button, self.close_button], layout=row),
                self.opcode,
                bits,
                ipywidgets.HBox([self.mask, self.key], layout=row),
                forms,
                self.payload,
                ipywidgets.HBox([self.send_button, self.said], layout=row),
                self.preview,
            ]
        )
        self.add_class("lane-composer")
        self._listen()
        self.refresh()
        self._draw()
        self._is_made = True
        self.preview.while_watched(_POLL, self._poll)

    def frame(self) -> Frame:
        """The frame that Send would send.

        Raises:
            PanelError: The payload or the key is not what it claims to be.
        """
        data = (
            _unhex(self.payload.value, "payload") if self.payload_form.value == "hex" else self.payload.value.encode()
        )
        key = {"random": self._random_key, "none": None}.get(self.mask.value, b"")
        if key == b"":
            key = _unhex(self.key.value, "masking-key")
            if len(key) != 4:
                raise PanelError(f"a masking-key has 4 bytes, this one has {len(key)}: write 8 hexadecimal digits")
        return Frame(
            self.opcode.value,
            data,
            fin=self.fin.value,
            rsv1=self.rsv[0].value,
            rsv2=self.rsv[1].value,
            rsv3=self.rsv[2].value,
            masking_key=key,
        )

    async def connect(self) -> ClientWebSocket:
        """Open a client's connection to the path, or answer the one that is open.

        Raises:
            PanelError: The server does not run, or the target is no client.
            LaneError: The connection cannot be made.
        """
        if not self._is_client:
            raise PanelError("the chosen target is the server's end, which only a client can open: choose a client")
        if not self.server.running:
            raise PanelError("the server is not running: run `await server.start()` in a cell first")
        path = self.path.value.strip()
        client = self._clients.get(path)
        if client is not None and client.is_open:
            return client
        if not path.startswith("/"):
            raise PanelError(f"a path begins with a slash: write /{path}")
        if "{" in path:
            raise PanelError(f"{path} has a name in braces: put a value in its place")
        client = await self._connect(path)
        self._clients[path] = client
        reader = self.home.loop.create_task(self._read(client))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        self.refresh()
        return client

    async def _connect(self, path: str) -> ClientWebSocket:
        try:
            return await connect(self.server.url(path), store=self.server.capture)
        except HandshakeError as error:
            found = self.server.find(path.partition("?")[0])
            if found is None or found[0].kind is RouteKind.WEBSOCKET:
                raise
            raise PanelError(f"{found[0].pattern} speaks no WebSocket: choose a route of kind ws ({error})") from error

    async def send(self) -> Frame:
        """Send the frame, connecting first where that is needed.

        Returns:
            What was sent.

        Raises:
            PanelError: The form cannot be sent as it stands.
            LaneError: The connection cannot be made, or is gone.
        """
        frame = self.frame()
        session: WebSocketSession = await self.connect() if self._is_client else self._server_end()
        await session.send_frame(frame)
        self._random_key = os.urandom(4)
        self._draw()
        return frame

    async def disconnect(self) -> None:
        """Close the chosen connection with 1000."""
        if self._is_client:
            client = self._clients.pop(self.path.value.strip(), None)
            if client is None:
                raise PanelError(f"no connection to {self.path.value} is open here")
            await client.close()
        else:
            await self._server_end().close()
        self.refresh()

    def close(self) -> None:
        """Close the form, its connections and its pages."""
        if self._is_made:
            for client in self._clients.values():
                self.home.start(client.close())
            self._clients = {}
            for widget in (*self._controls(), *self.children):
                widget.close()
        super().close()

    @property
    def _is_client(self) -> bool:
        return not str(self.target.value or "").startswith("server:")

    def _server_end(self) -> WebSocketSession:
        number = int(str(self.target.value).partition(":")[2])
        for session in self.server.websockets:
            if session.connection.number == number:
                return session
        raise PanelError(f"connection {number} is closed: choose another")

    def _controls(self) -> tuple[ipywidgets.Widget, ...]:
        form = (
            self.target,
            self.path,
            self.opcode,
            self.fin,
            *self.rsv,
            self.mask,
            self.key,
            self.payload_form,
            self.payload,
        )
        return (*form, self.connect_button, self.close_button, self.send_button)

    def _listen(self) -> None:
        for widget in self._controls():
            keep_home(widget, self.home)
        for widget in (self.opcode, self.fin, *self.rsv, self.mask, self.key, self.payload_form, self.payload):
            widget.observe(lambda _: self._draw(), "value")
        self.target.observe(lambda _: self._chose(), "value")
        self.path.observe(lambda _: self._enable(), "value")
        self.send_button.on_click(lambda _: self._press(self.send(), "sending…"))
        self.connect_button.on_click(lambda _: self._press(self.connect(), "connecting…"))
        self.close_button.on_click(lambda _: self._press(self.disconnect(), "closing…"))

    def _press(self, action: Coroutine[Any, Any, object], doing: str) -> None:
        self._say(doing)
        self.home.start(self._finish(action))

    async def _finish(self, action: Coroutine[Any, Any, object]) -> None:
        try:
            done = await action
        except (LaneError, OSError) as error:
            self._say(str(error), bad=True)
        except Exception as error:
            self._say(f"{type(error).__name__}: {error}", bad=True)
            raise
        else:
            self._say(_outcome(done))

    def _say(self, text: str, *, bad: bool = False) -> None:
        self.said.value = (
            f'<span class="{"lane-bad" if bad else "lane-counter"}">{"✖ " if bad else ""}{escape(text)}</span>'
        )

    async def _read(self, client: ClientWebSocket) -> None:
        """Take what the server answers, which the timeline shows, so that the client's queue stays empty."""
        async for _ in client:
            pass
        self.refresh()

    def _poll(self) -> None:
        if self.server.revision != self._revision:
            self.refresh()

    def refresh(self) -> None:
        """Offer the routes and connections that there are now; a form that a page shows does so by itself."""
        self._revision = self.server.revision
        routes = [route.pattern for route in self.server.routes if route.kind is RouteKind.WEBSOCKET]
        options = [(f"client of {pattern}", f"client:{pattern}") for pattern in routes]
        for session in self.server.websockets:
            number = session.connection.number
            options.append((f"server, on connection {number}", f"server:{number}"))
        options = options or [(_NO_TARGET, "")]
        if tuple(options) != tuple(self.target.options):
            self._offer_targets(options)
        self._enable()

    def _offer_targets(self, options: list[tuple[str, str]]) -> None:
        """Change what may be chosen; a choice that is still there stays, and with it what was typed."""
        chosen, values = self.target.value, [value for _, value in options]
        self._is_refreshing = True
        try:
            self.target.options = options
            self.target.value = chosen if chosen in values else values[0]
        finally:
            self._is_refreshing = False
        if self.target.value != chosen:
            self._chose()

    def _chose(self) -> None:
        if self._is_refreshing:
            return
        value = str(self.target.value or "")
        if value.startswith("client:"):
            self.path.value = value.partition(":")[2]
            if self.mask.value == "none":
                self.mask.value = "random"
        elif value:
            # What a client must do, a server must not (RFC 6455 §5.1); a person may still choose otherwise.
            self.mask.value = "none"
        self._enable()

    def _enable(self) -> None:
        client = self._clients.get(self.path.value.strip())
        is_open = client is not None and client.is_open
        self.path.disabled = not self._is_client
        self.connect_button.disabled = not self._is_client or is_open
        self.close_button.disabled = self._is_client and not is_open
        self.key.disabled = self.mask.value != "fixed"

    def _draw(self) -> None:
        self._enable()
        try:
            encoded = self.frame().encode()
        except (PanelError, FrameError) as error:
            self.preview.show(None)
            self.preview.trouble = str(error)
        else:
            self.preview.trouble = ""
            self.preview.show(encoded)


def _label(text: str) -> ipywidgets.Label:
    """A label as wide as the descriptions of the fields above and below it."""
    return ipywidgets.Label(text, layout=ipywidgets.Layout(width="80px", justify_content="flex-end"))


def _bit(name: str, *, on: bool = False) -> ipywidgets.Checkbox:
    return ipywidgets.Checkbox(on, description=name, indent=False, layout=ipywidgets.Layout(width="72px"))


def _unhex(text: str, what: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise PanelError(
            f"the {what} is not hexadecimal: {error}. Write pairs of 0-9 and a-f, such as 48 65 6c"
        ) from error


def _outcome(done: object) -> str:
    if isinstance(done, Frame):
        return f"sent {len(done.encode())} bytes"
    return f"connected as connection {done.connection.number}" if isinstance(done, ClientWebSocket) else "closed"
