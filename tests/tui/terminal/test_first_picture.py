"""The first picture is the dashboard's own, some moments earlier, and leaves the terminal as it was."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import socket
import subprocess
import termios
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.model import LeakReport
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.text.toned_text import Toned, text_of
from pgwatch_tests.tui.app import Dashboard
from pgwatch_tests.tui.terminal.first_picture import in_sequences, lines
from pgwatch_tests.tui.widgets.header_figures import live_manner
from screenshots.pictures import settled
from tests.cli.running import environment
from tests.locks.snapshots import session, snapshot
from tests.tui.driving import NEVER, blocked_snapshot, screen_text
from tests.waiting import PATIENCE_S

PLACE = re.compile(r"\x1b\[([0-9]+);1H")
SGR = re.compile(rb"\x1b\[([0-9;:]*)m")
MODE = re.compile(rb"\x1b\[\?([0-9]+)([hl])")
PRINTED = st.characters(exclude_categories=("Cc", "Cs"))
MANNER = live_manner(NEVER, is_read_only=True)
OTHER_SCREEN = b"\x1b[?1049h"
BACK = b"\x1b[?1049l"


def quiet_snapshot() -> LockSnapshot:
    return settle(None, snapshot(sessions=(session(1, state="idle"),)))


def spread_snapshot() -> LockSnapshot:
    """The blocker is in another database than the tested one, where its waiters are."""
    seen = blocked_snapshot()
    root, *others = seen.sessions
    return replace(seen, sessions=(replace(root, database="test_gw1"), *others))


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
@pytest.mark.parametrize(
    "seen",
    [blocked_snapshot(), quiet_snapshot(), spread_snapshot()],
    ids=["blocked", "quiet", "in two databases"],
)
async def test_it_shows_what_the_dashboard_then_shows_in_the_same_place(
    seen: LockSnapshot, size: tuple[int, int]
) -> None:
    early = [text_of(tuple(line)).rstrip() for line in lines(seen, MANNER, size)]

    async def read_locks() -> LockSnapshot:
        return seen

    async def read_leaks() -> LeakReport:
        await asyncio.Event().wait()
        raise AssertionError

    app = Dashboard(read_locks, read_leaks, refresh_s=NEVER)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        then = [line.rstrip() for line in screen_text(app).split("\n")]

    assert early == [line if number not in (2, 3) else "" for number, line in enumerate(then[: len(early)])]


@given(
    st.lists(st.lists(st.builds(Toned, st.text(PRINTED), st.sampled_from(["", "root", "quiet"])))),
    st.integers(1, 60),
    st.integers(1, 20),
)
def test_no_line_leaves_its_place(shown: list[list[Toned]], width: int, height: int) -> None:
    written = in_sequences(iter(shown), (width, height), colours=False)

    found = PLACE.split(re.sub(r"\x1b\[[0-9;]*m", "", written))[1:]
    assert found[::2] == [str(number) for number in range(1, min(height, len(shown)) + 1)]
    assert all(cell_len(text) <= width for text in found[1::2])


WAITS = """
import signal, sys, termios
from pgwatch_tests.tui.terminal.first_picture import FirstPicture
from pgwatch_tests.tui.widgets.header_figures import live_manner
from tests.tui.driving import blocked_snapshot
with FirstPicture(live_manner(1.0, is_read_only=False)) as picture:
    picture.show(blocked_snapshot())
    signal.pause()
"""


def until_written(terminal: int, *words: bytes) -> bytes:
    """What was written to a terminal until all of `words` are there."""
    written = b""
    while not all(word in written for word in words):
        ready, _, _ = select.select([terminal], [], [], PATIENCE_S)
        assert ready, written
        written += os.read(terminal, 65_536)
    return written


def until_ended(terminal: int, process: subprocess.Popen[bytes]) -> bytes:
    """All that a process writes to a terminal; a full one would keep it from its end."""
    written, deadline_s = b"", time.monotonic() + PATIENCE_S
    while process.poll() is None or select.select([terminal], [], [], 0)[0]:
        assert time.monotonic() < deadline_s, written
        if select.select([terminal], [], [], 0.05)[0]:
            written += os.read(terminal, 65_536)
    return written


def test_it_gives_the_terminal_back_when_it_is_ended_meanwhile(python: str) -> None:
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    with subprocess.Popen(
        [python, "-c", WAITS], stdin=theirs, stdout=theirs, stderr=theirs, env=environment()
    ) as process:
        until_written(ours, b"blocks 2 tests")
        assert not termios.tcgetattr(theirs)[3] & termios.ECHO
        process.send_signal(signal.SIGTERM)
        until_written(ours, BACK)
        assert process.wait(timeout=PATIENCE_S) == 128 + signal.SIGTERM
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


FAILS = """
import asyncio, os, signal, sys
from textual.drivers.linux_driver import LinuxDriver
from pgwatch_tests.tui.terminal.first_picture import FirstPicture
from pgwatch_tests.tui.terminal.graceful_exit import run_until_left
from pgwatch_tests.tui.widgets.header_figures import live_manner
from tests.tui.driving import Feed, blocked_snapshot, leak_report

def fail(*_, **__):
    raise RuntimeError("planned")

async def run(where):
    picture.hand_over(app := Feed(blocked_snapshot(), leak_report()).dashboard())
    if where == "before the driver":
        fail()
    if where == "ended before the driver":
        os.kill(os.getpid(), signal.SIGTERM)
    if where == "no driver":
        app.driver_class.__init__ = fail
    if where == "half a driver":
        LinuxDriver._query_in_band_window_resize = fail
    if where == "in the app":
        type(app).on_mount = fail
    if where.startswith("nowhere"):
        asyncio.get_running_loop().call_later(float(where.split()[-1]), app.exit)
    return await run_until_left(app)

with FirstPicture(live_manner(1.0, is_read_only=False)) as picture:
    picture.show(blocked_snapshot())
    code = asyncio.run(run(sys.argv[1]))
sys.exit(code)
"""

TELLING = ("before the driver", "no driver", "half a driver", "in the app")


@pytest.mark.parametrize(
    ("where", "exit_code"),
    [
        # Python's own: the command line makes 70 of it.
        ("before the driver", 1),
        ("ended before the driver", 143),
        ("no driver", 1),
        ("half a driver", 1),
        ("in the app", 1),
        *((f"nowhere, but left after {seconds}", 0) for seconds in (0.02, 0.05, 0.1)),
    ],
)
def test_the_terminal_comes_back_once_wherever_the_app_fails(where: str, exit_code: int, python: str) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    before = termios.tcgetattr(theirs)
    with subprocess.Popen(
        [python, "-c", FAILS, where],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(),
    ) as process:
        written = until_ended(ours, process)
        assert process.returncode == exit_code
    assert written.count(OTHER_SCREEN) == written.count(BACK) == 1
    modes = dict(MODE.findall(written))
    # Wrapping and the cursor are on again, all that reports something is off.
    assert {mode for mode, state in modes.items() if state == b"h"} == {b"7", b"25"}, modes
    assert termios.tcgetattr(theirs) == before
    assert ("planned" in written.decode()) == (where in TELLING)
    os.close(ours)
    os.close(theirs)


def test_the_dashboard_draws_over_it_and_takes_what_was_typed(server: EmbeddedServer, python: str) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    before = termios.tcgetattr(theirs)
    command = [python, "-m", "pgwatch_tests", "dashboard", "--dsn", server.dsn()]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment()) as process:
        written = until_written(ours, OTHER_SCREEN, b"othing is blocked")
        os.write(ours, b"q")
        written += until_written(ours, BACK)
        assert process.wait(timeout=PATIENCE_S) == 0
    assert written.count(OTHER_SCREEN) == 1
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


FAULTY = """
import sys
from pgwatch_tests import cli
from pgwatch_tests.tui.app import Dashboard

def fail(self, outcome):
    password = f"secret of {outcome}"
    raise RuntimeError("planned")

Dashboard._on_locks = fail
sys.exit(cli.run(sys.argv[1:]))
"""


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_is_told_in_a_line_without_the_values_of_variables(debug: bool, python: str) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    arguments = [*(["--debug"] * debug), "dashboard", "--dsn", "postgresql://app@127.0.0.1:1/x"]
    command = [python, "-c", FAULTY, *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment()) as process:
        written = until_ended(ours, process)
        assert process.returncode == 70
    # What ends the modes of the mouse comes behind that of the screen.
    told = re.sub(r"\x1b\[\?[0-9]+[hl]", "", written.rpartition(BACK)[2].decode()).strip().splitlines()
    assert told[-1].startswith("pgwatch-tests: internal error, please report it: RuntimeError in <string>:8 ")
    assert (len(told) == 1) is not debug
    assert not [line for line in told if "secret of PollFailed" in line]
    os.close(ours)
    os.close(theirs)


def test_it_is_drawn_on_stdout_where_stderr_is_a_file(
    server: EmbeddedServer, python: str, tmp_path: Path
) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [python, "-m", "pgwatch_tests", "dashboard", "--dsn", server.dsn()]
    errors = tmp_path / "errors.txt"
    with (
        errors.open("wb") as file,
        subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=file, env=environment()) as process,
    ):
        written = until_written(ours, OTHER_SCREEN, b"othing is blocked", b"Filter")
        os.write(ours, b"q")
        written += until_ended(ours, process)
        assert process.returncode == 0
    assert written.count(OTHER_SCREEN) == written.count(BACK) == 1
    assert errors.read_bytes() == b""
    os.close(ours)
    os.close(theirs)


def test_no_colour_is_sent_under_no_color(server: EmbeddedServer, python: str) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [python, "-m", "pgwatch_tests", "dashboard", "--dsn", server.dsn()]
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment({"NO_COLOR": "1", "TERM": "xterm-256color"}),
    ) as process:
        written = until_written(ours, OTHER_SCREEN, b"Filter")
        os.write(ours, b"?")
        written += until_written(ours, b"Keys")
        os.write(ours, b"\x03")
        written += until_written(ours, BACK)
        assert process.wait(timeout=PATIENCE_S) in (0, 130)
    os.close(ours)
    os.close(theirs)
    sent = {int(one) for found in SGR.findall(written) for one in re.split(b"[;:]", found) if one}
    # ECMA-48: of the first ten, bold, faint, underlined, reversed; from 30 on, colours.
    assert 1 in sent
    assert max(sent) < 30, sent


def test_a_letter_that_comes_in_two_parts_is_one(server: EmbeddedServer, python: str) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [python, "-m", "pgwatch_tests", "dashboard", "--dsn", server.dsn()]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment()) as process:
        until_written(ours, b"Filter")
        os.write(ours, b"/a\xc3")
        until_written(ours, b"a")
        os.write(ours, b"\xa4b\xff")
        until_written(ours, "ä".encode(), b"b", "\ufffd".encode())
        os.write(ours, b"\x03")
        until_written(ours, BACK)
        assert process.wait(timeout=PATIENCE_S) in (0, 130)
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_left_without_a_connection_it_says_so_once_more_and_ends_with_3(key: bytes, python: str) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with socket.socket() as nobody:
        # Bound, not listening: a port that refuses connections, and that nobody else gets meanwhile.
        nobody.bind(("127.0.0.1", 0))
        dsn = f"postgresql://app:secret@127.0.0.1:{nobody.getsockname()[1]}/test_app"
        command = [python, "-m", "pgwatch_tests", "dashboard", "--dsn", dsn]
        with subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment()
        ) as process:
            until_written(ours, b"Connection refused", b"Filter")
            os.write(ours, key)
            written = until_ended(ours, process)
            assert process.returncode == 3
    told = written.rpartition(BACK)[2]
    assert b"pgwatch-tests: cannot connect" in told
    assert b"refused" in told
    assert b"secret" not in written
    os.close(ours)
    os.close(theirs)
