"""What a capture means: entries with their fields and findings, made by wire's decoders.

A timeline follows a store. It keeps one row of numbers for each entry; the entry itself, its fields and its findings
are made when someone asks.
"""

from __future__ import annotations

from lane_kernel.timeline.dissect import Dissected, dissect
from lane_kernel.timeline.entries import Entry, EntryKind
from lane_kernel.timeline.faults import Meant
from lane_kernel.timeline.timeline import Timeline

__all__ = ["Dissected", "Entry", "EntryKind", "Meant", "Timeline", "dissect"]
