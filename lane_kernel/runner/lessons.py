"""The shipped lessons, and how they get into a person's folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from lane_kernel.errors import LaneError


class LessonsError(LaneError):
    """The lessons cannot be found, or cannot be put where they were asked for."""


@dataclass(slots=True)
class Placed:
    """What became of the lessons in a folder, by their paths relative to it."""

    folder: Path
    copied: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    """There already, so left as they are."""

    @property
    def first(self) -> Path:
        """The lesson to begin with: the lowest number."""
        return min(path for path in [*self.copied, *self.kept] if path.suffix == ".ipynb")


def shipped() -> Path:
    """Find the lessons: inside the package, or beside it in a checkout that is installed editable.

    Raises:
        LessonsError: There are none.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if any(folder.glob("*.ipynb")):
            return folder
    raise LessonsError(
        "This installation carries no lessons; install it again: pip install --force-reinstall lane-kernel"
    )


def place(folder: Path, source: Path | None = None) -> Placed:
    """Copy the lessons that `folder` does not have yet; whatever is there stays as it is.

    Args:
        folder: Where to; made if missing.
        source: Where from; the shipped lessons if left out.

    Raises:
        LessonsError: `folder` is a file or cannot be written.
    """
    source = source or shipped()
    placed = Placed(folder)
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        target = folder / relative
        try:
            if target.is_symlink() and not target.exists():
                raise LessonsError(f"{target} is a link to nothing; remove it, and the lesson is put there.")
            if target.exists():
                placed.kept.append(relative)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        except (FileExistsError, NotADirectoryError):
            raise LessonsError(f"{folder} is not a folder; name another one: lane lab FOLDER") from None
        except OSError as error:
            raise LessonsError(
                f"The lessons cannot be written to {folder} ({error.strerror}); name another folder."
            ) from error
        placed.copied.append(relative)
    return placed
