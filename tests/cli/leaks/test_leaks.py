"""`pgwatch-tests leaks` as people and pipelines run it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.identity.value_tokens import token
from tests.cli.running import environment, pgwatch
from tests.leaks.scanning import counting, insert, make_slow_table
from tests.servers.sessions import Connect, Database, MakeRole
from tests.waiting import PATIENCE_S, wait_until

COMMAND = [sys.executable, "-m", "pgwatch_tests", "leaks"]


def leaks(
    home: Path, *arguments: str, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return pgwatch(home, "leaks", *arguments, extra=extra)


def test_the_exit_codes_of_a_gate(
    owner: Connection[TupleRow], server: EmbeddedServer, database: Database, make_role: MakeRole, home: Path
) -> None:
    role = make_role()
    owner.execute("CREATE TABLE users (email text)")
    owner.execute("CREATE TABLE secret (email text)")
    owner.execute("CREATE TABLE hidden (email text)")
    owner.execute("ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
    insert(owner, "users", *(f"user{i}@test.example.com" for i in range(7)), "real@example.com")
    owner.execute(f'GRANT SELECT ON users, hidden TO "{role}"'.encode())
    dsn = server.dsn(database.name, role)

    found = leaks(home, "--dsn", dsn, "--fail")
    owner.execute("DELETE FROM users WHERE email LIKE '%@test.example.com'")
    incomplete = leaks(home, "--dsn", dsn, "--fail")
    merely_reported = leaks(home, "--dsn", dsn)
    owner.execute("DROP TABLE secret, hidden")
    clean = leaks(home, "--dsn", dsn, "--fail")

    assert found.returncode == 1
    assert "7 leaked rows in 1 table; 2 tables not checked" in found.stdout
    assert "row-level security" in found.stdout
    assert f'GRANT SELECT ON "public"."secret" TO "{role}"' in found.stdout
    assert incomplete.returncode == 4
    assert "no leaked rows; 2 tables not checked" in incomplete.stdout
    assert merely_reported.returncode == 0
    assert merely_reported.stdout == incomplete.stdout
    assert clean.returncode == 0
    assert clean.stdout.startswith("no leaked rows\n")
    assert [run.stderr for run in (found, incomplete, merely_reported, clean)] == [""] * 4


def test_json_to_a_file(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    owner.execute("CREATE TABLE users (email text)")
    insert(owner, "users", "a@test.example.com")

    run = leaks(home, "-d", database.dsn, "--fail", "--format", "json", "-o", "leaks.json")

    assert (run.returncode, run.stdout, run.stderr) == (1, "", "")
    document = json.loads((home / "leaks.json").read_text(encoding="utf-8"))
    assert (document["schema"], document["total"], document["complete"]) == ("pgwatch-tests.leaks/1", 1, True)
    assert document["tables"][0]["table"] == "users"


def test_markers_from_the_command_line(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    owner.execute("CREATE TABLE users (email text)")
    insert(owner, "users", "a@test.example.com", "QA-1", "e2e_77")

    run = leaks(home, "-d", database.dsn, "--marker", "qa-%", "--marker", r"re:^e2e_\d+$", "--format", "json")

    document = json.loads(run.stdout)
    assert document["total"] == 2
    assert document["markers"] == ["qa-%", r"re:^e2e_\d+$"]


def test_ignored_and_inside(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    (home / "pyproject.toml").write_text(
        '[tool.pgwatch-tests]\nignore = [{what = "public.users.notes", reason = "staff"}]\n', encoding="utf-8"
    )
    owner.execute("CREATE TABLE users (email text, notes text, tags text[])")
    insert(owner, "users", ("x", "a@test.example.com", '{"a@test.example.com, y"}'))
    owner.execute("CREATE TABLE log AS SELECT 'a@test.example.com' AS c")

    whole = leaks(home, "-d", database.dsn, "--fail", "--ignore", "*.log", "--ignore", "pubic")
    inside = leaks(home, "-d", database.dsn, "--fail", "--ignore", "*.log", "--inside", "--format", "json")
    wrong = leaks(home, "-d", database.dsn, "--ignore", "a.b.c.d")

    assert whole.returncode == 0
    assert next(line for line in whole.stdout.splitlines() if line.startswith("Ignored")) == (
        "Ignored: public.users.notes (in 1 table: staff); *.log (in 1 table); "
        "pubic (matches nothing that would be checked)"
    )
    assert inside.returncode == 1
    document = json.loads(inside.stdout)
    assert [(leak["table"], leak["columns"]) for leak in document["tables"]] == [("users", ["tags"])]
    assert [one["tables"] for one in document["ignored"]] == [1, 1]
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "can't ignore 'a.b.c.d'" in wrong.stderr


def test_who_left_what(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    owner.execute("CREATE TABLE users (email text)")
    name = "tests/test_a.py::test_a"
    insert(owner, "users", f"user-1717171717171-{token(name)}-x@test.example.com", "b@test.example.com")
    (home / "tests.txt").write_text(f"{name}\n")
    (home / "logs").mkdir()

    run = leaks(home, "-d", database.dsn, "--tests", "tests.txt")
    logged = leaks(
        home, "-d", database.dsn, "--format", "json", extra={"PGWATCH_TRANSACTIONS": str(home / "logs")}
    )

    assert re.search(rf"^{name} +marker +1  public.users$", run.stdout, re.MULTILINE)
    assert re.search(r"^\(the row has no .*\) +unknown +1  public.users$", run.stdout, re.MULTILINE)
    (table,) = json.loads(logged.stdout)["tables"]
    assert [(one["test"], one["confidence"], one["rows"]) for one in table["attribution"]] == [
        (None, "unknown", 1),
        (None, "unknown", 1),
    ]
    assert any(token(name)[1:] in one["detail"] for one in table["attribution"])


@pytest.mark.parametrize("option", ["--transactions", "--tests"])
def test_what_isnt_there_to_say_who_left_what(database: Database, home: Path, option: str) -> None:
    run = leaks(home, "-d", database.dsn, option, "nothing")

    assert (run.returncode, run.stdout) == (2, "")
    assert re.fullmatch(r"pgwatch-tests: cannot read .* nothing: No such file or directory\n", run.stderr)


def test_no_server_is_one_line_without_the_password(home: Path) -> None:
    run = leaks(home, "--dsn", "postgresql://someone:verysecret@/x?host=/nonexistent", "--fail")

    assert run.returncode == 3
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert "verysecret" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--marker", "%"], "would match every row"),
        (["--marker", "re:^("], "rejects the regular expression"),
        (["--marker", "a\\"], "ends in a backslash"),
    ],
)
def test_markers_that_cant_be_used(
    database: Database, home: Path, arguments: list[str], message: str
) -> None:
    run = leaks(home, "--dsn", database.dsn, *arguments)

    assert (run.returncode, run.stdout) == (2, "")
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_locked_catalogs_are_no_verdict(database: Database, connect: Connect, home: Path) -> None:
    locker = connect()
    locker.execute("CREATE TABLE tree (c text) PARTITION BY LIST (c)")
    locker.commit()
    locker.execute("LOCK TABLE pg_catalog.pg_inherits IN ACCESS EXCLUSIVE MODE")

    run = leaks(home, "--dsn", database.dsn)

    assert (run.returncode, run.stdout) == (4, "")
    assert "nothing was checked" in run.stderr
    assert len(run.stderr.splitlines()) == 1


def backends(owner: Connection[TupleRow], state: str = "%") -> int:
    row = owner.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgwatch-tests'"
        " AND datname = current_database() AND state LIKE %s",
        [state],
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_interrupted(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    make_slow_table(owner, "slow")
    with subprocess.Popen(
        [*COMMAND, "--dsn", database.dsn],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env=environment(),
    ) as process:
        wait_until(lambda: counting(owner))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)

    # click ends the terminal's line, which shows ^C, before that.
    assert (process.returncode, stdout, stderr.strip()) == (130, "", "interrupted")
    wait_until(lambda: backends(owner) == 0, timeout_s=30)


def test_killed(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    if owner.info.server_version < 140000:
        pytest.skip("a server before 14 doesn't look whether its client is still there")
    make_slow_table(owner, "slow")
    with subprocess.Popen([*COMMAND, "--dsn", database.dsn], cwd=home, env=environment()) as process:
        wait_until(lambda: counting(owner))
        process.kill()
        process.wait(timeout=PATIENCE_S)

    wait_until(lambda: backends(owner) == 0, timeout_s=30)


@pytest.mark.usefixtures("progress_after_a_second")
def test_progress_in_lines(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    make_slow_table(owner, "slow")

    run = leaks(home, "--dsn", database.dsn, extra={"PGWATCH_COUNT_TIMEOUT": "1.5"})

    assert run.returncode == 0
    assert "timed out after 1.5 s" in run.stdout
    assert run.stderr == "pgwatch-tests: counted in 0 of 1 tables\n"


def test_progress_as_a_bar(owner: Connection[TupleRow], database: Database, home: Path) -> None:
    make_slow_table(owner, "slow")
    terminal, end = pty.openpty()

    with subprocess.Popen(
        [*COMMAND, "--dsn", database.dsn],
        stdout=subprocess.DEVNULL,
        stderr=end,
        cwd=home,
        env=environment({"PGWATCH_COUNT_TIMEOUT": "1.5", "TERM": "xterm"}),
    ):
        os.close(end)
        shown = drained(terminal)

    assert "counting in tables" in shown
    assert "1/1" in shown
    # The cursor is back.
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def drained(terminal: int) -> str:
    """What is written to a terminal until nobody has it open any more."""
    pieces = []
    with open(terminal, "rb", buffering=0) as stream:
        while True:
            try:
                piece = stream.read(4096)
            except OSError:  # how Linux says the end
                break
            if not piece:
                break
            pieces.append(piece)
    return b"".join(pieces).decode()


def test_help_shows_an_example_and_loads_no_database_driver(python: str) -> None:
    code = (
        "import sys; from pgwatch_tests.cli.commands.hygiene.leaks import command; import click;"
        "print(command.get_help(click.Context(command)));"
        "print('LOADED', *({'psycopg', 'sqlalchemy', 'textual', 'tabulate'} & set(sys.modules)))"
    )
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, env=environment())

    assert "Example: pgwatch-tests leaks --fail" in run.stdout
    assert run.stdout.splitlines()[-1] == "LOADED"
