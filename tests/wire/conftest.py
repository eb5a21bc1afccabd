"""Property tests of the wire have no deadline: a machine that is busy is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("lane", deadline=None)
settings.load_profile("lane")
