"""The repository keeps its promises: what lies where, what the README says, what the files repeat of each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
FRONTEND = ROOT / "lane_kernel" / "panels" / "frontend"

TOP_LEVEL = {
    "notebooks",
    "lane_kernel",
    "tests",
    "environment.yml",
    "README.md",
    "pyproject.toml",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
}


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@cache
def kept() -> list[str]:
    """The files that git keeps, or would: what is ignored is not part of the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout, so nothing says which files are the repository's")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def requirements(lines: list[str]) -> dict[str, str]:
    parsed = [Requirement(line) for line in lines]
    return {requirement.name.lower(): str(requirement.specifier) for requirement in parsed}


def test_top_level_holds_only_what_it_should():
    top = {name.partition("/")[0] for name in kept()}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_nothing_built_is_kept():
    built = re.compile(r"(^|/)(node_modules|__pycache__|dist)/|^lane_kernel/panels/static/|\.ipynb_checkpoints/")
    assert [name for name in kept() if built.search(name)] == []


def test_no_kept_text_names_a_path_of_the_machine_it_was_written_on():
    # Spelt in parts, so that this file does not name them.
    private = re.compile("|".join(re.escape("/" + name + "/") for name in ("work", "opt", "root")))
    found = {}
    for name in kept():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image
        if match := private.search(text):
            found[name] = match.group()
    assert found == {}


def test_environment_has_the_dependencies_and_bounds_of_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge"]
    conda = requirements([line for line in environment["dependencies"] if isinstance(line, str)])
    project = pyproject()["project"]
    assert conda.pop("python") == project["requires-python"]
    assert conda.pop("pip") == ""
    assert conda == requirements(project["dependencies"])


def test_environment_installs_this_package_with_what_the_tests_need():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = [line["pip"] for line in environment["dependencies"] if isinstance(line, dict)]
    assert pip == [["--editable .[test]"]]


def test_every_requirement_has_a_lower_bound():
    project = pyproject()["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    assert [line for line in lines if ">=" not in line] == []


def test_readme_gives_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "```sh\npip install . && lane lab\n```" in readme
    assert "```sh\npip install -e '.[test]' && pytest\n```" in readme
    for equivalent in ("uv pip install", "conda env create --file environment.yml", "LANE_REQUIRE_BROWSER=1"):
        assert equivalent in readme


def test_ci_runs_the_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"pip install -e '\.\[test\]' && (\w+=\w+ )*pytest$", script, re.MULTILINE)


def test_changelog_has_an_unreleased_section():
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_lock_file_names_no_host():
    """Any registry serves it. (npm writes the authors' donation links into it, too: drop those of a new package.)"""
    text = (FRONTEND / "package-lock.json").read_text(encoding="utf-8")
    assert json.loads(text)["lockfileVersion"] == 3
    assert [line.strip() for line in text.splitlines() if "://" in line] == []
    assert "omit-lockfile-registry-resolved=true" in (FRONTEND / ".npmrc").read_text(encoding="utf-8").splitlines()


def test_lock_file_matches_the_package_file():
    package = json.loads((FRONTEND / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((FRONTEND / "package-lock.json").read_text(encoding="utf-8"))["packages"][""]
    for kind in ("dependencies", "devDependencies"):
        assert locked[kind] == package[kind]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_lesson_is_saved_clean(path: Path):
    assert re.match(r"\d\d_\w+\.ipynb$", path.name)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert "widgets" not in notebook.metadata


def test_importing_the_package_costs_little():
    """Under 50 ms beyond the bare interpreter; ipywidgets alone would take five times that."""

    def milliseconds() -> float:
        code = "import time; t = time.perf_counter(); import lane_kernel; print((time.perf_counter() - t) * 1000)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return float(done.stdout)

    best = min(milliseconds() for _ in range(5))
    assert best < 50, f"import lane_kernel takes {best:.0f} ms; see: python -X importtime -c 'import lane_kernel'"


def test_importing_the_package_loads_no_heavy_module():
    code = (
        "import sys, lane_kernel; print([m for m in ('tornado', 'ipywidgets', 'IPython', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
