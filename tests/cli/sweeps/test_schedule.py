from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.history.history import History
from pgwatch_tests.history.model import HistoryEntry
from tests.cli.running import environment
from tests.cli.sweeps.sweeping import LOCK
from tests.history.histories import settings
from tests.servers.sessions import Database
from tests.waiting import PATIENCE_S, wait_until

PROGRAM = ("-m", "pgwatch_tests")
TWO_JOBS = """
[tool.pgwatch-tests.schedule.nightly]
cron = "30 2 * * *"
timezone = "Europe/Berlin"
[tool.pgwatch-tests.schedule."cou\\u001bnt"]
every = "1d"
action = "leaks"
enabled = false
"""


class Project:
    """A directory with a pyproject.toml, and a history in it."""

    def __init__(self, home: Path, database: Database) -> None:
        self.home = home
        self.database = database
        self.declare("")

    def declare(self, jobs: str) -> None:
        text = f"[tool.pgwatch-tests]\nhistory = 'history.sqlite3'\n{jobs}"
        (self.home / "pyproject.toml").write_text(text, encoding="utf-8")

    @property
    def entries(self) -> Sequence[HistoryEntry]:
        return History.open(settings(self.home / "history.sqlite3")).entries(1000)

    def run(self, *arguments: str, dsn: str | None = None) -> subprocess.CompletedProcess[str]:
        """`pgwatch-tests schedule ARGUMENTS`, which ends by itself."""
        return subprocess.run(
            [sys.executable, *PROGRAM, "schedule", *arguments],
            capture_output=True,
            text=True,
            cwd=self.home,
            env=environment({"PGWATCH_DSN": dsn or self.database.dsn}),
            timeout=60,
        )

    @contextmanager
    def started(
        self, *arguments: str, lasts: str | None = None, journal: bool = False, **extra: str
    ) -> Iterator[subprocess.Popen[str]]:
        """`pgwatch-tests schedule ARGUMENTS`; with `lasts`, it sweeps as tests.cli.sweeps.sweeping does."""
        program = PROGRAM if lasts is None else ("-m", "tests.cli.sweeps.sweeping", lasts)
        reading, writing = os.pipe()
        status = os.fstat(writing)
        if journal:
            extra["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
        with (
            os.fdopen(reading, encoding="utf-8") as stderr,
            subprocess.Popen(
                [sys.executable, *program, "schedule", *arguments],
                stdout=subprocess.PIPE,
                stderr=writing,
                text=True,
                cwd=self.home,
                env=environment({"PGWATCH_DSN": self.database.dsn, **extra}),
            ) as process,
        ):
            os.close(writing)
            process.stderr = stderr
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def project(tmp_path: Path, database: Database) -> Project:
    """A project whose database is the test's."""
    return Project(tmp_path, database)


def read_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Lines of a process's stderr, up to one with these words in it."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip("\n"))
        if words in line:
            return lines
    raise AssertionError(f"it ended without {words!r}: {lines}")


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Its exit code, and the rest of its stderr."""
    assert process.stderr is not None
    lines = process.stderr.read().splitlines()
    return process.wait(PATIENCE_S), lines


def is_swept(observer: Connection[TupleRow]) -> bool:
    """Whether a sweep of tests.cli.sweeps.sweeping is at work."""
    query = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted"
    return observer.execute(query, [LOCK]).fetchone() is not None


def test_leaks_are_counted_again_and_again(project: Project, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE users (email text)")
    owner.execute("INSERT INTO users VALUES ('a@test.example.com')")
    project.declare("[tool.pgwatch-tests.schedule.count]\nevery = '1s'\naction = 'leaks'")
    with project.started("run") as process:
        lines = [*read_until(process, "leaked row"), *read_until(process, "leaked row")]
        process.send_signal(signal.SIGTERM)
        exit_code, rest = ended(process)

    assert exit_code == 0
    told = [line.split(" ", 1)[1] for line in rest]
    assert "SIGTERM: stopping after this batch; a second signal stops now" in told
    assert told[-1] == "ended"
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in lines + rest)
    assert "started: count; server " in lines[0]
    assert any("count: next run at " in line for line in lines)
    assert re.search(rf"count: {project.database.name}: done: 1 leaked row, 0 other leftovers \(", lines[-1])
    assert {(entry.job, entry.trigger, entry.leaked_rows) for entry in project.entries} == {
        ("count", "schedule", 1)
    }


def test_a_real_sweep(project: Project, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE users (email text)")
    owner.execute("INSERT INTO users VALUES ('a@test.example.com'), ('real@x.org')")
    with project.started("run", "--every", "1s", "--only", "rows", "--min-age", "0s") as process:
        read_until(process, "done: 1 row deleted")
        read_until(process, "done: 0 rows deleted")
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0
    assert owner.execute("SELECT email FROM users").fetchall() == [("real@x.org",)]


def test_lines_for_the_journal(project: Project, owner: Connection[TupleRow]) -> None:
    with project.started("run", "--every", "1s", lasts="short", journal=True) as process:
        lines = read_until(process, "rows deleted")
    assert lines[0].startswith("<6>started: sweep; server")
    assert re.fullmatch(
        rf"<6>sweep: {project.database.name}: done: 3 rows deleted, 2 kept, 1 other leftover removed \(.*\)",
        lines[-1],
    )


def test_what_fails_is_told_and_goes_on(project: Project) -> None:
    nowhere = ("-d", "postgresql://u:hunter2@127.0.0.1:1/test", "--databases", "test_*")
    with project.started("run", "--every", "1s", *nowhere, journal=True) as process:
        lines = [*read_until(process, "failed: "), *read_until(process, "failed: ")]
        process.send_signal(signal.SIGINT)
        exit_code, rest = ended(process)

    assert exit_code == 130
    assert lines[-1].startswith("<3>sweep: test: failed: cannot connect (--dsn): ")
    assert "hunter2" not in "".join(lines + rest)
    assert [(entry.result, entry.server) for entry in project.entries][:2] == [("failed", "127.0.0.1:1")] * 2


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_lets_the_batch_end(
    project: Project, owner: Connection[TupleRow], number: signal.Signals, exit_code: int
) -> None:
    with project.started("run", "--every", "1s", lasts="long") as process:
        wait_until(lambda: is_swept(owner))
        process.send_signal(number)
        code, lines = ended(process)

    assert code == exit_code
    assert any("interrupted: 3 rows deleted" in line for line in lines)
    assert lines[-1].endswith("Z ended")
    assert [entry.result for entry in project.entries] == ["interrupted"]
    assert not is_swept(owner)


def test_a_second_signal_ends_it_at_once(project: Project, owner: Connection[TupleRow]) -> None:
    with project.started("run", "--every", "1s", lasts="deaf") as process:
        wait_until(lambda: is_swept(owner))
        process.send_signal(signal.SIGTERM)
        read_until(process, "a second signal stops now")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    wait_until(lambda: not is_swept(owner))


def test_two_daemons_on_one_database(project: Project) -> None:
    with (
        project.started("run", "--every", "1s", lasts="short") as one,
        project.started("run", "--every", "1s", lasts="short") as other,
    ):
        # However long it takes: each has swept, or found the other one sweeping, three times.
        for process in (one, other):
            for _ in range(3):
                read_until(process, f"sweep: {project.database.name}: ")
        for process in (one, other):
            process.send_signal(signal.SIGTERM)
        assert [ended(process)[0] for process in (one, other)] == [0, 0]

    done = sorted(
        (entry.started_at, entry.duration_s) for entry in project.entries if entry.result != "skipped"
    )
    for (begun, duration_s), (following, _) in pairwise(done):
        assert (following - begun).total_seconds() >= duration_s
    assert {entry.result for entry in project.entries} <= {"done", "skipped", "interrupted"}


def test_the_list(project: Project, owner: Connection[TupleRow]) -> None:
    project.declare(TWO_JOBS)
    listed = project.run("list").stdout
    assert "cou␛nt" in listed
    assert "30 2 * * * (Europe/Berlin)" in listed
    assert re.search(r"02:30:00 CES?T +never", listed)
    assert "disabled" in listed

    metrics = project.run("now", "cou\x1bnt", "--format", "openmetrics", "-o", "count.prom")
    assert (metrics.returncode, metrics.stdout) == (0, "")
    told = (project.home / "count.prom").read_text(encoding="utf-8")
    assert re.search(
        r'\npgwatch_tests_job_leaked_rows\{job_name="cou␛nt",server=".+",database=".+"\} 0\n', told
    )
    jobs = json.loads(project.run("list", "--format", "json").stdout)
    assert jobs["schema"] == "pgwatch-tests.schedule/1"
    nightly, count = jobs["jobs"]
    assert (nightly["last"], nightly["next_run"][-8:]) == (None, ":00.000Z")
    assert (count["enabled"], count["next_run"], count["last"]["leaked"]) == (False, None, 0)
    assert count["last"]["trigger"] == "command line"

    project.declare("")
    assert "no jobs" in project.run("list").stdout


def test_now_in_the_foreground(project: Project, owner: Connection[TupleRow]) -> None:
    project.declare("[tool.pgwatch-tests.schedule.x]\ncron = '0 0 1 1 *'")
    with project.started("now", "x", lasts="short") as process:
        assert process.stdout is not None
        assert process.stdout.read().startswith(f"{project.database.name}: done: 3 rows deleted")
        assert ended(process) == (0, [])
    with project.started("now", "x", lasts="long") as process:
        wait_until(lambda: is_swept(owner))
        assert project.entries[0].job == "x"
        with project.started("now", "x", lasts="short") as second:
            assert ended(second) == (2, [])
        process.send_signal(signal.SIGINT)
        exit_code, lines = ended(process)
    assert exit_code == 130
    assert lines == ["pgwatch-tests: SIGINT: stopping after this batch; a second signal stops now"]
    assert [entry.result for entry in project.entries] == ["interrupted", "skipped", "done"]


def test_now_without_a_server(project: Project) -> None:
    project.declare("[tool.pgwatch-tests.schedule.x]\nevery = '1d'\naction = 'leaks'")
    done = project.run("now", "x", dsn="postgresql://u:hunter2@127.0.0.1:1/test")
    assert done.returncode == 3
    assert done.stdout.startswith("test: failed: cannot connect (PGWATCH_DSN): ")
    assert project.entries[0].result == "failed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "there are no jobs: give --every or --cron"),
        (["run", "--every", "1m", "--cron", "* * * * *"], "can't be combined"),
        (["run", "--every", "0.1s"], "at least 1 s"),
        (["run", "--every", "soon"], "isn't a duration"),
        (["run", "--cron", "99 * * * *"], "--cron: '99 * * * *' isn't a valid cron line"),
        (["run", "--every", "1m", "--only", "rowes"], "unknown 'rowes'; known kinds: rows, "),
        (["run", "--dry-run"], "need --every or --cron"),
        (["now", "nightly"], "there is no job 'nightly'"),
    ],
)
def test_what_cannot_be_run(project: Project, arguments: list[str], words: str) -> None:
    done = project.run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_a_machine_whose_time_zone_is_none(project: Project) -> None:
    with project.started("run", "--cron", "* * * * *", TZ="Nowhere/Never") as process:
        exit_code, lines = ended(process)
    assert exit_code == 2
    assert "--cron: '* * * * *' isn't a valid cron line: " in lines[-1]
    assert "Nowhere/Never" in lines[-1]


def test_only_disabled_jobs(project: Project) -> None:
    project.declare("[tool.pgwatch-tests.schedule.x]\nevery = '1m'\nenabled = false")
    done = project.run("run")
    assert (done.returncode, "all jobs are disabled" in done.stderr) == (2, True)
