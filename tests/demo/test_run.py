"""The whole demo: there when it is needed, gone without a trace however it ends."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from pgwatch_tests.demo.run import DATABASE, TERMINATED, running_demo
from tests.embedded.processes import Owner, assert_gone, owner
from tests.servers.server_places import base
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.usefixtures("programs")


def directory_of(dsn: str) -> Path:
    """The directory of the server that a DSN leads to."""
    return Path(parse_qs(urlsplit(dsn).query)["host"][0]).parent


def test_shows_something_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(base()))
    progress: list[str] = []
    handler = signal.getsignal(signal.SIGTERM)
    with running_demo(progress.append) as demo:
        demo.suite.wait_until_interesting()
        directory = directory_of(demo.dsn)
        with psycopg.connect(demo.dsn) as connection:
            row = connection.execute("SELECT current_database(), count(*) FROM users").fetchone()
            assert row is not None
            assert row[0] == DATABASE
            assert row[1] > 6
    assert not directory.exists()
    assert signal.getsignal(signal.SIGTERM) is handler
    assert "flaky suite started" in "\n".join(progress)


def end(demo: Owner, dsn: str, number: int) -> int:
    """Sends a signal as a terminal does, to the whole process group; waits until nothing is left."""
    family = demo.family()
    os.killpg(demo.process.pid, number)
    assert_gone(family, directory_of(dsn))
    return demo.process.wait(timeout=PATIENCE_S)


def test_a_killed_demo_leaves_nothing() -> None:
    with owner("demo", "0") as demo:
        assert end(demo, demo.hear()["dsn"], signal.SIGKILL) == -signal.SIGKILL


def test_two_side_by_side_end_by_signals_and_leave_nothing() -> None:
    with owner("demo", "0") as one, owner("demo", "0") as other:
        dsns = [one.hear()["dsn"], other.hear()["dsn"]]
        assert directory_of(dsns[0]) != directory_of(dsns[1])
        assert end(one, dsns[0], signal.SIGTERM) == TERMINATED
        with psycopg.connect(dsns[1]) as connection:
            connection.execute("SELECT FROM users")
        assert end(other, dsns[1], signal.SIGINT) == -signal.SIGINT


@pytest.mark.parametrize(
    ("line", "number", "exit_code"),
    [("1", signal.SIGTERM, TERMINATED), ("2", signal.SIGINT, -signal.SIGINT)],
)
def test_a_signal_during_start_up_leaves_nothing(line: str, number: int, exit_code: int) -> None:
    with owner("demo", line) as ended:
        ended.hear()
        family = ended.family()
        ended.process.send_signal(number)
        assert ended.process.wait(timeout=PATIENCE_S) == exit_code
        # Its end comes last: nothing is left for a guardian to do.
        assert family
        assert not [process for process in family if process.is_running()]
