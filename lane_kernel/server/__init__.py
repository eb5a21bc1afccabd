"""Hyperlane's model: routes and hooks, attributes, a stream you send raw bytes to, frames you make yourself.

`server` is the object a person holds; `pipeline` serves one connection's requests; `routes`, `hooks`, `attributes`,
`context` and `stream` are Hyperlane's words; `sessions` is the Python form over the same pipeline; `groups` is
WebSockets that reach each other; `define` makes handlers from source text; `in_thread` runs a server for cells that
block; `log` is where they are watched.
"""

from __future__ import annotations

from lane_kernel.server.attributes import is_ws_upgrade_type, try_get_websocket_request
from lane_kernel.server.context import Context, PanicData, Request, RequestErrorData, Response
from lane_kernel.server.control import ServerControl
from lane_kernel.server.define import HandlerError
from lane_kernel.server.hooks import Hook, HookError, HookKind, ServerHook, Status
from lane_kernel.server.in_thread import InThread, ThreadError, in_thread
from lane_kernel.server.log import HandlersLog, LogRecord
from lane_kernel.server.patterns import RouteError
from lane_kernel.server.routes import Route, RouteKind
from lane_kernel.server.server import Server, servers
from lane_kernel.server.sessions import Events, WebSocket
from lane_kernel.server.stream import Stream, WebSocketFrame
from lane_kernel.server.upgrade import Upgrade

__all__ = [
    "Context",
    "Events",
    "HandlerError",
    "HandlersLog",
    "Hook",
    "HookError",
    "HookKind",
    "InThread",
    "LogRecord",
    "PanicData",
    "Request",
    "RequestErrorData",
    "Response",
    "Route",
    "RouteError",
    "RouteKind",
    "Server",
    "ServerControl",
    "ServerHook",
    "Status",
    "Stream",
    "ThreadError",
    "Upgrade",
    "WebSocket",
    "WebSocketFrame",
    "in_thread",
    "is_ws_upgrade_type",
    "servers",
    "try_get_websocket_request",
]
