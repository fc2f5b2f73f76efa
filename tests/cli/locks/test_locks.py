"""`pgwatch-tests locks` as a gate, in all its forms, on a blocked server with names of ill will."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.cli.formats import LOCKS
from pgwatch_tests.identity.application_name import compose, digest
from tests.cli.running import environment, pgwatch
from tests.servers.sessions import Connect, Database, blocked
from tests.waiting import PATIENCE_S, wait_until

COMMAND = [sys.executable, "-m", "pgwatch_tests", "locks"]

# application_name takes printable ASCII only.
EVIL_NAME = "=cmd|'/c calc'!A0 `x` <b>www.evil.example</b>, a::b 50%"
EVIL_TABLE = 'a"b|c`d<script>\n::error::x'


def locks(home: Path, dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return pgwatch(home, "locks", *arguments, extra={"PGWATCH_DSN": dsn})


@pytest.fixture
def holder(connect: Connect) -> Connection[TupleRow]:
    """Holds an advisory lock for which somebody waits, and a table."""
    holder, waiter = connect(EVIL_NAME), connect("pytest:gw1 t.py::test_waiter")
    holder.execute(sql.SQL("CREATE TABLE {} ()").format(sql.Identifier(EVIL_TABLE)))
    holder.commit()
    holder.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(EVIL_TABLE)))
    statement = sql.SQL("SELECT * FROM {}").format(sql.Identifier(EVIL_TABLE)).as_string(waiter)
    blocked(waiter, statement)
    return holder


def test_the_gate_fails_once_a_wait_has_lasted(
    holder: Connection[TupleRow], database: Database, connect: Connect, tmp_path: Path
) -> None:
    # Where the server doesn't tell when a wait began, the gate has to watch for that long.
    if holder.info.server_version >= 140000:
        observer = connect(autocommit=True)
        wait_until(lambda: has_waited(observer, "600 ms"))
    found = locks(tmp_path, database.dsn, "--fail", "--min-wait", "600ms")
    too_short = locks(tmp_path, database.dsn, "--fail", "--min-wait", "0.3s")
    merely_printed = locks(tmp_path, database.dsn, "--min-wait", "600ms")
    assert (found.returncode, too_short.returncode, merely_printed.returncode) == (1, 1, 0)
    assert "longest wait" in found.stdout
    assert found.stderr == ""


def test_a_younger_wait_is_no_finding_but_is_printed(
    holder: Connection[TupleRow], database: Database, tmp_path: Path
) -> None:
    with gate(tmp_path, database.dsn, "--min-wait", "1m", "--format", "csv") as process:
        if holder.info.server_version < 140000:
            # Until it has watched for a minute it can't know; it is over sooner if the wait is.
            assert "watching for 60 s" in next_line(process)
            holder.rollback()
            lines = 1
        else:
            lines = 2
        stdout, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert len(stdout.splitlines()) == lines


def test_who_loses_the_server_while_watching_gives_no_verdict(
    holder: Connection[TupleRow], database: Database, connect: Connect, tmp_path: Path
) -> None:
    if holder.info.server_version >= 140000:
        assert locks(tmp_path, database.dsn, "--fail", "--min-wait", "1m").returncode == 0
        return  # nothing to watch for: the server tells since when they wait
    admin = connect(autocommit=True)
    with gate(tmp_path, database.dsn, "--min-wait", "1m") as process:
        next_line(process)
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgwatch-tests'"
        )
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, stdout) == (3, "")
    assert len(stderr.splitlines()) == 1


def gate(home: Path, dsn: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--fail", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=environment({"PGWATCH_DSN": dsn}),
    )


def has_waited(observer: Connection[TupleRow], interval: str) -> bool:
    query = (
        "SELECT 1 FROM pg_lock_status() WHERE NOT granted AND clock_timestamp() - waitstart > %s::interval"
    )
    return observer.execute(query, [interval]).fetchone() is not None


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def test_nothing_blocked_passes(database: Database, tmp_path: Path) -> None:
    done = locks(tmp_path, database.dsn, "--fail", "--min-wait", "0")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_deadlock_fails_the_gate_whatever_the_minimum(
    database: Database, connect: Connect, tmp_path: Path
) -> None:
    sessions = connect("pytest:gw0 t.py::test_a"), connect("pytest:gw1 t.py::test_b")
    for key, session in enumerate(sessions):
        # Long enough to be looked at; the server ends it when the sessions end.
        session.execute("SET deadlock_timeout = '1min'")
        session.execute("SELECT pg_advisory_lock(%s)", [key])
    for key, session in enumerate(sessions):
        blocked(session, "SELECT pg_advisory_lock(%s)", [1 - key])
    done = locks(tmp_path, database.dsn, "--fail", "--min-wait", "1h", "--format", "github")
    assert done.returncode == 1, done.stderr
    verdict, line = done.stdout.splitlines()
    assert "deadlock each other" in verdict
    assert line.startswith("::error title=")
    assert "Deadlock: test_" in line


@pytest.mark.usefixtures("holder")
@pytest.mark.parametrize("form", LOCKS)
def test_each_form_into_a_file_and_on_stdout(form: str, database: Database, tmp_path: Path) -> None:
    done = locks(tmp_path, database.dsn, "--format", form, "--min-wait", "0.1", "-o", "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert "\n::error::x" not in text
    match form:
        case "csv":
            [line] = csv.DictReader(io.StringIO(text))
            assert line["blocker_application"] == f"'{EVIL_NAME}"
            assert line["waiter_test"] == "t.py::test_waiter"
            assert float(line["wait_s"]) > 0
        case "junit":
            [failure] = ElementTree.fromstring(text.encode()).iter("failure")
            assert EVIL_NAME in failure.attrib["message"]
        case "github":
            verdict, annotation = text.splitlines()
            assert "blocks 1 test for" in verdict
            assert annotation.startswith(
                "::error title==cmd|'/c calc'!A0 `x` <b>www.evil.example</b>%2C a%3A%3Ab"
            )
        case "markdown":
            assert "\n| `` =cmd\\|'/c calc'!A0 `x` <b>www.evil.example</b>, a::b 50% `` | `pid" in text
            assert "**" in text


def test_a_list_names_tests_that_are_shortened_or_only_a_hash(
    database: Database, connect: Connect, tmp_path: Path
) -> None:
    long = "tests/integration/booking/test_slots.py::TestSlots::test_two_parents_book_one_slot"
    hashed = "tests/test_other.py::test_hashed"
    names = compose("pytest", "gw0", long), f"vitest:1 #{digest(hashed)}"
    first, second = (connect(name) for name in names)
    first.execute("SELECT pg_advisory_xact_lock(7)")
    blocked(second, "SELECT pg_advisory_xact_lock(7)")
    plain = locks(tmp_path, database.dsn).stdout
    assert re.search(rf"gw0 \.\.[^ ]*::test_two_parents_book_one_slot #{digest(long)}", plain)
    assert f"vitest:1 #{digest(hashed)}  waits" in plain
    (tmp_path / "tests.txt").write_text(f"{long}\n{hashed}\n\n2 tests collected in 0.01s\n")
    named = locks(tmp_path, database.dsn, "--tests", "tests.txt")
    assert (named.returncode, named.stderr) == (0, "")
    assert f"gw0 {long}" in named.stdout
    assert f"vitest:1 {hashed}  waits" in named.stdout
    assert "test_two_parents_book_one_slot (gw0, pid " in named.stdout
    document = json.loads(locks(tmp_path, database.dsn, "--tests", "tests.txt", "--format", "json").stdout)
    found = {one["test"]: (one["test_hash"], one["application_name"]) for one in document["sessions"]}
    assert {test: found[test] for test in (long, hashed)} == {
        long: (digest(long), names[0]),
        hashed: (digest(hashed), names[1]),
    }
    extra = {"PGWATCH_DSN": database.dsn, "PGWATCH_TESTS": "tests.txt"}
    once = pgwatch(tmp_path, "dashboard", "--once", extra=extra)
    assert f"gw0 {long}" in once.stdout


@pytest.mark.parametrize("arguments", [(), ("--watch", "0.1")])
def test_a_list_that_cannot_be_read_is_refused_before_anything_is_looked_at(
    arguments: tuple[str, ...], database: Database, tmp_path: Path
) -> None:
    done = locks(tmp_path, database.dsn, "--tests", "nowhere.txt", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "pgwatch-tests: cannot read the tests in nowhere.txt: No such file or directory\n"


def test_what_is_accepted_passes_and_what_is_new_fails(
    database: Database, connect: Connect, tmp_path: Path
) -> None:
    first, second, observer = connect("t1"), connect("pytest:gw1 t.py::test_waiter"), connect(autocommit=True)
    # Others use the same server: what they block is accepted too, if it is there at that moment.
    first.execute("SELECT pg_advisory_xact_lock(7)")
    blocked(second, "SELECT pg_advisory_xact_lock(7)", observer=observer)
    gate = ("--min-wait", "0s", "--fail")
    written = locks(tmp_path, database.dsn, *gate, "--write-accept", "known.json")
    assert written.returncode == 0, written.stderr
    document = json.loads((tmp_path / "known.json").read_text())
    entry = {"gate": "locks", "kind": "advisory_lock", "place": "advisory lock *", "test": None}
    assert entry in document["findings"]
    assert "of locks written to known.json" in written.stderr
    assert "Accepted, not counted: " in written.stdout

    # Nobody else's waits are in this file.
    (tmp_path / "mine.json").write_text(json.dumps({**document, "findings": [entry]}))
    junit = ElementTree.fromstring(
        locks(tmp_path, database.dsn, "--accept", "mine.json", *gate, "--format", "junit").stdout
    )
    [case] = [one for one in junit.iter("testcase") if (one.get("name") or "").startswith("t1 (pid ")]
    assert case.find("failure") is None
    assert "accepted: advisory lock, advisory lock * (unknown test)" in (case.findtext("system-out") or "")

    first.execute("CREATE TABLE fresh ()")
    first.execute("SELECT pg_advisory_xact_lock(8, 9)")
    third = connect("pytest:gw2 t.py::test_third")
    first_only = {**document, "findings": [{**entry, "place": "advisory lock (*, *)"}]}
    (tmp_path / "other.json").write_text(json.dumps(first_only))
    blocked(third, "SELECT pg_advisory_xact_lock(8, 9)", observer=observer)
    new = locks(tmp_path, database.dsn, "--accept", "other.json", *gate, "--format", "json")
    assert new.returncode == 1
    use = json.loads(new.stdout)["accepted"]
    assert {"kind": "advisory_lock", "place": "advisory lock *", "test": None} in use["new"]
    assert use["known"] == [{"kind": "advisory_lock", "place": "advisory lock (*, *)", "test": None}]


@pytest.mark.parametrize(
    "text", ["", "{", '{"schema": "pgwatch-tests.accepted/1"}', '{"findings": []}', "[]"]
)
@pytest.mark.parametrize("watch", [(), ("--watch", "0.1")])
def test_a_damaged_file_never_passes(
    text: str, watch: tuple[str, ...], database: Database, tmp_path: Path
) -> None:
    (tmp_path / "known.json").write_text(text)
    done = locks(tmp_path, database.dsn, "--fail", "--accept", "known.json", *watch)
    assert (done.returncode, done.stdout) == (2, "")
    assert "known.json holds no accepted findings" in done.stderr


def test_entries_stay_that_one_look_sees_nothing_of(database: Database, tmp_path: Path) -> None:
    entries = [
        {"gate": gate, "kind": "rows", "place": "public.users", "test": None, "reason": "ticket"}
        for gate in ("leaks", "locks")
    ]
    document = {"schema": "pgwatch-tests.accepted/1", "findings": entries}
    (tmp_path / "known.json").write_text(json.dumps(document))
    done = locks(tmp_path, database.dsn, "--write-accept", "known.json")
    assert done.returncode == 0
    assert "not seen" not in done.stdout
    kept = json.loads((tmp_path / "known.json").read_text())["findings"]
    assert [one for one in entries if one not in kept] == []
    watched = locks(tmp_path, database.dsn, "--accept", "known.json", "--watch", "0.1")
    assert "Accepted, but not seen in this watch: rows, public.users (unknown test)" in watched.stdout
