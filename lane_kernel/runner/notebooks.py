"""What a person named on the command line, as notebooks that can be executed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lane_kernel.errors import LaneError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from nbformat import NotebookNode


class NotebookError(LaneError):
    """Something that was named cannot be run as a notebook, or not as it was asked."""


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook on disk and its content; executing it fills in the outputs of `content`, never those of the file."""

    path: Path
    content: NotebookNode

    @property
    def code_cells(self) -> int:
        """How many cells there are to execute."""
        return sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in self.content.cells)


def find(named: Iterable[Path]) -> list[Path]:
    """List the notebooks meant by files and folders, each once, a folder's in the order of their names.

    Raises:
        NotebookError: A path does not exist, is no notebook, or is a folder without one.
    """
    found: dict[Path, Path] = {}
    for path in named:
        try:
            inside = _inside(path)
        except OSError as error:
            raise NotebookError(f"{path} cannot be read: {error.strerror}.") from error
        for notebook in inside:
            found.setdefault(notebook.resolve(), notebook)
    return list(found.values())


def _inside(path: Path) -> list[Path]:
    if path.is_dir():
        # Not recursive, so that checkpoints and executed copies in folders below are left alone.
        inside = sorted(inner for inner in path.iterdir() if inner.name.endswith(".ipynb"))
        if not inside:
            raise NotebookError(f"There is no notebook (*.ipynb) in the folder {path}.")
        return inside
    if not path.exists():
        raise NotebookError(f"There is no notebook {path}; check the path.")
    if path.suffix != ".ipynb":
        raise NotebookError(f"{path} is not a notebook; name an .ipynb file or a folder of them.")
    return [path]


def read(path: Path) -> Notebook:
    """Read one notebook and check that a Python kernel can run it.

    Raises:
        NotebookError: The file cannot be read, is not a notebook, or is one of another language.
    """
    import nbformat

    try:
        text = path.read_text(encoding="utf-8-sig")
        raw = json.loads(text)
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise NotebookError(f"{path} is not a notebook: it is not UTF-8 (byte {error.start}).") from error
    except (ValueError, RecursionError) as error:
        raise NotebookError(f"{path} is not a notebook: it is not JSON ({error}).") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("nbformat"), int):
        raise NotebookError(f"{path} is not a notebook: it is JSON, but does not say its nbformat.")
    try:
        # Not nbformat.read, which logs what is wrong and goes on.
        content = nbformat.convert(nbformat.reader.reads(text), 4)
        nbformat.validate(content)
    except (nbformat.ValidationError, ValueError, LookupError, AttributeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise NotebookError(f"{path} is not a valid notebook: {reason}") from error
    metadata = content.metadata
    language = (
        metadata.get("kernelspec", {}).get("language") or metadata.get("language_info", {}).get("name") or "python"
    )
    if language.lower() not in {"python", "ipython"}:
        raise NotebookError(f"{path} is written in {language}; `lane run` executes Python notebooks.")
    return Notebook(path, content)


def copies(notebooks: Iterable[Path], folder: Path) -> dict[Path, Path]:
    """Say where the executed copy of each notebook goes, and make the folder for them.

    Raises:
        NotebookError: A copy would replace a notebook that is run, or two copies have one name, or `folder` is a file
            or cannot be written.
    """
    targets: dict[Path, Path] = {}
    taken: dict[str, Path] = {}
    for notebook in notebooks:
        target = folder / notebook.name
        if target.resolve() == notebook.resolve():
            raise NotebookError(
                f"--output {folder} would replace {notebook} by its executed copy; name another folder."
            )
        if (other := taken.setdefault(notebook.name, notebook)) != notebook:
            raise NotebookError(f"The copies of {other} and {notebook} would both be {target}; run them one by one.")
        targets[notebook] = target
    _make(folder, targets.values())
    return targets


def _make(folder: Path, targets: Iterable[Path]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folders = [target for target in targets if target.is_dir()]
    except (FileExistsError, NotADirectoryError):
        raise NotebookError(f"--output {folder} is a file, or lies below one; name a folder.") from None
    except OSError as error:
        raise NotebookError(f"--output {folder} cannot be written: {error.strerror}; name another folder.") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotebookError(f"--output {folder} cannot be written: Permission denied; name another folder.")
    if folders:
        raise NotebookError(f"{folders[0]} is a folder, where an executed copy would go; name another --output.")
