"""What statements say that they write."""

from __future__ import annotations

import pytest

from pgwatch_tests.testing.connections.statements import statement
from pgwatch_tests.testing.connections.writes import Written, calls_of, makes_savepoint, written_by


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("INSERT INTO users VALUES (1)", ("insert", "users")),
        (' \n insert\tinto "My ""Users""" (a) SELECT 1', ("insert", 'My "Users"')),
        ("/* who */ -- why\nInsert Into public.Users DEFAULT VALUES;", ("insert", "users")),
        ('INSERT INTO app."Users" VALUES (1) ON CONFLICT DO NOTHING', ("insert", "Users")),
        ("INSERT INTO users VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1", ("upsert", "users")),
        ("MERGE INTO users USING t ON true WHEN MATCHED THEN DELETE", ("upsert", "users")),
        ("UPDATE ONLY users SET a = 1", ("update", "users")),
        ("delete from users", ("delete", "users")),
        ("TRUNCATE TABLE users CASCADE", ("truncate", "users")),
        ("TRUNCATE users, bookings", ("unclear", "users")),
        ("COPY users (a) FROM STDIN", ("insert", "users")),
        ("UPDATE users SET a = 1; DROP TABLE users", ("unclear", "users")),
        ("SELECT 1; DELETE FROM users", ("unclear", "")),
        ("WITH a AS (DELETE FROM users RETURNING *) SELECT 1", ("unclear", "")),
        ("DO $$ BEGIN END $$", ("unclear", "")),
        ("", ("unclear", "")),
        ("CALL fill()", ("unclear", "")),
        ("SELECT 1 AS a INTO users", ("unclear", "")),
        ("EXPLAIN (ANALYZE) DELETE FROM users", ("unclear", "")),
        ("CREATE TABLE users ()", ("unclear", "")),
    ],
)
def test_writes(text: str, written: tuple[str, str]) -> None:
    assert written_by(text) == Written(*written)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "SELECT 'put into it'",
        "EXPLAIN DELETE FROM users",
        " -- INSERT INTO users\nselect 'DELETE FROM x'",
        "SHOW x;",
        "ROLLBACK TO a",
        "BEGIN",
    ],
)
def test_reads(text: str) -> None:
    assert written_by(text) is None


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("SELECT fill(1), pg_catalog.now(), count(*) FROM users WHERE id IN (1)", {"fill"}),
        ('SELECT * FROM app."Fill"(1) JOIN app.other (2) ON true', {"Fill", "other"}),
        ("VALUES (FILL())", {"fill"}),
        ("SELECT 1 FROM users WHERE (id = 1) AND (id > 0)", set()),
        ("INSERT INTO users VALUES (fill())", set()),
        ("SELECT pg_sleep(0)", set()),
    ],
)
def test_calls(text: str, calls: set[str]) -> None:
    assert calls_of(text) == calls
    assert statement(text).only_reads is (not calls and text.startswith("SELECT"))


def test_a_write_behind_the_beginning() -> None:
    assert not statement("SELECT 1 AS a INTO users").only_reads
    assert statement("EXPLAIN UPDATE users SET a = 1").only_reads


def test_savepoints() -> None:
    assert makes_savepoint(" savepoint a")
    assert not makes_savepoint("RELEASE SAVEPOINT a")
