"""What a person sees: one module for each panel, each working alone on what it is given.

    base        a panel: its bundle, and the one place that brings a page's messages to its loop (`keep_home`)
    rows, feed  the way of entries to the page: fixed-size records, one message in 50 ms, a bounded turn of work
    rowpanel    what the timeline and the event log share
    timeline    TimelinePanel: every entry in one line; only the rows in sight are drawn
    eventlog    EventLog: the events of event streams
    inspector   Inspector: bytes beside fields, either marking the other
    handlers    HandlersPanel: routes, an editor that swaps a handler live, the handlers' log
    composer    Composer: a frame, right or wrong, drawn before it is sent
    status      StatusBar: address, counters, start and stop
    playground  Playground: all of them
    still       the same as HTML without script, for an executed notebook where no front end runs
    frontend    the JavaScript; built into static/ when the package is

Forms are ipywidgets, so that code presses them as a person does; what is drawn is anywidget. A page tells the kernel
only what a person did or which rows it lacks; the kernel tells pages rows by number, so that a reload, a second view or
a lost message is mended by asking again.
"""

from __future__ import annotations

from lane_kernel.panels.base import Panel, PanelError
from lane_kernel.panels.composer import Composer
from lane_kernel.panels.eventlog import EventLog
from lane_kernel.panels.feed import Feed
from lane_kernel.panels.handlers import HandlersPanel
from lane_kernel.panels.inspector import Inspector
from lane_kernel.panels.playground import Playground
from lane_kernel.panels.status import StatusBar
from lane_kernel.panels.still import refresh_stills
from lane_kernel.panels.timeline import TimelinePanel

__all__ = [
    "Composer",
    "EventLog",
    "Feed",
    "HandlersPanel",
    "Inspector",
    "Panel",
    "PanelError",
    "Playground",
    "StatusBar",
    "TimelinePanel",
    "refresh_stills",
]
