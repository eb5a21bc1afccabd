"""The shipped lessons reach a person's folder, and never over their own work."""

from __future__ import annotations

from pathlib import Path

import pytest

from lane_kernel.runner import lessons


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    for name in (
        "00_first.ipynb",
        "10_tenth.ipynb",
        "pictures/bytes.svg",
        ".ipynb_checkpoints/00_first-checkpoint.ipynb",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"shipped {name}")
    return folder


def test_lessons_are_copied_with_what_belongs_to_them(tmp_path: Path, source: Path):
    placed = lessons.place(tmp_path / "mine", source)
    assert placed.copied == [Path("00_first.ipynb"), Path("10_tenth.ipynb"), Path("pictures/bytes.svg")]
    assert placed.kept == []
    assert placed.first == Path("00_first.ipynb")
    assert (tmp_path / "mine/pictures/bytes.svg").read_text() == "shipped pictures/bytes.svg"


def test_what_is_there_stays(tmp_path: Path, source: Path):
    mine = tmp_path / "mine"
    lessons.place(mine, source)
    (mine / "00_first.ipynb").write_text("my own work")
    (mine / "10_tenth.ipynb").unlink()
    (mine / "notes.txt").write_text("mine")
    placed = lessons.place(mine, source)
    assert placed.copied == [Path("10_tenth.ipynb")]
    assert placed.kept == [Path("00_first.ipynb"), Path("pictures/bytes.svg")]
    assert placed.first == Path("00_first.ipynb")
    assert (mine / "00_first.ipynb").read_text() == "my own work"
    assert (mine / "notes.txt").read_text() == "mine"


def test_a_dangling_link_of_the_person_is_not_written_through(tmp_path: Path, source: Path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "00_first.ipynb").symlink_to(tmp_path / "elsewhere.ipynb")
    with pytest.raises(lessons.LessonsError, match=r"00_first\.ipynb is a link to nothing"):
        lessons.place(mine, source)
    assert not (tmp_path / "elsewhere.ipynb").exists()


def test_a_file_in_the_folders_place_is_said(tmp_path: Path, source: Path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(lessons.LessonsError, match=r"mine is not a folder; name another one: lane lab FOLDER"):
        lessons.place(tmp_path / "mine", source)
    with pytest.raises(lessons.LessonsError, match="is not a folder"):
        lessons.place(tmp_path / "mine" / "below", source)


def test_the_lessons_are_found(tmp_path: Path):
    assert list(lessons.shipped().glob("00_*.ipynb"))
