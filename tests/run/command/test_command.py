"""The command of a run: exit codes, signals once, and a terminal as without us."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pgwatch_tests.run.command import command
from pgwatch_tests.run.command.command import Command, NotStartedError
from pgwatch_tests.run.command.signals import SignalRelay
from tests.cli.running import environment, pgwatch
from tests.run.programs import PROGRAM, SignalTeller, arguments
from tests.terminals import needs_tmux, terminal
from tests.waiting import wait_until

_NOWHERE = {"PGWATCH_DSN": "postgresql://nobody@127.0.0.1:1/none"}


@pytest.mark.parametrize(
    ("option", "value", "code", "told"),
    [
        ("--since", "none.json", 2, "none.json: No such file"),
        ("--since", "pyproject.toml", 2, "pyproject.toml"),
        ("--tests", "none.txt", 2, "none.txt: No such file"),
        ("--junit", ".", 2, "'./*.xml'"),
        ("--junit", "**x.xml", 2, "isn't a pattern"),
        # What the command may yet write.
        ("--tests", "reports/*.xml", 0, ""),
        ("--junit", "reports/none.xml", 0, ""),
    ],
)
def test_a_file_that_cannot_be_read_is_told_before_the_command(
    home: Path, python: str, option: str, value: str, code: int, told: str
) -> None:
    done = pgwatch(home, "run", "--no-record", option, value, "--", "touch", "ran", extra=_NOWHERE)
    assert (done.returncode, (home / "ran").exists()) == (code, not code), done.stderr
    assert told in done.stderr


def test_a_lane_without_a_server_says_where_the_connection_string_is_from(home: Path, python: str) -> None:
    done = pgwatch(home, "run", "--no-record", "--lane", "--", "touch", "ran", extra=_NOWHERE)
    assert (done.returncode, (home / "ran").exists()) == (3, False)
    assert "cannot connect (PGWATCH_DSN)" in done.stderr


def test_exit_codes_are_those_of_a_shell(home: Path, python: str) -> None:
    """One run per kind of end; the index tells each of them."""
    script = home / "script"
    script.write_text("exit 5\n")
    script.chmod(0o755)
    (home / "plain").write_text("")
    ends = {
        ("sh", "-c", "exit 3"): 3,
        ("sh", "-c", "kill -9 $$"): 137,
        ("./script",): 5,  # without its #! line
        ("./plain",): 126,
        ("PGPASSWORD=hidden",): 127,
        ("no-such-command",): 127,
        ("",): 127,
    }
    told = ""
    for words, exit_code in ends.items():
        done = pgwatch(home, "run", "--no-record", "--", *words, extra=_NOWHERE)
        assert done.returncode == exit_code, (words, done.stderr)
        index = json.loads((home / "pgwatch-results" / "run.json").read_text())
        shown = tuple(word.replace("hidden", "***") for word in words)
        assert (index["exit_code"], tuple(index["command"])) == (exit_code, shown)
        assert "hidden" not in done.stderr
        told += done.stderr
        assert index["ended"] is not None
        assert index["signal"] == (9 if exit_code == 137 else None)
    assert "no-such-command: command not found" in told


def test_a_command_that_is_nowhere_isnt_one_that_may_not_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """execvp() tells EACCES where one of the directories may not be searched, or has one of that name."""
    (tmp_path / "no-such-command").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(NotStartedError) as refused:
        Command(["no-such-command"], {}).start()
    assert refused.value.status == 127


def test_streams_descriptors_and_environment_are_the_commands_own(home: Path, python: str) -> None:
    """Standard input, output and an inherited descriptor; the run's id, name and place of logs are added."""
    read_end, write_end = os.pipe()
    tell = (
        "import os, sys; os.write(int(sys.argv[1]), b'inherited'); print(sys.stdin.read(), end='');"
        "print(*(os.environ[name] for name in ('PGWATCH_RUN', 'PGAPPNAME', 'PGWATCH_LOG_DIR')), sep='|')"
    )
    done = subprocess.run(
        arguments(sys.executable, "-c", tell, str(write_end), options=["--no-record", "--name", "unit"]),
        cwd=home,
        env=environment(_NOWHERE),
        input="typed\n",
        pass_fds=[write_end],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(write_end)
    with os.fdopen(read_end) as inherited:
        assert inherited.read() == "inherited"
    index = json.loads((home / "pgwatch-results" / "unit" / "run.json").read_text())
    name = f"run:{index['run']} {Path(sys.executable).name}"
    logs = home / "pgwatch-results" / "unit" / "logs"
    assert done.stdout == f"typed\n{index['run']}|{name}|{logs}\n"


def test_what_the_whole_group_gets_is_not_passed_on(home: Path, python: str) -> None:
    """As `timeout` signals: its child, then everybody."""
    teller = SignalTeller(home, 2)
    running = subprocess.Popen(
        arguments(*teller.command, options=["--no-record"]),
        cwd=home,
        env=environment(_NOWHERE),
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    teller.pid()
    running.send_signal(signal.SIGINT)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(60) == 0
    assert teller.signals == ["SIGINT"]


def test_what_only_we_get_is_passed_on_once_and_a_second_signal_kills(home: Path, python: str) -> None:
    """SIGINT, then SIGTERM, as GitHub cancels a job; ignored signals stay ignored, others are passed on."""
    teller = SignalTeller(home, 60)
    running = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *arguments(*teller.command, options=["--no-record"])],
        cwd=home,
        env=environment(_NOWHERE),
        stderr=subprocess.DEVNULL,
    )
    teller.pid()
    running.send_signal(signal.SIGHUP)
    running.send_signal(signal.SIGUSR1)
    wait_until(lambda: teller.signals == ["SIGUSR1"])
    running.send_signal(signal.SIGINT)
    wait_until(lambda: teller.signals == ["SIGUSR1", "SIGINT"])
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 137
    assert teller.signals == ["SIGUSR1", "SIGINT"]
    index = json.loads((home / "pgwatch-results" / "run.json").read_text())
    assert (index["exit_code"], index["signal"]) == (137, 9)


def test_a_killed_run_can_be_told(home: Path, python: str) -> None:
    """After kill -9 of us, run.json says that there was no end, and the next run takes the place."""
    teller = SignalTeller(home, 60)
    running = subprocess.Popen(
        arguments(*teller.command, options=["--no-record"]), cwd=home, env=environment(_NOWHERE)
    )
    pid = teller.pid()
    index = home / "pgwatch-results" / "run.json"
    beside = pgwatch(home, "run", "--no-record", "true", extra=_NOWHERE)
    assert beside.returncode == 0
    assert "another run is at work in it" in beside.stderr
    [other] = [path for path in index.parent.iterdir() if path.name.startswith("run-")]
    assert json.loads((other / "run.json").read_text())["exit_code"] == 0
    running.kill()
    running.wait()
    os.kill(pid, signal.SIGKILL)
    told = json.loads(index.read_text())
    assert (told["ended"], told["exit_code"]) == (None, None)
    assert pgwatch(home, "run", "--no-record", "true", extra=_NOWHERE).returncode == 0
    assert json.loads(index.read_text())["run"] != told["run"]


@needs_tmux
def test_a_terminal_is_the_commands(home: Path, python: str) -> None:
    """Ctrl-Z and fg, Ctrl-C once, and the end of a shell's loop, in an interactive shell."""
    teller = SignalTeller(home, 60)
    line = shlex.join([*PROGRAM, "run", "--no-record", "--"])
    suite = shlex.join([sys.executable, "teller.py", str(teller.file), "60"])
    with terminal(["bash", "--norc", "-i"], {**environment(_NOWHERE), "PS1": "$ "}) as screen:
        (home / "teller.py").write_text(
            f"import os; print('tty', os.isatty(0), os.isatty(1))\n{teller.command[2]}"
        )
        screen.type(f"cd {shlex.quote(str(home))}; clear; {line} {suite}; echo code $?\r")
        pid = teller.pid()
        screen.shows("tty True True")
        screen.press("C-z")
        screen.shows("Stopped")
        assert _is_stopped(pid)
        screen.type("clear; fg; echo code $?\r")
        wait_until(lambda: not _is_stopped(pid))
        screen.press("C-c")
        wait_until(lambda: teller.signals == ["SIGINT"])
        os.kill(pid, signal.SIGKILL)
        screen.shows("code 137")
        screen.type(f"clear; for i in 1 2; do {line} sh -c 'echo turn $0; exec sleep 60' $i; done\r")
        screen.shows("turn 1")
        screen.press("C-c")
        screen.until(lambda shown: shown.rstrip().endswith("$"))
        screen.type("echo code $?\r")
        assert "turn 2" not in screen.shows("code 130")
    assert teller.signals == ["SIGINT"]


def _is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def test_a_command_that_runs_again_isnt_taken_for_a_stopped_one(
    monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    """After `fg`. The kernel forgets that a process was continued once it dies, which may take a while."""
    ours: list[bool] = []
    stopping = Command(["sh", "-c", "kill -STOP $$; sleep 0.2; exit 7"], os.environ)

    def go_on(_seconds: float) -> None:
        os.kill(stopping.pid, signal.SIGCONT)
        assert os.waitid(os.P_PID, stopping.pid, os.WCONTINUED)

    # Without a terminal of its own, no key stops a process group.
    monkeypatch.setattr(command, "_OF_TERMINALS", (signal.SIGSTOP,))
    monkeypatch.setattr(command, "_stop_as_well", lambda: ours.append(True))
    monkeypatch.setattr("time.sleep", go_on)
    stopping.start()
    assert stopping.wait().exit_code == 7
    assert not ours


def test_a_command_that_dies_while_it_is_stopped_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    stopping = Command(["sh", "-c", "kill -STOP $$"], os.environ)

    def die(_seconds: float) -> None:
        os.kill(stopping.pid, signal.SIGKILL)
        assert os.waitid(os.P_PID, stopping.pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(command, "_OF_TERMINALS", (signal.SIGSTOP,))
    monkeypatch.setattr("time.sleep", die)
    stopping.start()
    assert stopping.wait().signal == signal.SIGKILL


def test_no_kill_is_expected_after_a_key_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt or a debugger goes on after Ctrl-C; the kernel tells that it was one."""
    # Whoever runs the tests under nohup has one of them ignored.
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    relay = SignalRelay()
    relay._take(signal.SIGINT, from_kernel=True)
    assert (relay.first, relay.first_at) == (signal.SIGINT, None)
    relay._take(signal.SIGTERM, from_kernel=False)
    assert (relay.first, relay.first_at is None) == (signal.SIGINT, False)
    hung_up = SignalRelay()
    hung_up._take(signal.SIGHUP, from_kernel=True)
    assert hung_up.first_at is not None
