"""The guardian: a small process that runs a server for its owner, and cleans up when the owner is gone.

Its standard input is a pipe to the owner: when that ends, for whatever reason (`kill -9` included),
it ends the server and removes the directories that it made. Commands come in as lines of JSON,
events go out the same way. It runs as a plain script under `python -I -S`: only the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Fast shutdown, immediate shutdown (PostgreSQL manual, Shutting Down the Server), and the end.
STOP_SEQUENCE = ((signal.SIGINT, 5.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))


def end(kill: Callable[[int], None], wait: Callable[[float], bool]) -> bool:
    """Ends a process by ever stronger signals. `wait` says whether it ended in that many seconds."""
    for number, patience_s in STOP_SEQUENCE:
        with contextlib.suppress(ProcessLookupError):
            kill(number)
        if wait(patience_s):
            return True
    return False


def remove(directory: Path) -> None:
    """Removes a directory; a few times, since a process that is just ending may still write into it."""
    for _ in range(50):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.1)


class _Guardian:
    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._directories: list[Path] = []
        self._told_to_end = False

    def serve(self) -> None:
        signals = self._signals()
        poller = select.poll()
        poller.register(0, select.POLLIN)
        poller.register(signals, select.POLLIN)
        pending = b""
        try:
            while not self._told_to_end:
                readable = {descriptor for descriptor, _ in poller.poll()}
                if signals in readable:
                    os.read(signals, 4096)
                self._report_exit()
                if 0 in readable:
                    data = os.read(0, 65536)
                    if not data:
                        return
                    *lines, pending = (pending + data).split(b"\n")
                    for line in lines:
                        self._obey(json.loads(line))
        finally:
            self._end_child()
            for directory in reversed(self._directories):
                remove(directory)

    def _signals(self) -> int:
        """A descriptor that becomes readable with each signal that concerns us."""
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        # Handlers, not SIG_IGN: what is ignored would stay ignored in the server.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGHUP, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_terminate)
        return read_end

    def _on_terminate(self, *_: object) -> None:
        self._told_to_end = True

    def _obey(self, command: dict[str, Any]) -> None:
        try:
            match command["do"]:
                case "make_directory":
                    self._make_directory(command)
                case "start":
                    self._start(command)
                case "signal":
                    if self._child is not None:
                        os.killpg(self._child.pid, command["number"])
                    self._tell(event="signalled")
        except OSError as error:
            self._tell(event="failed", reason=str(error))

    def _make_directory(self, command: dict[str, Any]) -> None:
        path = Path(command["path"])
        path.mkdir(mode=0o700)
        self._directories.append(path)
        if command["uid"] is not None:
            os.chown(path, command["uid"], command["gid"])
        path.chmod(command["mode"])
        self._tell(event="made")

    def _start(self, command: dict[str, Any]) -> None:
        uid, gid = command["uid"], command["gid"]
        with Path(command["log"]).open("ab") as log:
            self._child = subprocess.Popen(
                command["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=command["cwd"],
                env=command["environment"],
                user=uid,
                group=gid,
                extra_groups=None if uid is None else [],
                # Ctrl-C in the terminal is for the owner, who decides.
                start_new_session=True,
            )
        self._tell(event="started", pid=self._child.pid)

    def _report_exit(self) -> None:
        if self._child is not None and self._child.poll() is not None:
            self._tell(event="exited", code=self._child.returncode)
            self._child = None

    def _end_child(self) -> None:
        child = self._child
        if child is not None:
            end(lambda number: os.killpg(child.pid, number), lambda limit_s: _exited(child, limit_s))

    def _tell(self, **event: object) -> None:
        # An owner who is gone is noticed by the end of standard input.
        with contextlib.suppress(BrokenPipeError):
            os.write(1, json.dumps(event).encode() + b"\n")


def _exited(child: subprocess.Popen[bytes], limit_s: float) -> bool:
    try:
        child.wait(limit_s)
    except subprocess.TimeoutExpired:
        return False
    return True


if __name__ == "__main__":
    _Guardian().serve()
