"""docs/safety.md: it has each command, and what it says to read only leaves no trace on a server."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from screenshots.reference.commands import sections
from tests.cli.running import environment
from tests.docs.test_examples import DOCS
from tests.servers.sessions import Connect, Database

TEXT = (DOCS / "safety.md").read_text(encoding="utf-8")
ROWS = {
    cells[0].strip(" `"): cells[3].strip()
    for line in TEXT.partition("## By command")[2].partition("\n\nWhere")[0].splitlines()[4:]
    for cells in [line.strip("|").split(" | ")]
}
READING = [
    ("dashboard", "--once"),
    ("sessions",),
    ("locks",),
    ("locks", "--watch", "1"),
    ("leaks", "--kinds", "all"),
    ("leaks", "index", "--list"),
    ("baseline", "--content"),
    ("sweep", "--min-age", "0s"),
    ("sweep", "--history"),
    ("schedule", "list"),
    ("record", "--for", "1s", "-o", "recording.pgwatch"),
    ("run", "--", "true"),
    ("doctor",),
    ("lint", "."),
    ("history",),
    ("report", "pgwatch-results"),
]


def test_each_command_is_in_the_table() -> None:
    assert set(ROWS) == {name for name, _ in sections()} | {"sweep --yes"}


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_what_only_reads_writes_nothing(
    arguments: tuple[str, ...], python: str, home: Path, database: Database, connect: Connect
) -> None:
    owner = connect(autocommit=True)
    owner.execute("CREATE TABLE users (id serial PRIMARY KEY, email text)")
    owner.execute("INSERT INTO users (email) VALUES ('a@test.example.com')")
    if arguments[0] == "report":
        run(python, home, database, "run", "--", "true")
    number = next_transaction(connect)

    done = run(python, home, database, *arguments)

    assert done.returncode in (0, 1), done.stderr
    # A transaction that writes anything, in whatever database, has a number of its own.
    assert next_transaction(connect) == number
    names = ["sweep --yes" if arguments == ("sweep", "--yes") else " ".join(arguments), arguments[0]]
    assert any(re.match("nothing|creates or drops", ROWS[name]) for name in names if name in ROWS)


def run(python: str, home: Path, database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-m", "pgwatch_tests", *arguments]
    extra = environment({"DATABASE_URL": database.dsn})
    return subprocess.run(command, cwd=home, env=extra, timeout=60, capture_output=True, text=True)


def next_transaction(connect: Connect) -> int:
    """The number of the transaction that begins next on the server."""
    found = (
        connect(autocommit=True).execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()
    )
    assert found is not None
    return int(found[0])
