"""What a person may name on the command line, and what they are told when it cannot be run."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from lane_kernel.runner.notebooks import NotebookError, copies, find, read
from tests.runner.notebooks import write


def test_a_folder_gives_its_notebooks_by_name_and_no_checkpoints(tmp_path: Path):
    for name in ("10_b.ipynb", "02_a.ipynb", ".ipynb_checkpoints/02_a-checkpoint.ipynb", "executed/02_a.ipynb"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    assert find([tmp_path]) == [tmp_path / "02_a.ipynb", tmp_path / "10_b.ipynb"]


def test_a_notebook_named_twice_is_run_once(tmp_path: Path):
    first, second = write(tmp_path / "1.ipynb"), write(tmp_path / "2.ipynb")
    assert find([second, tmp_path, tmp_path / "." / "1.ipynb"]) == [second, first]


def test_what_cannot_be_found_is_said(tmp_path: Path):
    (tmp_path / "script.py").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotebookError, match=r"There is no notebook .*gone\.ipynb; check the path"):
        find([tmp_path / "gone.ipynb"])
    with pytest.raises(NotebookError, match=r"script\.py is not a notebook; name an \.ipynb file or a folder"):
        find([tmp_path / "script.py"])
    with pytest.raises(NotebookError, match=r"no notebook \(\*\.ipynb\) in the folder .*empty"):
        find([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not JSON"),
        (b"print('hi')", "it is not JSON"),
        (b"\xff\xfe\x00", "it is not UTF-8"),
        (b"[]", "does not say its nbformat"),
        (b"{}", "does not say its nbformat"),
        (b'{"nbformat": "4"}', "does not say its nbformat"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "not a valid notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}', "not a valid notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code"}]}', "not a valid"),
        (b'{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}', "not a valid notebook"),
    ],
)
def test_a_file_that_is_no_notebook_is_said_in_one_sentence(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    with pytest.raises(NotebookError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_language_is_said(tmp_path: Path):
    path = write(tmp_path / "r.ipynb", "1 + 1")
    content = json.loads(path.read_text())
    content["metadata"]["kernelspec"] = {"name": "ir", "display_name": "R", "language": "R"}
    path.write_text(json.dumps(content))
    with pytest.raises(NotebookError, match="is written in R; `lane run` executes Python notebooks"):
        read(path)


def test_an_older_notebook_is_read(tmp_path: Path):
    path = tmp_path / "old.ipynb"
    current = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    path.write_text(json.dumps(nbformat.convert(current, 3)))
    notebook = read(path)
    assert notebook.content.nbformat == 4
    assert notebook.code_cells == 1


def test_empty_cells_and_texts_are_not_counted(tmp_path: Path):
    assert read(write(tmp_path / "x.ipynb", "1", "", "  \n", "2")).code_cells == 2


def test_copies_keep_the_names(tmp_path: Path):
    out = tmp_path / "out"
    notebooks = [tmp_path / "a" / "1.ipynb", tmp_path / "b" / "2.ipynb"]
    assert copies(notebooks, out) == {notebooks[0]: out / "1.ipynb", notebooks[1]: out / "2.ipynb"}


def test_copies_never_replace_each_other_or_a_notebook(tmp_path: Path):
    one, other = write(tmp_path / "a" / "1.ipynb"), write(tmp_path / "b" / "1.ipynb")
    with pytest.raises(NotebookError, match="would both be"):
        copies([one, other], tmp_path / "out")
    with pytest.raises(NotebookError, match="would replace"):
        copies([one], tmp_path / "a")
    # Also one that is not run from there.
    with pytest.raises(NotebookError, match="is a file, or lies below one; name a folder"):
        copies([one], other)
