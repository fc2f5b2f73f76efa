"""The guarded process: the owner's side of the guardian. Server and directories can't outlive the owner."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgwatch_tests.embedded import guardian
from pgwatch_tests.embedded.account import ServerAccount
from pgwatch_tests.errors import ConfigurationError, ConnectionLostError

_ANSWER_LIMIT_S = 30.0


class GuardedProcess:
    """Makes directories and runs one process at a time. Both are gone after `close`, or with the owner."""

    def __init__(self, account: ServerAccount | None) -> None:
        self._account = account
        self._directories: list[Path] = []
        self._pending = b""
        self.pid: int | None = None
        """The running process; None once its exit was seen."""
        self.exit_code: int | None = None
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", Path(guardian.__file__).resolve()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )

    def make_directory(self, path: Path, *, for_account: bool = False) -> None:
        """Makes `path`, which must not exist: private, or private to the server's account.

        A directory of ours can be passed through by the server's account, but not listed.
        """
        account = self._account
        self._ask(
            "made",
            do="make_directory",
            path=str(path),
            mode=0o711 if account is not None and not for_account else 0o700,
            **_ids(account if for_account else None),
        )
        self._directories.append(path)

    def start(self, argv: Sequence[str | Path], *, log: Path, environment: Mapping[str, str]) -> None:
        """Starts a program as the server's account, its output appended to `log`."""
        self.exit_code = None
        answer = self._ask(
            "started",
            do="start",
            argv=[str(part) for part in argv],
            log=str(log),
            cwd=str(log.parent),
            environment=dict(environment),
            **_ids(self._account),
        )
        self.pid = answer["pid"]

    def signal(self, number: int) -> None:
        """Sends a signal to the process, if it is still there."""
        if self.pid is not None:
            self._ask("signalled", do="signal", number=int(number))

    def wait(self, limit_s: float) -> bool:
        """Whether the process ended, waiting for at most `limit_s`."""
        deadline = time.monotonic() + limit_s
        while self.pid is not None and self._event(deadline) is not None:
            pass
        return self.pid is None

    def close(self) -> None:
        """Ends the process and removes the directories; returns when both are done."""
        assert self._guardian.stdin is not None
        assert self._guardian.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._guardian.stdin.close()
        if self._guardian.wait() != 0:
            self._clean_up_alone()
        self._guardian.stdout.close()
        self.pid = None

    def _clean_up_alone(self) -> None:
        """Does the guardian's work after it was killed."""
        pid = self.pid
        if pid is not None:
            guardian.end(lambda number: os.kill(pid, number), lambda limit_s: _gone(pid, limit_s))
        for directory in reversed(self._directories):
            guardian.remove(directory)

    def _ask(self, expected: str, **command: object) -> dict[str, Any]:
        assert self._guardian.stdin is not None
        try:
            self._guardian.stdin.write(json.dumps(command).encode() + b"\n")
            self._guardian.stdin.flush()
        except BrokenPipeError:
            raise _lost() from None
        deadline = time.monotonic() + _ANSWER_LIMIT_S
        while (event := self._event(deadline)) is not None:
            if event["event"] == expected:
                return event
            if event["event"] == "failed":
                raise ConfigurationError(f"the embedded server can't be set up: {event['reason']}")
        raise ConnectionLostError("the embedded server's guardian doesn't answer")

    def _event(self, deadline: float) -> dict[str, Any] | None:
        """The guardian's next event, or None if none came before the deadline."""
        assert self._guardian.stdout is not None
        descriptor = self._guardian.stdout.fileno()
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        while b"\n" not in self._pending:
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            data = os.read(descriptor, 65536)
            if not data:
                raise _lost()
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "exited":
            self.pid, self.exit_code = None, event["code"]
        return event


def _lost() -> ConnectionLostError:
    return ConnectionLostError("the embedded server's guardian was killed")


def _ids(account: ServerAccount | None) -> dict[str, int | None]:
    return {"uid": None, "gid": None} if account is None else {"uid": account.uid, "gid": account.gid}


def _gone(pid: int, limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False
