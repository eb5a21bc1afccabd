"""Small notebooks for the runner's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, *sources: str) -> Path:
    """Write a notebook with a text and these code cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [new_markdown_cell("# A lesson"), *(new_code_cell(source) for source in sources)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def output_of(path: Path) -> str:
    """What the cells of an executed copy print and give, in order."""
    outputs = [output for cell in nbformat.read(path, as_version=4).cells for output in cell.get("outputs", [])]
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain") or output.get("ename", "") for output in outputs
    )
