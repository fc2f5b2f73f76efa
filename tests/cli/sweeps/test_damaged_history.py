"""A history that can't be used: one plain line names it, whichever command reads or writes it."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.history import store
from tests.cli.running import pgwatch
from tests.servers.sessions import Database

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
JOBS = "[tool.pgwatch-tests.schedule.nightly]\nevery = '1h'\nonly = ['rows']\nmin_age = '0s'\n"


def truncated(file: Path, home: Path) -> None:
    file.write_bytes(made(home).read_bytes()[:5000])


def header_only(file: Path, home: Path) -> None:
    file.write_bytes(made(home).read_bytes()[:100])


def torn(file: Path, home: Path) -> None:
    content = made(home).read_bytes()
    file.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


def no_sqlite(file: Path, home: Path) -> None:
    file.write_bytes(b"\0\xff\x1b[2Jno database\n" * 1000)


def folder(file: Path, home: Path) -> None:
    file.mkdir()


def below_a_file(file: Path, home: Path) -> None:
    """Nobody can read or make it there, root included."""
    file.parent.rmdir()
    file.parent.touch()


def others(file: Path, home: Path) -> None:
    with closing(sqlite3.connect(file)) as theirs:
        for table in tables(made(home)):
            theirs.execute(f'CREATE TABLE "{table}" (x blob)')
        theirs.commit()


DAMAGES = (truncated, header_only, torn, no_sqlite, folder, below_a_file, others)
COMMANDS = (
    ("sweep", "--history"),
    ("sweep", "--history", "--format", "json"),
    ("schedule", "list"),
    ("sweep",),
    ("sweep", "--yes", "--min-age", "0s"),
)


def made(home: Path) -> Path:
    return home / "sound"


def tables(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as own:
        return [name for (name,) in own.execute(_TABLES)]


@pytest.fixture
def file(home: Path, database: Database, owner: Connection[TupleRow]) -> Path:
    """Where the history is looked for; a sound one is beside it."""
    (home / "pyproject.toml").write_text(JOBS, encoding="utf-8")
    owner.execute("CREATE TABLE users AS SELECT 'a@test.example.com' AS email")
    assert pgwatch(home, "sweep", extra=extra(database, made(home))).returncode == 0
    (home / "there").mkdir()
    return home / "there" / "history"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_history_that_cant_be_used(
    damage: Callable[[Path, Path], None], file: Path, home: Path, database: Database
) -> None:
    damage(file, home)
    before = content(file)
    for command in COMMANDS:
        check(pgwatch(home, *command, extra=extra(database, file)), file)
    assert content(file) == before


def test_an_empty_file_becomes_a_history(file: Path, home: Path, database: Database) -> None:
    file.touch()
    for command in COMMANDS:
        done = pgwatch(home, *command, extra=extra(database, file))
        assert done.returncode == 0
        assert "history" not in done.stderr
    assert sorted(tables(file)) == sorted(tables(made(home)))


def test_a_history_that_somebody_has_locked(
    file: Path, home: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_PATIENCE_S", 0.1)
    with closing(sqlite3.connect(made(home), isolation_level=None)) as theirs:
        theirs.execute("BEGIN EXCLUSIVE")
        swept = pgwatch(home, "sweep", extra=extra(database, made(home)))
        read = pgwatch(home, "sweep", "--history", extra=extra(database, made(home)))
    check(swept, made(home))
    assert "database is locked" in swept.stderr
    # Who only reads waits for nobody.
    assert (read.returncode, read.stderr) == (0, "")


def check(done: subprocess.CompletedProcess[str], file: Path) -> None:
    """Whoever asks for the history gets a line and 2; what is recorded is done, and says that it wasn't."""
    [line] = [line for line in done.stderr.splitlines() if "history" in line]
    assert f"the history in {file} can't be " in line
    if "--history" in done.args:
        assert (done.returncode, done.stdout) == (2, "")
        assert line.startswith("pgwatch-tests: the history in ")
    else:
        assert done.returncode == 0
        assert done.stdout
        assert line.startswith(
            ("pgwatch-tests: not recorded: ", "pgwatch-tests: nightly: its last run could not be read: ")
        )
    assert "File exists" not in done.stderr
    assert "\x1b" not in done.stderr


def content(file: Path) -> object:
    """What is in the file: as statements if it is a database, else its bytes."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as own:
            return list(own.iterdump())
    except sqlite3.Error:
        return file.read_bytes() if file.is_file() else None


def extra(database: Database, file: Path) -> dict[str, str]:
    return {"PGWATCH_DSN": database.dsn, "PGWATCH_HISTORY": str(file)}
