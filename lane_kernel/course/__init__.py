"""What lessons import: `check`, which says whether all went well."""

from __future__ import annotations

from lane_kernel.course.check import check

__all__ = ["check"]
