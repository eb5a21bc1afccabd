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

Lowest first: `errors`, `sides` | `wire`, `capture` | `timeline` | `net` | `broadcast` | `client`, `server` | `panels` |
`course` | `runner` | `cli`. A package imports only what stands to its left. `wire` is sans-I/O; `net` alone knows
Tornado's private corners.

Importing this package imports none of them: each public name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lane_kernel.broadcast import Broadcast as Broadcast
    from lane_kernel.broadcast import BroadcastError as BroadcastError
    from lane_kernel.broadcast import BroadcastMap as BroadcastMap
    from lane_kernel.broadcast import BroadcastMessage as BroadcastMessage
    from lane_kernel.broadcast import FellBehindError as FellBehindError
    from lane_kernel.broadcast import Gap as Gap
    from lane_kernel.broadcast import Overflow as Overflow
    from lane_kernel.broadcast import RedisBroadcastMap as RedisBroadcastMap
    from lane_kernel.broadcast import Subscription as Subscription
    from lane_kernel.broadcast import SubscriptionEndedError as SubscriptionEndedError
    from lane_kernel.capture import Store as Store
    from lane_kernel.capture import kernel_store as capture
    from lane_kernel.client import ClientWebSocket as ClientWebSocket
    from lane_kernel.client import EventSource as EventSource
    from lane_kernel.client import EventSourceError as EventSourceError
    from lane_kernel.client import RawConnection as RawConnection
    from lane_kernel.client import ReadyState as ReadyState
    from lane_kernel.client import ReceiveError as ReceiveError
    from lane_kernel.client import Reconnection as Reconnection
    from lane_kernel.client import connect as connect
    from lane_kernel.client import connect_raw as connect_raw
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
    from lane_kernel.server import InThread as InThread
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
    from lane_kernel.server import ThreadError as ThreadError
    from lane_kernel.server import Upgrade as Upgrade
    from lane_kernel.server import WebSocket as WebSocket
    from lane_kernel.server import WebSocketFrame as WebSocketFrame
    from lane_kernel.server import in_thread as in_thread
    from lane_kernel.server.attributes import AttributeUseError as AttributeUseError
    from lane_kernel.server.attributes import ExtractionError as ExtractionError
    from lane_kernel.server.attributes import attribute as attribute
    from lane_kernel.server.attributes import attributes as attributes
    from lane_kernel.server.attributes import clear_response_headers as clear_response_headers
    from lane_kernel.server.attributes import closed as closed
    from lane_kernel.server.attributes import epilogue_hooks as epilogue_hooks
    from lane_kernel.server.attributes import epilogue_macros as epilogue_macros
    from lane_kernel.server.attributes import filter as filter
    from lane_kernel.server.attributes import flush as flush
    from lane_kernel.server.attributes import host as host
    from lane_kernel.server.attributes import is_connect_method as is_connect_method
    from lane_kernel.server.attributes import is_delete_method as is_delete_method
    from lane_kernel.server.attributes import is_get_method as is_get_method
    from lane_kernel.server.attributes import is_h2c_upgrade_type as is_h2c_upgrade_type
    from lane_kernel.server.attributes import is_head_method as is_head_method
    from lane_kernel.server.attributes import is_http0_9_version as is_http0_9_version
    from lane_kernel.server.attributes import is_http1_0_version as is_http1_0_version
    from lane_kernel.server.attributes import is_http1_1_or_higher_version as is_http1_1_or_higher_version
    from lane_kernel.server.attributes import is_http1_1_version as is_http1_1_version
    from lane_kernel.server.attributes import is_http2_version as is_http2_version
    from lane_kernel.server.attributes import is_http3_version as is_http3_version
    from lane_kernel.server.attributes import is_http_version as is_http_version
    from lane_kernel.server.attributes import is_options_method as is_options_method
    from lane_kernel.server.attributes import is_patch_method as is_patch_method
    from lane_kernel.server.attributes import is_post_method as is_post_method
    from lane_kernel.server.attributes import is_put_method as is_put_method
    from lane_kernel.server.attributes import is_tls_upgrade_type as is_tls_upgrade_type
    from lane_kernel.server.attributes import is_trace_method as is_trace_method
    from lane_kernel.server.attributes import is_unknown_method as is_unknown_method
    from lane_kernel.server.attributes import is_unknown_upgrade_type as is_unknown_upgrade_type
    from lane_kernel.server.attributes import is_unknown_version as is_unknown_version
    from lane_kernel.server.attributes import is_ws_upgrade_type as is_ws_upgrade_type
    from lane_kernel.server.attributes import methods as methods
    from lane_kernel.server.attributes import prologue_hooks as prologue_hooks
    from lane_kernel.server.attributes import prologue_macros as prologue_macros
    from lane_kernel.server.attributes import referer as referer
    from lane_kernel.server.attributes import reject as reject
    from lane_kernel.server.attributes import reject_host as reject_host
    from lane_kernel.server.attributes import reject_referer as reject_referer
    from lane_kernel.server.attributes import request_body as request_body
    from lane_kernel.server.attributes import request_body_json as request_body_json
    from lane_kernel.server.attributes import request_cookie as request_cookie
    from lane_kernel.server.attributes import request_cookies as request_cookies
    from lane_kernel.server.attributes import request_error_data as request_error_data
    from lane_kernel.server.attributes import request_header as request_header
    from lane_kernel.server.attributes import request_headers as request_headers
    from lane_kernel.server.attributes import request_path as request_path
    from lane_kernel.server.attributes import request_queries as request_queries
    from lane_kernel.server.attributes import request_query as request_query
    from lane_kernel.server.attributes import request_version as request_version
    from lane_kernel.server.attributes import response_body as response_body
    from lane_kernel.server.attributes import response_header as response_header
    from lane_kernel.server.attributes import response_reason_phrase as response_reason_phrase
    from lane_kernel.server.attributes import response_status_code as response_status_code
    from lane_kernel.server.attributes import response_version as response_version
    from lane_kernel.server.attributes import route_param as route_param
    from lane_kernel.server.attributes import route_params as route_params
    from lane_kernel.server.attributes import send as send
    from lane_kernel.server.attributes import task_panic_data as task_panic_data
    from lane_kernel.server.attributes import try_flush as try_flush
    from lane_kernel.server.attributes import try_get_attribute as try_get_attribute
    from lane_kernel.server.attributes import try_get_http_request as try_get_http_request
    from lane_kernel.server.attributes import try_get_request_body_json as try_get_request_body_json
    from lane_kernel.server.attributes import try_get_request_cookie as try_get_request_cookie
    from lane_kernel.server.attributes import try_get_request_error_data as try_get_request_error_data
    from lane_kernel.server.attributes import try_get_request_header as try_get_request_header
    from lane_kernel.server.attributes import try_get_request_query as try_get_request_query
    from lane_kernel.server.attributes import try_get_route_param as try_get_route_param
    from lane_kernel.server.attributes import try_get_task_panic_data as try_get_task_panic_data
    from lane_kernel.server.attributes import try_get_websocket_request as try_get_websocket_request
    from lane_kernel.server.attributes import try_send as try_send
    from lane_kernel.server.context import CONTENT_TYPE as CONTENT_TYPE
    from lane_kernel.server.context import HTTP_DOUBLE_BR as HTTP_DOUBLE_BR
    from lane_kernel.server.context import TEXT_EVENT_STREAM as TEXT_EVENT_STREAM
    from lane_kernel.server.context import UpgradeType as UpgradeType
    from lane_kernel.server.groups import GroupConfig as GroupConfig
    from lane_kernel.server.groups import GroupContext as GroupContext
    from lane_kernel.server.groups import PointToGroup as PointToGroup
    from lane_kernel.server.groups import PointToPoint as PointToPoint
    from lane_kernel.server.groups import WebSocketGroups as WebSocketGroups
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
    "AttributeUseError": "server.attributes",
    "Broadcast": "broadcast",
    "BroadcastError": "broadcast",
    "BroadcastMap": "broadcast",
    "BroadcastMessage": "broadcast",
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
    "ExtractionError": "server.attributes",
    "Faults": "net.faults",
    "FaultsError": "net.faults",
    "FellBehindError": "broadcast",
    "Frame": "wire.frames",
    "Gap": "broadcast",
    "GroupConfig": "server.groups",
    "GroupContext": "server.groups",
    "HTTP_DOUBLE_BR": "server.context",
    "HandlerError": "server",
    "HandlersPanel": "panels",
    "HandshakeError": "wire.handshake",
    "HookError": "server",
    "HookKind": "server",
    "InThread": "server",
    "Inspector": "panels",
    "LaneError": "errors",
    "ListenError": "net.listener",
    "NotRunningError": "errors",
    "Opcode": "wire.frames",
    "Overflow": "broadcast",
    "PanicData": "server",
    "Playground": "panels",
    "PointToGroup": "server.groups",
    "PointToPoint": "server.groups",
    "Policy": "wire.policy",
    "ProtocolError": "wire.rules",
    "RawConnection": "client",
    "ReadyState": "client",
    "ReceiveError": "client",
    "Reconnection": "client",
    "RedisBroadcastMap": "broadcast",
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
    "Subscription": "broadcast",
    "SubscriptionEndedError": "broadcast",
    "TEXT_EVENT_STREAM": "server.context",
    "ThreadError": "server",
    "Timeline": "timeline",
    "TimelinePanel": "panels",
    "Upgrade": "server",
    "UpgradeType": "server.context",
    "WebSocket": "server",
    "WebSocketFrame": "server",
    "WebSocketGroups": "server.groups",
    "attribute": "server.attributes",
    "attributes": "server.attributes",
    "check": "course",
    "clear_response_headers": "server.attributes",
    "closed": "server.attributes",
    "connect": "client",
    "connect_raw": "client",
    "dissect": "timeline",
    "epilogue_hooks": "server.attributes",
    "epilogue_macros": "server.attributes",
    "filter": "server.attributes",
    "flush": "server.attributes",
    "host": "server.attributes",
    "in_thread": "server",
    "is_connect_method": "server.attributes",
    "is_delete_method": "server.attributes",
    "is_get_method": "server.attributes",
    "is_h2c_upgrade_type": "server.attributes",
    "is_head_method": "server.attributes",
    "is_http0_9_version": "server.attributes",
    "is_http1_0_version": "server.attributes",
    "is_http1_1_or_higher_version": "server.attributes",
    "is_http1_1_version": "server.attributes",
    "is_http2_version": "server.attributes",
    "is_http3_version": "server.attributes",
    "is_http_version": "server.attributes",
    "is_options_method": "server.attributes",
    "is_patch_method": "server.attributes",
    "is_post_method": "server.attributes",
    "is_put_method": "server.attributes",
    "is_tls_upgrade_type": "server.attributes",
    "is_trace_method": "server.attributes",
    "is_unknown_method": "server.attributes",
    "is_unknown_upgrade_type": "server.attributes",
    "is_unknown_version": "server.attributes",
    "is_ws_upgrade_type": "server.attributes",
    "methods": "server.attributes",
    "prologue_hooks": "server.attributes",
    "prologue_macros": "server.attributes",
    "referer": "server.attributes",
    "reject": "server.attributes",
    "reject_host": "server.attributes",
    "reject_referer": "server.attributes",
    "request_body": "server.attributes",
    "request_body_json": "server.attributes",
    "request_cookie": "server.attributes",
    "request_cookies": "server.attributes",
    "request_error_data": "server.attributes",
    "request_header": "server.attributes",
    "request_headers": "server.attributes",
    "request_path": "server.attributes",
    "request_queries": "server.attributes",
    "request_query": "server.attributes",
    "request_version": "server.attributes",
    "response_body": "server.attributes",
    "response_header": "server.attributes",
    "response_reason_phrase": "server.attributes",
    "response_status_code": "server.attributes",
    "response_version": "server.attributes",
    "route_param": "server.attributes",
    "route_params": "server.attributes",
    "send": "server.attributes",
    "task_panic_data": "server.attributes",
    "try_flush": "server.attributes",
    "try_get_attribute": "server.attributes",
    "try_get_http_request": "server.attributes",
    "try_get_request_body_json": "server.attributes",
    "try_get_request_cookie": "server.attributes",
    "try_get_request_error_data": "server.attributes",
    "try_get_request_header": "server.attributes",
    "try_get_request_query": "server.attributes",
    "try_get_route_param": "server.attributes",
    "try_get_task_panic_data": "server.attributes",
    "try_get_websocket_request": "server.attributes",
    "try_send": "server.attributes",
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
