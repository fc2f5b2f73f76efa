"""`pgwatch-tests serve` in a process of its own, requests to it, and a wire between that can be cut."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.cli.running import environment
from tests.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, headers and text."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    link: str
    process: subprocess.Popen[str]
    errors: Path

    @property
    def port(self) -> int:
        """The port of the link."""
        return urlsplit(self.link).port or 0

    @property
    def stderr(self) -> str:
        """What it has said so far to who started it."""
        return self.errors.read_text(encoding="utf-8")

    def dashboards(self) -> list[psutil.Process]:
        """The processes of its tabs."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def get(self, name: str = "", *, method: str = "GET", **headers: str) -> Answer:
        """Asks for what has that name below the link, or for a path that begins with a slash."""
        path = name if name.startswith("/") else urlsplit(self.link).path + name
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for header, value in headers.items():
                connection.putheader(header.replace("_", "-"), value)
            connection.endheaders()
            response = connection.getresponse()
            body = b"" if response.status == 101 else response.read()
            return Answer(response.status, dict(response.getheaders()), body.decode("utf-8", "replace"))
        finally:
            connection.close()

    def connect(self, **headers: str) -> Answer:
        """Asks for a websocket, which is closed at once if there is one: status 101."""
        asked = {
            "Origin": f"http://127.0.0.1:{self.port}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec_WebSocket_Version": "13",
            "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        return self.get("websocket?width=80&height=24", **{**asked, **headers})

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal. Returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def served(
    home: Path, *arguments: str, listen: str = "127.0.0.1:0", extra: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """A server that is killed at the end unless it has ended."""
    errors = home / f"serve-{len(list(home.glob('serve-*')))}"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "pgwatch_tests", "serve", "--listen", listen, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=home,
            env=environment(extra),
        )
    stdout = process.stdout
    assert stdout is not None
    try:
        link = stdout.readline().strip()
        assert link, errors.read_text()
        yield Served(link, process, errors)
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        stdout.close()


class Wire:
    """What a tunnel is: a port whose connections lead to another one, until it is cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._ends: list[socket.socket] = []
        self._whole = True
        self._flowing = threading.Event()
        self._flowing.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Loses all connections, and each new one, until it is mended."""
        self._whole = False
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Connections lead to the other port again."""
        self._whole = True

    def freeze(self) -> None:
        """Nothing comes through, and nobody is told, until it is thawed."""
        self._flowing.clear()

    def thaw(self) -> None:
        """All comes through again."""
        self._flowing.set()

    def close(self) -> None:
        """Cuts it for good."""
        self.thaw()
        self.cut()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                assert self._whole
                far = socket.create_connection(("127.0.0.1", self._target))
            except (AssertionError, OSError):
                near.close()
                continue
            self._ends += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                self._flowing.wait()
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    """A wire to a port of this machine."""
    made = Wire(port)
    try:
        yield made
    finally:
        made.close()
