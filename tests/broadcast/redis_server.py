"""A real redis-server on a free port of this machine, whose file takes each message before it answers."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path

MISSING = "no redis-server on this machine (Debian: apt-get install redis-server)"


def find_redis_server() -> str | None:
    return shutil.which("redis-server")


class RedisServer:
    """A server that can be stopped, killed, and started again with what its file holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port: int = sock.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = find_redis_server()
        assert program is not None, MISSING
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "enable-debug-command": "yes",
        }
        command = [program, *(str(part) for name, value in options.items() for part in (f"--{name}", value))]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise AssertionError("".join(said))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; harmless where it has ended."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(how)
            process.communicate(timeout=10)
