"""The command `lane`, as a person types it: in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from importlib.metadata import version
from pathlib import Path
from urllib.request import url2pathname

import pytest

from tests.runner.notebooks import output_of, write

LANE = [sys.executable, "-m", "lane_kernel.cli"]


def lane(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [*LANE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=100)


def test_version():
    done = lane("--version")
    assert done.returncode == 0
    assert done.stdout == f"lane_kernel {version('lane-kernel')}\n"


def test_help_names_the_commands_with_examples():
    done = lane("--help")
    assert done.returncode == 0
    for part in ("lab", "run", "--version", "examples:", "lane run notebooks/ --output executed"):
        assert part in done.stdout


@pytest.mark.parametrize("command", ["lab", "run"])
def test_each_command_has_help(command: str):
    done = lane(command, "--help")
    assert done.returncode == 0
    assert f"usage: lane {command}" in done.stdout


def test_nothing_asked_shows_the_help_and_fails():
    done = lane()
    assert done.returncode == 2
    assert "usage: lane" in done.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom lane_kernel.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('nbclient', 'nbformat', 'jupyterlab', 'rich', 'tornado', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "the following arguments are required: NOTEBOOK"),
        (["run", "gone.ipynb"], "There is no notebook gone.ipynb; check the path."),
        (["run", "broken.ipynb"], "broken.ipynb is not a notebook: it is not JSON"),
        (["run", "empty"], "There is no notebook (*.ipynb) in the folder empty."),
        (["run", "good.ipynb", "--timeout", "soon"], "'soon' is not a number of whole seconds"),
        (["run", "good.ipynb", "--timeout", "-1"], "'-1' is not a number of whole seconds"),
        (["run", "good.ipynb", "--output", "."], "would replace good.ipynb by its executed copy"),
        (["run", "good.ipynb", "--output", "broken.ipynb"], "is a file, or lies below one; name a folder"),
        (["run", "good.ipynb", "--output", "broken.ipynb/below"], "is a file, or lies below one; name a folder"),
        (["run", "good.ipynb", "--output", "taken"], "is a folder, where an executed copy would go"),
        (["run", "good.ipynb", "--output", ""], "an empty path names nothing"),
        (["run", ""], "an empty path names nothing"),
        (["run", "deep.ipynb"], "deep.ipynb is not a notebook: it is not JSON"),
        (["run", "locked"], "locked cannot be read: Permission denied."),
        (["run", "locked/x.ipynb"], "locked/x.ipynb cannot be read: Permission denied."),
        (["run", "good.ipynb", "--output", "locked/out"], "locked/out cannot be written: Permission denied"),
        (["lab", "locked"], "The lessons cannot be written to locked (Permission denied)"),
        (["lab", "dangling"], "is a link to nothing"),
        (["run", "good.ipynb", "--fast"], "unknown arguments: --fast"),
        (["lab", "--no-browser"], "JupyterLab's own options go after --"),
        (["lab", "broken.ipynb"], "broken.ipynb is not a folder; name another one"),
        (["dance"], "invalid choice: 'dance'"),
    ],
)
def test_a_wrong_command_gives_one_clear_sentence(tmp_path: Path, arguments: list[str], said: str):
    write(tmp_path / "good.ipynb", "1")
    (tmp_path / "broken.ipynb").write_text("not JSON")
    (tmp_path / "empty").mkdir()
    (tmp_path / "deep.ipynb").write_text("[" * 100_000)
    (tmp_path / "taken" / "good.ipynb").mkdir(parents=True)
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "00_first_bytes.ipynb").symlink_to("nowhere")
    (tmp_path / "locked").mkdir(mode=0)
    if "locked" in "".join(arguments) and os.access(tmp_path / "locked", os.R_OK):
        pytest.skip("nothing is locked to root")
    done = lane(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_run_writes_executed_copies_and_leaves_the_notebooks(tmp_path: Path):
    first = write(tmp_path / "lessons" / "01.ipynb", "print('one')")
    write(tmp_path / "lessons" / "02.ipynb", "print('two')")
    before = first.read_bytes()
    done = lane("run", tmp_path / "lessons", "--output", tmp_path / "out" / "deep")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"(\w+) +\S*(\d\d).ipynb +1 of 1 code cells", done.stdout) == [("passed", "01"), ("passed", "02")]
    assert done.stderr == ""
    assert output_of(tmp_path / "out/deep/01.ipynb").strip() == "one"
    assert output_of(tmp_path / "out/deep/02.ipynb").strip() == "two"
    assert first.read_bytes() == before


def test_run_fails_with_the_cell_and_its_traceback_and_goes_on(tmp_path: Path):
    write(tmp_path / "01.ipynb", "print('before')", "def f():\n    raise ValueError('[no markup] here')\nf()")
    write(tmp_path / "02.ipynb", "1")
    done = lane("run", tmp_path, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert re.search(r"FAILED +\S*01\.ipynb", done.stdout)
    assert re.search(r"passed +\S*02\.ipynb", done.stdout)
    assert "01.ipynb: code cell 2 of 2 raised ValueError." in done.stderr
    assert "    def f():" in done.stderr
    assert "ValueError: [no markup] here" in done.stderr
    assert "\x1b" not in done.stderr, "colours are for terminals"
    assert output_of(tmp_path / "out/01.ipynb").split() == ["before", "ValueError"]


def test_a_long_cell_is_shown_in_part(tmp_path: Path):
    write(tmp_path / "x.ipynb", "\n".join([*(f"x{n} = {n}" for n in range(40)), "1 / 0"]))
    done = lane("run", tmp_path / "x.ipynb")
    assert "    x10 = 10\n    … 30 more lines\n" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_ends_the_kernel_and_keeps_what_ran(tmp_path: Path):
    os.mkfifo(tmp_path / "reached")
    source = (
        "import os, threading\nwith open('reached', 'w') as f: print(os.getpid(), file=f)\nthreading.Event().wait()"
    )
    write(tmp_path / "01.ipynb", "print('before')", source)
    write(tmp_path / "02.ipynb", "1")
    # A shell's background jobs ignore SIGINT, and hand that on to the tests and to what they start.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from lane_kernel.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", code, "run", str(tmp_path), "--output", str(tmp_path / "out")]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        kernel = int((tmp_path / "reached").read_text())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "01.ipynb: interrupted in code cell 2 of 2; its kernel has been ended." in err
    assert "Traceback" not in err
    assert "02.ipynb" not in out
    assert output_of(tmp_path / "out/01.ipynb").strip() == "before"
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)


@pytest.mark.lesson
def test_lab_places_the_lessons_and_opens_jupyterlab_on_the_first(tmp_path: Path):
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    # The browser is a command that writes what it was to open where JupyterLab writes its log.
    options = ["--ServerApp.browser=echo opened %s", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token=open"]
    with subprocess.Popen(
        [*LANE, "lab", str(tmp_path / "mine"), "--", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **folders},
    ) as process:
        assert process.stdout is not None
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("opened "):
                    break
            said = "".join(lines)
            assert said.endswith("-open.html\n"), said
            page = Path(url2pathname(lines[-1].removeprefix("opened file://").strip())).read_text()
            found = re.search(r"(http://127\.0\.0\.1:\d+)/lab/tree/([^?\"]+)\?token=open", page)
            assert found is not None, page
            base, opened = found.groups()
            assert f"copied: {tmp_path / 'mine' / opened}\n" in lines
            with urllib.request.urlopen(f"{base}/api/contents?token=open", timeout=30) as answer:
                names = [entry["name"] for entry in json.load(answer)["content"]]
            assert opened == min(name for name in names if name.endswith(".ipynb"))
        finally:
            process.terminate()
            process.communicate(timeout=60)
