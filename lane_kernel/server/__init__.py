"""Hyperlane's model: routes and hooks, attributes, a stream you send raw bytes to, frames you make yourself.

`server` is the object a person holds; `pipeline` serves one connection's requests; `routes`, `hooks`, `attributes`,
`context` and `stream` are Hyperlane's words; `sessions` is the Python form over the same pipeline; `define` makes
handlers from source text; `in_thread` runs a server for cells that block; `log` is where they are watched.
"""

from __future__ import annotations

from lane_kernel.server.attributes import is_ws_upgrade_type, try_get_websocket_request
from lane_kernel.server.context import Context, Request, Response
from lane_kernel.server.define import HandlerError
from lane_kernel.server.hooks import ServerHook, Status
from lane_kernel.server.in_thread import InThread, ThreadError, in_thread
from lane_kernel.server.log import HandlersLog, LogRecord
from lane_kernel.server.routes import Route, RouteError, RouteKind
from lane_kernel.server.server import Server, servers
from lane_kernel.server.sessions import Events, WebSocket
from lane_kernel.server.stream import Stream, WebSocketFrame

__all__ = [
    "Context",
    "Events",
    "HandlerError",
    "HandlersLog",
    "InThread",
    "LogRecord",
    "Request",
    "Response",
    "Route",
    "RouteError",
    "RouteKind",
    "Server",
    "ServerHook",
    "Status",
    "Stream",
    "ThreadError",
    "WebSocket",
    "WebSocketFrame",
    "in_thread",
    "is_ws_upgrade_type",
    "servers",
    "try_get_websocket_request",
]
