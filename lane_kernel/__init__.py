"""A WebSocket and SSE server that lives in the notebook's own event loop, and shows every byte that crosses it.

    import lane_kernel as lane

    server = lane.Server()

    @server.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    await server.start()
    lane.Playground(server)

How the bytes flow, and which package each step is::

    socket ─► net ─► server / client ─► the person's handler
               │ every chunk as it was read or written
               ▼
            capture    append-only, bounded; understands nothing
               ▼
            timeline   entries, fields and findings, made by the decoders of `wire` when someone asks
               ▼
            panels (ipywidgets, anywidget) and runner (nbclient) read the same timeline

Lowest first: `errors`, `sides` | `wire`, `capture` | `timeline` | `net` | `client`, `server` | `panels` | `course` |
`runner` | `cli`. A package imports only what stands to its left. `wire` is sans-I/O; `net` alone knows Tornado's
private corners.

Importing this package imports none of them: each public name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lane_kernel.capture import Store as Store
    from lane_kernel.capture import kernel_store as capture
    from lane_kernel.client import ClientWebSocket as ClientWebSocket
    from lane_kernel.client import EventSource as EventSource
    from lane_kernel.client import EventSourceError as EventSourceError
    from lane_kernel.client import connect as connect
    from lane_kernel.course import check as check
    from lane_kernel.errors import LaneError as LaneError
    from lane_kernel.errors import NotRunningError as NotRunningError
    from lane_kernel.net.config import Config as Config
    from lane_kernel.net.config import ConfigError as ConfigError
    from lane_kernel.net.dial import DialError as DialError
    from lane_kernel.net.faults import Faults as Faults
    from lane_kernel.net.faults import FaultsError as FaultsError
    from lane_kernel.net.heads import ResponseError as ResponseError
    from lane_kernel.net.listener import ListenError as ListenError
    from lane_kernel.net.session import ConnectionClosedError as ConnectionClosedError
    from lane_kernel.net.stream import ConnectionLostError as ConnectionLostError
    from lane_kernel.panels import Composer as Composer
    from lane_kernel.panels import EventLog as EventLog
    from lane_kernel.panels import HandlersPanel as HandlersPanel
    from lane_kernel.panels import Inspector as Inspector
    from lane_kernel.panels import Playground as Playground
    from lane_kernel.panels import TimelinePanel as TimelinePanel
    from lane_kernel.server import Context as Context
    from lane_kernel.server import Events as Events
    from lane_kernel.server import HandlerError as HandlerError
    from lane_kernel.server import HookError as HookError
    from lane_kernel.server import HookKind as HookKind
    from lane_kernel.server import PanicData as PanicData
    from lane_kernel.server import Request as Request
    from lane_kernel.server import RequestErrorData as RequestErrorData
    from lane_kernel.server import Response as Response
    from lane_kernel.server import RouteError as RouteError
    from lane_kernel.server import Server as Server
    from lane_kernel.server import ServerControl as ServerControl
    from lane_kernel.server import ServerHook as ServerHook
    from lane_kernel.server import Status as Status
    from lane_kernel.server import Stream as Stream
    from lane_kernel.server import Upgrade as Upgrade
    from lane_kernel.server import WebSocket as WebSocket
    from lane_kernel.server import WebSocketFrame as WebSocketFrame
    from lane_kernel.server import is_ws_upgrade_type as is_ws_upgrade_type
    from lane_kernel.server import try_get_websocket_request as try_get_websocket_request
    from lane_kernel.server.context import CONTENT_TYPE as CONTENT_TYPE
    from lane_kernel.server.context import HTTP_DOUBLE_BR as HTTP_DOUBLE_BR
    from lane_kernel.server.context import TEXT_EVENT_STREAM as TEXT_EVENT_STREAM
    from lane_kernel.sides import Direction as Direction
    from lane_kernel.sides import Side as Side
    from lane_kernel.timeline import EntryKind as EntryKind
    from lane_kernel.timeline import Timeline as Timeline
    from lane_kernel.timeline import dissect as dissect
    from lane_kernel.wire.deflate import DeflateParameters as DeflateParameters
    from lane_kernel.wire.frames import CloseCode as CloseCode
    from lane_kernel.wire.frames import Frame as Frame
    from lane_kernel.wire.frames import Opcode as Opcode
    from lane_kernel.wire.handshake import HandshakeError as HandshakeError
    from lane_kernel.wire.policy import Policy as Policy
    from lane_kernel.wire.rules import ProtocolError as ProtocolError

__version__ = "0.1.0"

_HOMES = {
    "CONTENT_TYPE": "server.context",
    "ClientWebSocket": "client",
    "CloseCode": "wire.frames",
    "Composer": "panels",
    "Config": "net.config",
    "ConfigError": "net.config",
    "ConnectionClosedError": "net.session",
    "ConnectionLostError": "net.stream",
    "Context": "server",
    "DeflateParameters": "wire.deflate",
    "DialError": "net.dial",
    "Direction": "sides",
    "EntryKind": "timeline",
    "EventLog": "panels",
    "EventSource": "client",
    "EventSourceError": "client",
    "Events": "server",
    "Faults": "net.faults",
    "FaultsError": "net.faults",
    "Frame": "wire.frames",
    "HTTP_DOUBLE_BR": "server.context",
    "HandlerError": "server",
    "HandlersPanel": "panels",
    "HandshakeError": "wire.handshake",
    "HookError": "server",
    "HookKind": "server",
    "Inspector": "panels",
    "LaneError": "errors",
    "ListenError": "net.listener",
    "NotRunningError": "errors",
    "Opcode": "wire.frames",
    "PanicData": "server",
    "Playground": "panels",
    "Policy": "wire.policy",
    "ProtocolError": "wire.rules",
    "Request": "server",
    "RequestErrorData": "server",
    "Response": "server",
    "ResponseError": "net.heads",
    "RouteError": "server",
    "Server": "server",
    "ServerControl": "server",
    "ServerHook": "server",
    "Side": "sides",
    "Status": "server",
    "Store": "capture",
    "Stream": "server",
    "TEXT_EVENT_STREAM": "server.context",
    "Timeline": "timeline",
    "TimelinePanel": "panels",
    "Upgrade": "server",
    "WebSocket": "server",
    "WebSocketFrame": "server",
    "check": "course",
    "connect": "client",
    "dissect": "timeline",
    "is_ws_upgrade_type": "server",
    "try_get_websocket_request": "server",
}
"""Where each public name lives; `capture` is the package of that name, which can be called."""

__all__ = ["__version__", "capture", *_HOMES]  # noqa: PLE0604 - every key is a str


def __getattr__(name: str) -> Any:
    if name == "capture":
        return importlib.import_module("lane_kernel.capture")
    if name not in _HOMES:
        raise AttributeError(f"module 'lane_kernel' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"lane_kernel.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
