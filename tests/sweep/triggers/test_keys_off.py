"""Foreign keys that the server doesn't look after: their triggers are off, or they are NOT ENFORCED."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.model import ChangedRows
from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import ids, kept, make, swept, swept_thoroughly

_DANGLING: LiteralString = (
    "SELECT count(*) FROM ch WHERE pid IS NOT NULL AND NOT EXISTS (SELECT FROM par WHERE par.id = ch.pid)"
)


@pytest.mark.parametrize("off", ["par DISABLE TRIGGER ALL", "ch DISABLE TRIGGER ALL"])
@pytest.mark.parametrize("action", ["SET NULL", "SET DEFAULT", "CASCADE", "NO ACTION", "RESTRICT"])
def test_triggers_of_a_key_are_off(
    owner: Connection[TupleRow], database: Database, action: LiteralString, off: LiteralString
) -> None:
    make(
        owner,
        "CREATE TABLE par (id int PRIMARY KEY, m text);"
        "INSERT INTO par VALUES (1, MARKED), (2, MARKED), (9, NULL);"
        "CREATE TABLE ch (id int, pid int DEFAULT 9); INSERT INTO ch VALUES (1, 1)",
    )
    make(owner, f"ALTER TABLE ch ADD FOREIGN KEY (pid) REFERENCES par ON DELETE {action}; ALTER TABLE {off}")

    report = swept_thoroughly(database.dsn)

    assert owner.execute(_DANGLING).fetchall() == [(0,)]
    assert 9 in ids(owner, "par")
    # What takes a row along has nothing to do with the server's triggers.
    if action in ("CASCADE", "NO ACTION", "RESTRICT"):
        assert ids(owner, "ch") == []
    else:
        assert ids(owner, "ch") == [1]
        kept = [one for one in report.kept if one.table == "par"]
        assert (1 in ids(owner, "par")) == any("ch" in one.detail for one in kept)


def test_triggers_fire_on_replicas_only(owner: Connection[TupleRow], database: Database) -> None:
    make(
        owner,
        "CREATE TABLE par (id int PRIMARY KEY, m text);"
        "CREATE TABLE ch (id int, pid int REFERENCES par ON DELETE SET NULL);"
        "INSERT INTO par VALUES (1, MARKED); INSERT INTO ch VALUES (1, 1);"
        "DO $$ DECLARE one name; BEGIN"
        " FOR one IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'par'::regclass LOOP"
        " EXECUTE format('ALTER TABLE par ENABLE REPLICA TRIGGER %I', one); END LOOP; END $$",
    )

    swept_thoroughly(database.dsn)

    assert owner.execute(_DANGLING).fetchall() == [(0,)]


@pytest.mark.parametrize("action", ["NO ACTION", "CASCADE", "SET NULL"])
def test_a_key_that_is_not_enforced(
    owner: Connection[TupleRow], database: Database, action: LiteralString
) -> None:
    if owner.info.server_version < 180000:
        pytest.skip("NOT ENFORCED came with PostgreSQL 18")
    make(
        owner,
        "CREATE TABLE par (id int PRIMARY KEY, m text);"
        "CREATE TABLE invoice (id int, par_id int, txt text);"
        "INSERT INTO par VALUES (1, MARKED); INSERT INTO invoice VALUES (1, 1, 'real')",
    )
    make(
        owner, f"ALTER TABLE invoice ADD FOREIGN KEY (par_id) REFERENCES par ON DELETE {action} NOT ENFORCED"
    )

    report = swept_thoroughly(database.dsn)

    assert owner.execute("SELECT * FROM invoice").fetchall() == [(1, 1, "real")]
    assert ids(owner, "par") == []
    assert report.changed == (ChangedRows("public", "invoice", ("par_id",), "not_enforced", 1),)


_REFERRING = (
    "CREATE TABLE par (id int PRIMARY KEY, m text);"
    "CREATE TABLE ch (id int, pid int REFERENCES par ON DELETE SET NULL);"
    "INSERT INTO par VALUES (1, MARKED), (2, MARKED), (3, 'real');"
    "INSERT INTO ch VALUES (1, 1), (2, 2), (3, 3);"
)


@pytest.mark.parametrize("body", ["RETURN NULL;", "NEW.pid = OLD.pid; RETURN NEW;"])
def test_a_trigger_that_keeps_a_reference(
    owner: Connection[TupleRow], database: Database, body: LiteralString
) -> None:
    """The server looks no second time: what it would have set NULL refers to nothing then."""
    make(
        owner,
        f"{_REFERRING} CREATE FUNCTION fix() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
        "CREATE TRIGGER fix BEFORE UPDATE ON ch FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION fix()",
    )

    report = swept(database.dsn)

    assert owner.execute(_DANGLING).fetchall() == [(0,)]
    assert ids(owner, "par") == [1, 3]
    assert owner.execute("SELECT id, pid FROM ch ORDER BY id").fetchall() == [(1, 1), (2, None), (3, 3)]
    assert kept(report) == {("par", "refused"): 1}
    assert "public.ch" in report.kept[0].detail


def test_a_trigger_that_turns_all_triggers_off(owner: Connection[TupleRow], database: Database) -> None:
    """For the rest of the session, as it means to: foreign keys have triggers too."""
    make(owner, _REFERRING)
    make(
        owner,
        "CREATE TABLE logs (id int, m text); INSERT INTO logs VALUES (1, MARKED), (2, MARKED);"
        "CREATE FUNCTION off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM set_config('session_replication_role', 'replica', false); RETURN OLD; END $$;"
        "CREATE TRIGGER off BEFORE DELETE ON logs FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION off()",
    )

    report = swept(database.dsn)

    assert owner.execute(_DANGLING).fetchall() == [(0,)]
    assert ids(owner, "par") == [3]
    assert ids(owner, "logs") == [1]
    assert kept(report) == {("logs", "refused"): 1}
    assert "(triggers: off of public.logs)" in report.kept[0].detail
