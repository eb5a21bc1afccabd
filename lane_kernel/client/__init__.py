"""Clients in the kernel: awaitable, recorded, and able to send anything."""

from __future__ import annotations

from lane_kernel.client.eventsource import EventSource, EventSourceError, ReadyState, Reconnection
from lane_kernel.client.raw import RawConnection, ReceiveError, connect_raw
from lane_kernel.client.websocket import ClientWebSocket, connect

__all__ = [
    "ClientWebSocket",
    "EventSource",
    "EventSourceError",
    "RawConnection",
    "ReadyState",
    "ReceiveError",
    "Reconnection",
    "connect",
    "connect_raw",
]
