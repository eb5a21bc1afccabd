"""The root of every error that lane_kernel raises.

Each room derives its own errors from `LaneError` in a module of its own or here, so that `except lane.LaneError`
catches whatever this package says, and nothing else. A message says what happened, where, and what to do.
"""

from __future__ import annotations


class LaneError(Exception):
    """Whatever goes wrong in lane_kernel by its own account."""


class NotRunningError(LaneError):
    """Something was asked of a server that has not been started, or has been stopped."""
