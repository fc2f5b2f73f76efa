"""What triggers do besides, in other tables and in rows that weren't to go: counted and told."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from pgwatch_tests.sweep.model import SideEffects
from tests.servers.sessions import Database, MakeRole
from tests.sweep.rows.row_sweeps import deleted, ids, make, swept, swept_thoroughly

_USERS = (
    "CREATE TABLE users (id int PRIMARY KEY, email text);"
    "INSERT INTO users VALUES (1, MARKED), (2, MARKED), (3, 'real');"
)


def hang(owner: Connection[TupleRow], body: str) -> None:
    owner.execute(
        f"CREATE FUNCTION besides() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN OLD; END $$;"
        "CREATE TRIGGER besides AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION besides()".encode()
    )


def test_inserted(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, f"{_USERS} CREATE TABLE log (id int)")
    hang(owner, "INSERT INTO public.log VALUES (OLD.id), (-OLD.id);")

    report = swept_thoroughly(database.dsn)

    assert deleted(report) == {"users": (2, 0)}
    assert report.side_effects == (SideEffects("public", "log", 4, 0, 0),)


def test_updated(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, _USERS)
    make(owner, "CREATE TABLE totals (users int); INSERT INTO totals VALUES (3)")
    hang(owner, "UPDATE public.totals SET users = users - 1;")

    report = swept_thoroughly(database.dsn)

    assert owner.execute("SELECT users FROM totals").fetchall() == [(1,)]
    assert report.side_effects == (SideEffects("public", "totals", 0, 2, 0),)


def test_deleted(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, _USERS)
    make(
        owner,
        "CREATE TABLE files (owner int); INSERT INTO files VALUES (1), (1), (3);"
        "CREATE INDEX ON files (owner)",
    )
    hang(owner, "DELETE FROM public.files WHERE owner = OLD.id;")

    report = swept_thoroughly(database.dsn)

    assert ids(owner, "files") == [3]
    assert deleted(report) == {"users": (2, 0)}
    assert report.side_effects == (SideEffects("public", "files", 0, 0, 2),)


@pytest.mark.parametrize("superuser", [True, False])
def test_where_rows_are_not_counted(
    database: Database, owner: Connection[TupleRow], make_role: MakeRole, superuser: bool
) -> None:
    """Only a superuser may turn track_counts on: for others, it is told that nothing tells."""
    role = make_role("SUPERUSER" if superuser else "")
    make(owner, f"{_USERS} CREATE TABLE log (id int)")
    hang(owner, "INSERT INTO public.log VALUES (OLD.id);")
    owner.execute(f'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{role}"'.encode())
    owner.execute(f'ALTER ROLE "{role}" SET track_counts = off'.encode())

    report = swept(make_conninfo(database.dsn, user=role))

    assert deleted(report) == {"users": (2, 0)}
    assert ids(owner, "log") == [1, 2]
    if superuser:
        assert report.side_effects == (SideEffects("public", "log", 2, 0, 0),)
        assert report.complete
    else:
        [told] = report.not_checked
        assert told.startswith("what triggers wrote besides isn't counted: track_counts is off")
        assert not report.complete


def test_emptied(database: Database, owner: Connection[TupleRow]) -> None:
    """Of TRUNCATE the server counts no rows; its partitions are emptied with a root."""
    make(owner, _USERS)
    make(
        owner,
        "CREATE TABLE files (owner int); INSERT INTO files VALUES (3);"
        "CREATE TABLE days (day int) PARTITION BY LIST (day); CREATE TABLE monday PARTITION OF days DEFAULT;"
        "INSERT INTO days VALUES (1); CREATE TABLE locked (i int); INSERT INTO locked VALUES (1)",
    )
    hang(owner, "TRUNCATE public.files, public.days; LOCK TABLE public.locked IN ACCESS EXCLUSIVE MODE;")

    report = swept(database.dsn)

    assert deleted(report) == {"users": (2, 0)}
    assert report.side_effects == (
        SideEffects("public", "days", 0, 0, 0, emptied=True),
        SideEffects("public", "files", 0, 0, 0, emptied=True),
    )


def test_emptied_and_filled_again(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, _USERS)
    make(owner, "CREATE TABLE totals (users bigint); INSERT INTO totals VALUES (3), (7)")
    hang(owner, "TRUNCATE public.totals; INSERT INTO public.totals SELECT count(*) FROM public.users;")

    report = swept(database.dsn)

    assert ids(owner, "totals") == [1]
    assert report.side_effects == (SideEffects("public", "totals", 1, 0, 0, emptied=True),)


def test_dropped(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, _USERS)
    make(owner, "CREATE TABLE files (owner int); INSERT INTO files VALUES (3)")
    hang(owner, "DROP TABLE IF EXISTS public.files;")

    report = swept(database.dsn)

    assert deleted(report) == {"users": (2, 0)}
    assert report.side_effects == (SideEffects("public", "files", 0, 0, 0, emptied=True),)


@pytest.mark.parametrize(("trigger_of", "emptied"), [("notes", "files"), ("files", "notes")])
def test_emptied_though_rows_of_it_were_to_go(
    database: Database, owner: Connection[TupleRow], trigger_of: LiteralString, emptied: LiteralString
) -> None:
    """After their own DELETE or before it: that they are gone is what was wanted; a real one is told."""
    make(owner, _USERS)
    make(
        owner,
        "CREATE TABLE files (id int, owner int REFERENCES users);"
        "CREATE TABLE notes (id int, owner int REFERENCES users);"
        "INSERT INTO files VALUES (1, 1), (2, 3); INSERT INTO notes VALUES (1, 1), (2, 3)",
    )
    owner.execute(
        "CREATE FUNCTION besides() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN TRUNCATE public.{emptied}; RETURN OLD; END $$;"
        f"CREATE TRIGGER besides AFTER DELETE ON {trigger_of} FOR EACH ROW EXECUTE FUNCTION besides()"
    )

    report = swept(database.dsn)

    assert deleted(report) == {"users": (2, 0), "files": (0, 1), "notes": (0, 1)}
    assert ids(owner, trigger_of) == [2]
    assert ids(owner, emptied) == []
    assert report.side_effects == (SideEffects("public", emptied, 0, 0, 0, emptied=True),)


@pytest.mark.parametrize("action", ["SET NULL", "NO ACTION"])
def test_emptied_and_filled_again_with_less(
    database: Database, owner: Connection[TupleRow], action: LiteralString
) -> None:
    """Where a row was that is to go, or to be changed, the file of its table has ended by then."""
    make(owner, _USERS)
    make(
        owner,
        "CREATE TABLE notes (owner int REFERENCES users ON DELETE CASCADE);"
        "CREATE TABLE files (id int, owner int);"
        "CREATE INDEX ON notes (owner); CREATE INDEX ON files (owner); INSERT INTO notes VALUES (1);"
        "INSERT INTO files SELECT i, CASE i WHEN 2000 THEN 1 END FROM generate_series(1, 2000) AS i;"
        "ANALYZE files",
    )
    owner.execute(f"ALTER TABLE files ADD FOREIGN KEY (owner) REFERENCES users ON DELETE {action}")
    owner.execute(
        "CREATE FUNCTION besides() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN TRUNCATE public.files; INSERT INTO public.files VALUES (7, 3); RETURN OLD; END $$;"
        "CREATE TRIGGER besides AFTER DELETE ON notes FOR EACH ROW EXECUTE FUNCTION besides()"
    )

    report = swept(database.dsn)

    assert deleted(report).keys() >= {"users", "notes"}
    assert (report.kept, ids(owner, "files")) == ((), [7])
    assert report.side_effects == (SideEffects("public", "files", 1, 0, 0, emptied=True),)


def test_deleted_from_the_same_table(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, _USERS)
    hang(owner, "DELETE FROM public.users WHERE id = 3;")

    report = swept(database.dsn)

    assert ids(owner, "users") == []
    assert deleted(report) == {"users": (2, 0)}
    assert report.side_effects == (SideEffects("public", "users", 0, 0, 1),)


def test_a_counter_of_a_row_that_goes_is_no_side_effect_that_stays(
    database: Database, owner: Connection[TupleRow]
) -> None:
    """Though its rows were updated: the report is of what is there afterwards."""
    make(owner, _USERS)
    make(
        owner,
        "CREATE TABLE posts (id int, author int REFERENCES users);"
        "CREATE INDEX ON posts (author);"
        "ALTER TABLE users ADD posts int DEFAULT 0; INSERT INTO posts VALUES (1, 1), (2, 1)",
    )
    owner.execute(
        "CREATE FUNCTION besides() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN UPDATE public.users SET posts = posts - 1 WHERE id = OLD.author; RETURN OLD; END $$;"
        "CREATE TRIGGER besides AFTER DELETE ON posts FOR EACH ROW EXECUTE FUNCTION besides()"
    )

    report = swept_thoroughly(database.dsn)

    assert ids(owner, "users") == [3]
    assert deleted(report) == {"users": (2, 0), "posts": (0, 2)}
    assert not any(one.inserted or one.deleted for one in report.side_effects)


def test_what_was_rolled_back_is_not_told(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, f"{_USERS} CREATE TABLE log (id int)")
    hang(owner, "INSERT INTO public.log VALUES (OLD.id); IF OLD.id = 2 THEN RAISE 'not 2'; END IF;")

    report = swept(database.dsn)

    assert ids(owner, "users") == [2, 3]
    assert ids(owner, "log") == [1]
    assert report.side_effects == (SideEffects("public", "log", 1, 0, 0),)
    [kept] = report.kept
    assert "besides" in kept.detail
    assert "users" in kept.detail


def test_a_refusal_of_one_is_no_matter_of_others(database: Database, owner: Connection[TupleRow]) -> None:
    """The innocent go in the same run, and who refuses is asked only once for each row that it keeps."""
    make(
        owner,
        "CREATE TABLE users (id int PRIMARY KEY, email text); CREATE SEQUENCE asked;"
        "INSERT INTO users SELECT i, MARKED FROM generate_series(1, 300) i",
    )
    owner.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF OLD.id % 50 = 0 THEN PERFORM nextval('public.asked'); RAISE 'not %', OLD.id; END IF;"
        " RETURN OLD; END $$;"
        "CREATE TRIGGER refuse BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION refuse()"
    )

    report = swept(database.dsn)

    assert ids(owner, "users") == list(range(50, 301, 50))
    assert deleted(report) == {"users": (294, 0)}
    assert all("refuse" in one.detail and "users" in one.detail for one in report.kept)
    assert sum(one.rows for one in report.kept) == 6


@pytest.mark.parametrize("level", ["STATEMENT", "ROW"])
def test_a_trigger_of_a_root_of_partitions(
    database: Database, owner: Connection[TupleRow], level: LiteralString
) -> None:
    """A statement that names a partition fires none of its root that are for statements."""
    make(
        owner,
        "CREATE TABLE users (id int PRIMARY KEY, email text) PARTITION BY RANGE (id);"
        "CREATE TABLE low PARTITION OF users FOR VALUES FROM (0) TO (10) PARTITION BY LIST (id);"
        "CREATE TABLE odd PARTITION OF low FOR VALUES IN (1, 3, 5);"
        "CREATE TABLE even PARTITION OF low DEFAULT;"
        "CREATE TABLE high PARTITION OF users DEFAULT;"
        "CREATE TABLE bookings (id int, user_id int REFERENCES users);"
        "INSERT INTO users VALUES (1, MARKED), (2, MARKED), (3, 'real'), (11, MARKED), (12, 'real');"
        "INSERT INTO bookings VALUES (1, 1), (2, 3);"
        "CREATE TABLE totals (users int); INSERT INTO totals VALUES (5);"
        "CREATE FUNCTION total() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE public.totals SET users = (SELECT count(*) FROM public.users); RETURN NULL; END $$",
    )
    owner.execute(f"CREATE TRIGGER total AFTER DELETE ON users FOR EACH {level} EXECUTE FUNCTION total()")

    report = swept_thoroughly(database.dsn)

    assert ids(owner, "users") == [3, 12]
    assert deleted(report) == {"users": (3, 0), "bookings": (0, 1)}
    assert ids(owner, "totals") == [2]
    assert report.side_effects == (SideEffects("public", "totals", 0, 3, 0),)


@pytest.mark.parametrize("level", ["STATEMENT", "ROW"])
def test_a_trigger_of_a_root_with_a_part_on_another_server(
    database: Database, owner: Connection[TupleRow], level: LiteralString
) -> None:
    """A DELETE from the partition fires none that are for statements; one from the root asks that server."""
    make(
        owner,
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;"
        "CREATE TABLE users (id int PRIMARY KEY, email text); INSERT INTO users VALUES (1, MARKED);"
        "CREATE TABLE visits (day int, user_id int) PARTITION BY LIST (day);"
        "CREATE TABLE monday PARTITION OF visits FOR VALUES IN (1);"
        "CREATE FOREIGN TABLE elsewhere PARTITION OF visits FOR VALUES IN (2) SERVER far;"
        "ALTER TABLE monday ADD FOREIGN KEY (user_id) REFERENCES users;"
        "INSERT INTO monday VALUES (1, 1), (1, NULL); CREATE TABLE log (day int);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO public.log VALUES (1); RETURN OLD; END $$",
    )
    # A root with foreign partitions can have no trigger for rows.
    on = "visits" if level == "STATEMENT" else "monday"
    owner.execute(f"CREATE TRIGGER note AFTER DELETE ON {on} FOR EACH {level} EXECUTE FUNCTION note()")

    report = swept_thoroughly(database.dsn)

    if level == "ROW":
        assert deleted(report) == {"users": (1, 0), "visits": (0, 1)}
        assert report.side_effects == (SideEffects("public", "log", 1, 0, 0),)
        return
    assert deleted(report) == {}
    assert {one.detail for one in report.kept} == {
        "trigger note of public.visits, FOR EACH STATEMENT, fires only for a DELETE that names "
        "public.visits, and that would ask another server for public.elsewhere"
    }


def test_a_trigger_of_a_root_that_refuses(database: Database, owner: Connection[TupleRow]) -> None:
    make(
        owner,
        "CREATE TABLE users (id int, email text) PARTITION BY LIST (id);"
        "CREATE TABLE odd PARTITION OF users FOR VALUES IN (1, 3); INSERT INTO users VALUES (1, MARKED);"
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;"
        "CREATE TRIGGER no BEFORE DELETE ON users FOR EACH STATEMENT EXECUTE FUNCTION no()",
    )

    report = swept(database.dsn)

    assert [one.detail for one in report.kept] == [
        "trigger no of public.users (function public.no) refuses: not now"
    ]


def test_a_rule_that_does_something_besides(database: Database, owner: Connection[TupleRow]) -> None:
    make(owner, _USERS)
    make(owner, "CREATE TABLE files (owner int); INSERT INTO files VALUES (1), (1), (3)")
    owner.execute("CREATE RULE besides AS ON DELETE TO users DO ALSO DELETE FROM files WHERE owner = OLD.id")

    report = swept(database.dsn)

    assert ids(owner, "files") == [3]
    assert report.side_effects == (SideEffects("public", "files", 0, 0, 2),)


def test_a_rule_of_a_root_that_does_something_instead(
    database: Database, owner: Connection[TupleRow]
) -> None:
    make(
        owner,
        "CREATE TABLE users (id int, email text) PARTITION BY LIST (id);"
        "CREATE TABLE odd PARTITION OF users FOR VALUES IN (1, 3); INSERT INTO users VALUES (1, MARKED);"
        "CREATE RULE soft AS ON DELETE TO users DO INSTEAD NOTHING",
    )

    report = swept_thoroughly(database.dsn)

    assert ids(owner, "users") == [1]
    assert [one.detail for one in report.kept] == ["a rule of public.users replaces DELETE: soft"]
