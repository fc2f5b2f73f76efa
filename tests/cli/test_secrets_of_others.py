"""No command shows or keeps a password that somebody else's statement has in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.cli.formats import LOCKS
from tests.cli.running import pgwatch
from tests.servers.sessions import Connect, Database, MakeRole, blocked

SECRET = "TOPhunter2SECRET"
URL_NAME = f"worker postgres://app:{SECRET}@h/d"


@pytest.fixture(params=["waits", "holds"])
def changing(request: pytest.FixtureRequest, connect: Connect, make_role: MakeRole) -> Connection[TupleRow]:
    """Two sessions change one role; the password is in what one waits with, or what the other ran last."""
    role = sql.Identifier(make_role())
    holder, waiter = connect(URL_NAME), connect(URL_NAME)
    password = sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(SECRET)).as_string(holder)
    limit = sql.SQL("ALTER ROLE {} CONNECTION LIMIT 3").format(role).as_string(holder)
    first, second = (limit, password) if request.param == "waits" else (password, limit)
    holder.execute(first.encode())
    blocked(waiter, second)
    return holder


def said(home: Path, dsn: str, *arguments: str) -> str:
    extra = {"PGWATCH_DSN": dsn, "PGWATCH_HISTORY": str(home / "history.sqlite3")}
    done = pgwatch(home, *arguments, extra=extra)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_no_format_of_locks_shows_it(changing: Connection[TupleRow], database: Database, home: Path) -> None:
    for format_ in LOCKS:
        text = said(home, database.dsn, "locks", "--format", format_)
        assert SECRET not in text
        assert "ALTER ROLE" in text or format_ in ("github", "markdown")
    assert "PASSWORD '***'" in said(home, database.dsn, "locks", "--format", "json")


def test_no_other_command_shows_it(changing: Connection[TupleRow], database: Database, home: Path) -> None:
    commands = (
        ["locks", "--watch", "1"],
        ["dashboard", "--once"],
        ["leaks", "--format", "json"],
        ["sweep", "--format", "json"],
        ["sweep", "--yes", "--only", "sessions", "--min-age", "0s", "--format", "json"],
        ["sweep", "--history"],
    )
    for arguments in commands:
        assert SECRET not in said(home, database.dsn, *arguments), arguments
    kept = b"".join(path.read_bytes() for path in home.iterdir() if path.is_file())
    assert b"SQLite" in kept
    assert SECRET.encode() not in kept
