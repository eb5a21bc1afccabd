"""The public names: each is exported, loaded when it is used, and listed in one order."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lane_kernel as lane


@pytest.mark.parametrize("name", lane.__all__)
def test_each_public_name_can_be_had(name: str) -> None:
    assert getattr(lane, name) is not None
    assert name in dir(lane)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(lane.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(lane.__all__) - {"__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        lane.nonsense  # noqa: B018


def test_capture_is_a_room_and_a_function() -> None:
    assert lane.capture() is lane.capture()
    assert isinstance(lane.capture(), lane.Store)


def test_importing_loads_no_room() -> None:
    code = (
        "import sys, lane_kernel; print([name for name in sys.modules if name.startswith(('lane_kernel.', 'tornado'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
