"""The command `lane`: the playground in JupyterLab, and notebooks without a screen."""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lane_kernel.errors import LaneError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

DEFAULT_FOLDER = Path("lane-lessons")

_EPILOG = """\
examples:
  lane lab                                 the lessons in ./lane-lessons, in JupyterLab
  lane lab ~/lessons -- --no-browser       what follows -- goes to JupyterLab
  lane run notebooks/ --output executed    every notebook of a folder, without a screen
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments without the program's name; the process's own if left out.

    Returns:
        The exit status: 0 when all went well, 1 when a notebook failed, 2 when the command was wrong, 130 on Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without a character of a path shows its escape instead.
            stream.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    lab_options: list[str] = []
    if arguments[:1] == ["lab"] and "--" in arguments:
        split = arguments.index("--")
        arguments, lab_options = arguments[:split], arguments[split + 1 :]
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        hint = (
            "; JupyterLab's own options go after --, as in: lane lab -- --no-browser"
            if options.command == "lab"
            else ""
        )
        parser.error(f"unknown arguments: {' '.join(unknown)}{hint}")
    options.lab_options = lab_options
    command: Callable[[argparse.Namespace], int] = options.call
    try:
        return command(options)
    except LaneError as error:
        print(f"lane {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"lane {options.command}: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lane",
        description="A WebSocket and SSE playground in a Jupyter kernel that shows every byte.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="say the version, and end")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")

    lab = commands.add_parser(
        "lab",
        help="open the lessons in JupyterLab",
        usage="lane lab [-h] [FOLDER] [-- JUPYTERLAB OPTIONS]",
        description="Put the lessons into FOLDER where they are not there yet, and open JupyterLab on the first. "
        "What is there already stays as it is.",
        allow_abbrev=False,
    )
    lab.add_argument(
        "folder", nargs="?", type=_path, default=DEFAULT_FOLDER, metavar="FOLDER", help="default: lane-lessons"
    )
    lab.set_defaults(call=_lab)

    run = commands.add_parser(
        "run",
        help="execute notebooks without a screen",
        description="Execute each notebook in a kernel of its own, in the notebook's folder. Exits with 1 if a cell "
        "fails, or if a handler, a task or a callback of lane_kernel fails beside the cells.",
        allow_abbrev=False,
    )
    run.add_argument("notebooks", nargs="+", type=_path, metavar="NOTEBOOK", help="an .ipynb file, or a folder of them")
    run.add_argument(
        "--output", type=_path, metavar="DIR", help="write the executed copies there, also of those that fail"
    )
    run.add_argument(
        "--timeout",
        type=_seconds,
        metavar="S",
        help="whole seconds that each cell may take, 0 for no limit (default: 120)",
    )
    run.set_defaults(call=_run)
    return parser


class _Version(argparse.Action):
    """Like argparse's own, but looks the version up only when asked."""

    def __init__(self, option_strings: Sequence[str], **options: Any) -> None:
        super().__init__(option_strings, **(options | {"dest": argparse.SUPPRESS, "nargs": 0}))

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"lane_kernel {version('lane-kernel')}")
        parser.exit()


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("an empty path names nothing; write . for the current folder")
    return Path(text)


def _seconds(text: str) -> int:
    try:
        seconds = int(text)
    except ValueError:
        seconds = -1
    if seconds < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of whole seconds")
    return seconds


def _lab(options: argparse.Namespace) -> int:
    from lane_kernel.runner import lessons

    folder: Path = options.folder
    placed = lessons.place(folder)
    for verb, paths in (("copied", placed.copied), ("kept as it is", placed.kept)):
        for path in paths:
            print(f"{verb}: {folder / path}")
    lab_options: list[str] = options.lab_options
    if hasattr(os, "geteuid") and os.geteuid() == 0 and "--allow-root" not in lab_options:
        # Otherwise JupyterLab only refuses. In a container root is the only user there is.
        print("You are root, so JupyterLab is started with --allow-root.")
        lab_options = ["--allow-root", *lab_options]
    print(f"Opening {folder / placed.first} in JupyterLab; Ctrl-C here ends it.", flush=True)

    from jupyterlab.labapp import LabApp

    # In this process, so that Ctrl-C and the terminal are JupyterLab's own.
    os.chdir(folder)
    LabApp.launch_instance([str(placed.first), *lab_options])
    return 0


def _run(options: argparse.Namespace) -> int:
    from lane_kernel.runner import execute, notebooks, report

    # All that can be wrong with the command is found before the first kernel starts.
    paths = notebooks.find(options.notebooks)
    targets = {} if options.output is None else notebooks.copies(paths, options.output)
    read = [notebooks.read(path) for path in paths]

    import nbformat
    from rich.console import Console

    # The debugger of ipykernel 6 warns of Python's own frozen modules in every run, here and in each kernel.
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    out, err = Console(), Console(stderr=True)
    timeout = execute.DEFAULT_TIMEOUT if options.timeout is None else options.timeout
    results: list[execute.Result] = []
    for notebook in read:
        with report.progress(err, notebook) as advance:
            result = execute.run(notebook, timeout=timeout, progress=advance)
        results.append(result)
        report.summary(out, result)
        report.failures(err, result)
        if target := targets.get(notebook.path):
            nbformat.write(notebook.content, target)
        if report.exit_status(results) == 130:  # Ctrl-C stops the notebooks that follow, too
            break
    return report.exit_status(results)


if __name__ == "__main__":
    sys.exit(main())
