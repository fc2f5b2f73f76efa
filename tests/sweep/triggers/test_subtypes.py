"""A thing with a row in two tables, and a trigger on the one that deletes the other: gone is gone."""

from __future__ import annotations

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.servers.sessions import Database
from tests.sweep.rows.row_sweeps import deleted, ids, make, swept, swept_thoroughly


@pytest.fixture(params=["BEFORE", "AFTER"])
def targets(owner: Connection[TupleRow], request: pytest.FixtureRequest) -> Connection[TupleRow]:
    """Projects, each with a target, whose other half `target_tcp` deletes it."""
    make(
        owner,
        "CREATE TABLE project (id int PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE target (id int PRIMARY KEY,"
        " project_id int NOT NULL REFERENCES project ON DELETE CASCADE);"
        "CREATE TABLE target_tcp (id int PRIMARY KEY REFERENCES target ON DELETE CASCADE, port int);"
        "CREATE INDEX ON target (project_id);"
        "CREATE FUNCTION drop_base() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN DELETE FROM public.target WHERE id = OLD.id; RETURN OLD; END $$;"
        "INSERT INTO project VALUES (1, MARKED), (2, MARKED), (3, 'real');"
        "INSERT INTO target VALUES (10, 1), (30, 3);"
        "INSERT INTO target_tcp VALUES (10, 80), (30, 80)",
    )
    owner.execute(
        f"CREATE TRIGGER drop_base {request.param} DELETE ON target_tcp"
        " FOR EACH ROW EXECUTE FUNCTION drop_base()".encode()
    )
    return owner


@pytest.mark.parametrize("targets", ["AFTER"], indirect=True)
def test_what_the_trigger_deletes_was_wanted(database: Database, targets: Connection[TupleRow]) -> None:
    report = swept_thoroughly(database.dsn)

    assert ids(targets, "project") == [3]
    assert ids(targets, "target") == ids(targets, "target_tcp") == [30]
    assert deleted(report) == {"project": (2, 0), "target": (0, 1), "target_tcp": (0, 1)}
    assert report.kept == ()


@pytest.mark.parametrize("targets", ["BEFORE"], indirect=True)
def test_a_trigger_that_cuts_the_ground_from_under_its_row(
    database: Database, targets: Connection[TupleRow]
) -> None:
    """By ON DELETE CASCADE its own row goes while it is being deleted, which the server refuses (27000)."""
    report = swept(database.dsn)

    assert ids(targets, "project") == [1, 3]
    assert ids(targets, "target") == ids(targets, "target_tcp") == [10, 30]
    assert deleted(report) == {"project": (1, 0)}
    assert {(one.table, one.reason) for one in report.kept} == {
        ("project", "refused"),
        ("target", "refused"),
        ("target_tcp", "refused"),
    }
    assert "drop_base" in str(report.kept)
