"""Whose process a session is: proved by sockets, and by nothing less."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from tempfile import TemporaryDirectory

import pytest

from pgwatch_tests.run.guards import TOKEN_VARIABLE
from pgwatch_tests.run.hangs.client_processes import ClientEnd, OwnEnd, owner_of, processes_of_run
from tests.servers.server_places import SHORT
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sockets of processes are read from /proc")

CONNECT = """
import os, socket, subprocess, sys
kind, place = sys.argv[1], sys.argv[2]
if kind == "tcp":
    connected = socket.create_connection(("127.0.0.1", int(place)))
else:
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(place)
sys.stdin.read()
"""


@pytest.fixture
def listening() -> Iterator[dict[str, socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        TemporaryDirectory(dir=SHORT, prefix="pgwatch-") as folder,
    ):
        unix.bind(f"{folder}/s")
        unix.listen()
        yield {"tcp": tcp, "unix": unix}


def place_of(listener: socket.socket) -> str:
    name = listener.getsockname()
    return name if isinstance(name, str) else str(name[1])


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_session_is_of_the_process_that_has_its_other_end(
    kind: str, listening: dict[str, socket.socket], python: str
) -> None:
    listener = listening[kind]
    with ExitStack() as stack:
        # As the server would: our own connection, then the one in question.
        own = stack.enter_context(socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX))
        own.connect(listener.getsockname())
        own_accepted = stack.enter_context(listener.accept()[0])
        child = stack.enter_context(
            subprocess.Popen([python, "-c", CONNECT, kind, place_of(listener)], stdin=subprocess.PIPE)
        )
        accepted = stack.enter_context(listener.accept()[0])
        port = int(place_of(listener)) if kind == "tcp" else None
        here = os.getpid()

        def end(of: socket.socket) -> ClientEnd:
            address, port = of.getpeername() if kind == "tcp" else (None, -1)
            return ClientEnd(address, port, here)

        told = end(own_accepted)
        us = OwnEnd(told, own.fileno(), port)
        assert us.is_direct
        assert owner_of(end(accepted), us, [child.pid]) == child.pid
        assert owner_of(end(accepted), us, [1]) is None
        if kind == "tcp":
            assert owner_of(end(own_accepted), us, [child.pid]) is None
            # Something in between: the server sees our connection with another port or address.
            natted = OwnEnd(replace(told, port=1), own.fileno(), port)
            assert not natted.is_direct
            assert owner_of(end(accepted), natted, [child.pid]) is None
            # 127.0.0.1 of another machine, and another server's port.
            assert owner_of(replace(end(accepted), address="127.0.0.2"), us, [child.pid]) is None
            assert owner_of(end(accepted), replace(us, server_port=1), [child.pid]) is None
        else:
            # A server in another space of pids: the pid that it tells is another process here.
            foreign = OwnEnd(replace(told, backend_pid=child.pid), own.fileno(), port)
            assert not foreign.is_direct
        child.stdin.close() if child.stdin else None


def test_processes_of_a_run_are_its_tree_and_whatever_has_its_token(python: str) -> None:
    tree = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()']).wait()"
    # Its parent ends at once, so that it belongs to no tree of ours.
    left = f"import subprocess; print(subprocess.Popen([{python!r}, '-c', 'input()']).pid, flush=True)"
    with subprocess.Popen([python, "-c", tree], stdin=subprocess.PIPE) as command:
        wait_until(lambda: len(processes_of_run(command.pid, "none")) == 2)
        environment = {**os.environ, TOKEN_VARIABLE: "1a2b3c4d5e6f"}
        with subprocess.Popen(
            [python, "-c", left], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        ) as daemon:
            assert daemon.stdout is not None
            orphan = int(daemon.stdout.readline())
            daemon_pid = daemon.pid
            wait_until(lambda: processes_of_run(command.pid, "1a2b3c4d5e6f") >= {command.pid, orphan})
            assert orphan not in processes_of_run(command.pid, "1a2b3c4d")
            assert orphan not in processes_of_run(daemon_pid, "other") or daemon.poll() is None
            daemon.stdin.close() if daemon.stdin else None
        assert os.getpid() not in processes_of_run(command.pid, "1a2b3c4d5e6f")
        command.stdin.close() if command.stdin else None
