"""1,000 WebSockets and 500 event streams at once on one kernel: `python -m tests.load`.

A real kernel runs the server, a process of its own the peers. It runs the load twice, so that what one round leaves
behind shows in the other's figures, prints a table and ends with 1 where a figure is not what was asked for.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.load.peers import FAULTY

STOP_TIMEOUT = 10.0
GROWTH = 24 * 1024 * 1024
"""What resident memory may grow by from the first round to the second, the capture being full in both."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: object
    asked: str
    is_met: bool


class Kernel:
    """A kernel with the load's server."""

    def __init__(self) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel()
        self._client: BlockingKernelClient = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def run(self, code: str, timeout: float = 120) -> Any:
        """Execute code; its last `print` is JSON, which is answered."""
        printed: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self._client.execute_interactive(code, timeout=timeout, output_hook=hear)
        content = reply["content"]
        if content["status"] != "ok":
            raise RuntimeError("\n".join(content.get("traceback", [str(content)])))
        text = "".join(printed).strip()
        return json.loads(text.splitlines()[-1]) if text else None

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def one_round(kernel: Kernel, arguments: argparse.Namespace, rows: list[Row]) -> dict[str, Any]:
    """Let the peers come, talk and be sent away; add what was measured."""
    url = kernel.run("await load.server.start()\nprint(json.dumps(load.server.url('')))")
    before = kernel.run("print(json.dumps(load.left()))")
    peers = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.load.peers",
            url,
            str(arguments.websockets),
            str(arguments.streams),
            str(arguments.seconds),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert peers.stdin is not None
    assert peers.stdout is not None
    # The kernel's loop serves them while no cell runs.
    accounts = json.loads(peers.stdout.readline())
    during = kernel.run("print(json.dumps(load.left()))")
    kernel.run(f"await load.stop({STOP_TIMEOUT})")
    peers.stdin.write("\n")
    peers.stdin.flush()
    end = json.loads(peers.stdout.readline())
    peers.wait(60)
    kernel.run("await load.gone()")
    after = kernel.run("print(json.dumps({**load.left(), 'stopping': load.stopping, 'sent': load.sent}))")
    rows += _judge(arguments, accounts, end, before, during, after)
    return dict(after)


def _judge(
    arguments: argparse.Namespace,
    accounts: dict[str, Any],
    end: dict[str, Any],
    before: dict[str, Any],
    during: dict[str, Any],
    after: dict[str, Any],
) -> list[Row]:
    right = accounts["/echo"]
    connected = sum(account["connected"] for account in accounts.values())
    total = arguments.websockets + arguments.streams
    codes = end["close codes"]
    return [
        Row("WebSockets open", connected, f"{arguments.websockets:,}", connected == arguments.websockets),
        Row(
            "event streams open", right["streaming"], f"{arguments.streams:,}", right["streaming"] == arguments.streams
        ),
        Row("connections at once", during["open"], f"{total:,}", during["open"] == total),
        Row("messages sent", right["messages"], "counted", right["messages"] > 0),
        Row(
            "echoes missing, doubled",
            (right["missing"], right["doubled"]),
            "0, 0",
            not right["missing"] + right["doubled"],
        ),
        *(_judge_faulty(path, accounts[path]) for path in FAULTY),
        Row("events out of order", end["gaps"], "0", end["gaps"] == 0),
        Row("events sent, seen", (after["sent"], end["events"]), "equal", after["sent"] == end["events"]),
        Row("told 1001", codes.get("1001", 0), f"{arguments.websockets:,}", codes == {"1001": arguments.websockets}),
        Row("streams ended", end["streams ended"], f"{arguments.streams:,}", end["streams ended"] == arguments.streams),
        Row("stop() took", f"{after['stopping']:.2f} s", f"≤ {STOP_TIMEOUT:g} s", after["stopping"] <= STOP_TIMEOUT),
        Row(
            "descriptors left",
            after["descriptors"] - before["descriptors"],
            "≤ 0",
            after["descriptors"] <= before["descriptors"],
        ),
        Row("tasks left", after["tasks"] - before["tasks"], "0", after["tasks"] <= before["tasks"]),
        Row(
            "objects of connections left",
            after["exchanges"] + after["transports"] + after["streams"],
            "0",
            not after["exchanges"] + after["transports"] + after["streams"],
        ),
    ]


def _judge_faulty(path: str, account: dict[str, Any]) -> Row:
    """What is lost and doubled on a route with faults is what the faults say."""
    missing = account["tenths"] if path == "/lossy" else 0
    doubled = account["tenths"] if path == "/twice" else 0
    seen = (account["messages"], account["missing"], account["doubled"])
    return Row(f"{path}: sent, missing, doubled", seen, f"{missing}, {doubled}", seen[1:] == (missing, doubled))


def main() -> int:
    """Run the load; answer the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--websockets", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    kernel = Kernel()
    rows: list[Row] = []
    try:
        kernel.run("import json\nfrom tests.load.kernel import Load\nload = Load()")
        first = one_round(kernel, arguments, rows)
        kernel.run("load.sent = 0")
        second = one_round(kernel, arguments, rows)
    finally:
        kernel.close()
    growth = second["resident"] - first["resident"]
    rows.append(
        Row("memory, second round over first", f"{growth / 1e6:+.1f} MB", f"≤ {GROWTH / 1e6:.0f} MB", growth <= GROWTH)
    )
    for row in rows:
        print(f"{'ok ' if row.is_met else 'NO '} {row.what:34} {row.measured!s:>18}   asked: {row.asked}")
    return 0 if all(row.is_met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
