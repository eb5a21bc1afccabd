"""The build hook judges rightly when the front end must be bundled again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lane_kernel.panels.frontend import hatch_build


@pytest.fixture
def frontend(tmp_path: Path) -> Path:
    folder = tmp_path / "frontend"
    for name in ("src/table.js", "src/table.css", "build.mjs", "package.json", "package-lock.json"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"/* {name} */\n".encode())
    return folder


@pytest.fixture
def static(tmp_path: Path, frontend: Path) -> Path:
    """A bundle that was built from these sources."""
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "table.js").write_text("bundled")
    manifest = {"sources": hatch_build.source_hash(frontend), "files": ["table.js"]}
    (folder / hatch_build.MANIFEST).write_text(json.dumps(manifest))
    return folder


def test_a_bundle_of_these_sources_is_fresh(frontend: Path, static: Path):
    assert hatch_build.is_fresh(frontend, static)


@pytest.mark.parametrize("name", ["src/table.js", "src/table.css", "build.mjs", "package.json", "package-lock.json"])
def test_a_changed_source_makes_it_stale(frontend: Path, static: Path, name: str):
    (frontend / name).write_text("changed")
    assert not hatch_build.is_fresh(frontend, static)


def test_a_new_a_renamed_and_a_removed_source_make_it_stale(frontend: Path, static: Path):
    (frontend / "src/new.js").write_text("")
    assert not hatch_build.is_fresh(frontend, static)
    (frontend / "src/new.js").unlink()
    assert hatch_build.is_fresh(frontend, static)
    (frontend / "src/table.js").rename(frontend / "src/other.js")
    assert not hatch_build.is_fresh(frontend, static)


def test_what_only_the_tests_read_does_not(frontend: Path, static: Path):
    for name in ("node_modules/x/index.js", "tests/table.test.js", "src/table.test.js", "vitest.config.js"):
        (frontend / name).parent.mkdir(parents=True, exist_ok=True)
        (frontend / name).write_text("")
    assert hatch_build.is_fresh(frontend, static)


def test_line_ends_do_not(frontend: Path, static: Path):
    path = frontend / "src/table.js"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert hatch_build.is_fresh(frontend, static)


def test_a_bundle_that_lacks_a_file_or_its_manifest_is_stale(frontend: Path, static: Path):
    (static / "table.js").unlink()
    assert not hatch_build.is_fresh(frontend, static)
    (static / "table.js").write_text("bundled")
    (static / hatch_build.MANIFEST).write_text("{")
    assert not hatch_build.is_fresh(frontend, static)
    (static / hatch_build.MANIFEST).unlink()
    assert not hatch_build.is_fresh(frontend, static)
    assert not hatch_build.is_fresh(frontend, static.with_name("never-built"))
