"""The dashboard at the near end of a real SSH tunnel, which breaks off and is opened again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.chromium import browser, needs_chromium
from tests.servers.server_places import SHORT
from tests.servers.sessions import Connect, Database, blocked
from tests.waiting import PATIENCE_S, wait_until
from tests.web.served import served
from tests.web.tab import Tab

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    needs_chromium,
    pytest.mark.skipif(
        SSHD is None or shutil.which("ssh") is None,
        reason="needs SSH's client and server: apt-get install openssh-client openssh-server",
    ),
]


@pytest.fixture
def host(python: str) -> Iterator[list[str]]:
    """Options of ssh for this machine, by a server that runs as long as its connection."""
    assert python  # a process is started
    # Values of options have their own rules for spaces and percent signs, and TMPDIR may have both.
    with TemporaryDirectory(dir=SHORT, prefix="pgwatch-ssh-") as folder:
        yield options(Path(folder))


def options(folder: Path) -> list[str]:
    """Those of ssh; makes keys and the server's settings in `folder`."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    if os.geteuid() == 0:
        # Where Debian's service makes it; sshd doesn't start without.
        Path("/run/sshd").mkdir(exist_ok=True)
    settings = folder / "sshd_config"
    settings.write_text(
        f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPidFile none\n"
    )
    known = (folder / "host.pub").read_text().split()
    (folder / "known_hosts").write_text(f"ci {known[0]} {known[1]}\n")
    given = {
        "ProxyCommand": f"{SSHD} -i -f {settings}",
        "IdentityFile": str(folder / "user"),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(folder / "known_hosts"),
        "ExitOnForwardFailure": "yes",
        "BatchMode": "yes",
    }
    return ["-F", "none", *(f"-o{name}={value}" for name, value in given.items())]


@contextmanager
def tunnel(near: int, far: int, host: list[str]) -> Iterator[None]:
    """`ssh -L NEAR:127.0.0.1:FAR ci`, from when it takes connections until it is killed."""
    command = ["ssh", *host, "-N", "-L", f"{near}:127.0.0.1:{far}", "ci"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    stderr = process.stderr
    assert stderr is not None
    try:
        wait_until(lambda: is_open(near) or process.poll() is not None, message="the tunnel")
        assert process.poll() is None, stderr.read()
        yield
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        stderr.close()


def is_open(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def test_keys_sizes_and_a_tunnel_that_is_opened_again(
    database: Database, home: Path, connect: Connect, host: list[str], tmp_path: Path
) -> None:
    holder, waiter = connect("pytest:gw0 t.py::test_holder"), connect("pytest:gw1 t.py::test_waiter")
    holder.execute("SELECT pg_advisory_lock(4711)")
    blocked(waiter, "SELECT pg_advisory_lock(4711)")
    near = free_port()
    with served(home, extra={"PGWATCH_DSN": database.dsn}) as running, browser(tmp_path) as opened:
        opened.size(1280, 800)
        tab = Tab(opened)
        with tunnel(near, running.port, host):
            tab.open(running.link.replace(str(running.port), str(near)))
            tab.shows("test_holder", "test_waiter", "advisory lock 4711")
            opened.press("2")
            tab.shows("State", "Query", str(holder.info.backend_pid))
            columns = tab.size[0]
            opened.size(800, 500)
            wait_until(lambda: tab.size[0] < columns)
            tab.shows("/100 conns")
            (dashboard,) = running.dashboards()
        tab.says("The connection is lost. Trying again")
        with tunnel(near, running.port, host):
            tab.shows("State", "Waits for", str(holder.info.backend_pid))
            assert running.dashboards() == [dashboard]
            opened.press("1")
            tab.shows("Blocks", "test_holder")
