"""Hyperlane's model: routes and hooks, attributes, a stream you send raw bytes to, frames you make yourself.

`server` is the object a person holds; `pipeline` serves one connection's requests; `routes`, `hooks`, `attributes`,
`context` and `stream` are Hyperlane's words; `sessions` is the Python form over the same pipeline; `define` makes
handlers from source text; `log` is where they are watched.
"""

from __future__ import annotations

from lane_kernel.server.attributes import is_ws_upgrade_type, try_get_websocket_request
from lane_kernel.server.context import Context, PanicData, Request, RequestErrorData, Response
from lane_kernel.server.control import ServerControl
from lane_kernel.server.define import HandlerError
from lane_kernel.server.hooks import Hook, HookError, HookKind, ServerHook, Status
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
    "Upgrade",
    "WebSocket",
    "WebSocketFrame",
    "is_ws_upgrade_type",
    "servers",
    "try_get_websocket_request",
]
