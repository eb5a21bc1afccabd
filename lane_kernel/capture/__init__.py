"""Everything that crossed a socket, as each end saw it: append-only, bounded by bytes.

Recording costs one append of columns and bytes. Nothing is understood here; `lane_kernel.timeline` does that on
demand. `lane.capture()` answers the kernel's store, which servers and clients record in unless given another.
"""

from __future__ import annotations

import sys
from types import ModuleType

from lane_kernel.capture.store import Chunk, Connection, Note, NoteKind, Record, Store, kernel_store

__all__ = ["Chunk", "Connection", "Note", "NoteKind", "Record", "Store", "kernel_store"]


class _Room(ModuleType):
    """This package under its two names: the room `lane_kernel.capture`, and the function `lane.capture()`."""

    def __call__(self) -> Store:
        return kernel_store()


sys.modules[__name__].__class__ = _Room
