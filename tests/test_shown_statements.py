"""Statements that people are shown are run as they are printed, with names that have to be quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.doctor.examination import examine
from pgwatch_tests.doctor.model import Unread
from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.leaks.indexes.indexes import LeakIndexes
from pgwatch_tests.postgres.guard import DatabaseFacts, refusal
from tests.leaks.baseline.baselines import left, taken
from tests.leaks.leftovers.leftovers_seen import found as leftovers
from tests.leaks.scanning import rows, scanned, settings
from tests.servers.sessions import Database, MakeRole, unique_name
from tests.sweep.rows.bookings import REQUEST, details, swept

STATEMENT = re.compile(r"(?:GRANT|ALTER|CREATE INDEX|DROP INDEX|ROLLBACK PREPARED)\b.*")
ENDS = re.compile(r", or (?:check as|--temp-index).*| \(or COMMIT PREPARED\).*")


@pytest.fixture
def role(owner: Connection[TupleRow], make_role: MakeRole) -> Iterator[str]:
    """A login role that may nothing, with a name that has to be quoted."""
    made, name = make_role(), f'User "{unique_name()}" all'
    rename = sql.SQL("ALTER ROLE {} RENAME TO {}")
    owner.execute(rename.format(sql.Identifier(made), sql.Identifier(name)))
    yield name
    owner.execute(rename.format(sql.Identifier(name), sql.Identifier(made)))


@pytest.fixture
def orders(owner: Connection[TupleRow]) -> Connection[TupleRow]:
    """Tables, columns and a schema whose names are keywords, or no plain words."""
    owner.execute('CREATE SCHEMA "my-app"')
    owner.execute('CREATE TABLE "my-app"."order" ("user" int PRIMARY KEY, "E-Mail" text)')
    owner.execute('CREATE TABLE "my-app"."group" ("order" int REFERENCES "my-app"."order", "$x" text)')
    owner.execute(
        """INSERT INTO "my-app"."order" SELECT n, 'user-1717171717171-x@test.example.com'
           FROM generate_series(1, 2000) AS n"""
    )
    owner.execute("""INSERT INTO "my-app"."group" SELECT "user", repeat('x', 80) FROM "my-app"."order" """)
    return owner


def follow(owner: Connection[TupleRow], advice: str) -> int:
    """Runs the statements of an advice as they are printed. Returns how many there were."""
    found = [ENDS.sub("", part) for part in STATEMENT.findall(advice)]
    for statement in found:
        if statement.count(")") > statement.count("("):
            statement = statement.removesuffix(")")  # of the sentence around it
        owner.execute(statement.encode())
    return len(found)


def test_of_what_isnt_counted(
    orders: Connection[TupleRow], server: EmbeddedServer, database: Database, role: str
) -> None:
    orders.execute('ALTER TABLE "my-app"."group" ENABLE ROW LEVEL SECURITY')
    dsn = server.dsn(database.name, role)
    rounds = 0
    while not (report := scanned(dsn)).complete:
        rounds += 1
        assert rounds < 4, report.skipped
        assert sum(follow(orders, skipped.hint) for skipped in report.skipped)

    assert rounds
    assert rows(report) == {"my-app.order": 2000}


def test_of_columns_that_arent_counted(
    orders: Connection[TupleRow], server: EmbeddedServer, database: Database, role: str
) -> None:
    to = sql.Identifier(role)
    orders.execute(sql.SQL('GRANT USAGE ON SCHEMA "my-app" TO {}').format(to))
    orders.execute(sql.SQL('GRANT SELECT ("user") ON "my-app"."order" TO {}').format(to))
    orders.execute('ALTER TABLE "my-app"."order" ADD COLUMN "plain text" text')
    orders.execute(sql.SQL('GRANT SELECT ("plain text") ON "my-app"."order" TO {}').format(to))
    dsn = server.dsn(database.name, role)

    for skipped in scanned(dsn).skipped:
        assert follow(orders, skipped.hint)

    assert rows(scanned(dsn)) == {"my-app.order": 2000}


def test_of_triggers_and_constraints_that_are_off(
    orders: Connection[TupleRow], database: Database, role: str
) -> None:
    orders.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    for statement in (
        'CREATE TRIGGER "On" AFTER INSERT ON "my-app"."order" FOR EACH ROW EXECUTE FUNCTION nothing()',
        'ALTER TABLE "my-app"."order" DISABLE TRIGGER "On"',
        'ALTER TABLE "my-app"."group" DISABLE TRIGGER ALL',
        'ALTER TABLE "my-app"."order" ADD CONSTRAINT "a ""check""" CHECK ("user" > 0) NOT VALID',
        'ALTER TABLE "my-app"."group" ADD CONSTRAINT "key" FOREIGN KEY ("order")'
        ' REFERENCES "my-app"."order" NOT VALID',
    ):
        orders.execute(statement.encode())
    of = sql.Identifier(role), sql.Identifier(database.name)
    for whose in ("ROLE {0}", "DATABASE {1}", "ROLE {0} IN DATABASE {1}"):
        orders.execute(sql.SQL(f"ALTER {whose} SET session_replication_role = replica").format(*of))
    if orders.info.server_version >= 180000:
        orders.execute(
            'ALTER TABLE "my-app"."group" ADD CONSTRAINT "off" FOREIGN KEY ("order")'
            ' REFERENCES "my-app"."order" NOT ENFORCED'
        )

    found = leftovers(database.dsn, "disabled_trigger")
    assert len(found) == (8 if orders.info.server_version >= 180000 else 7), found
    for leftover in found:
        assert follow(orders, leftover.hint) == 1

    assert leftovers(database.dsn, "disabled_trigger") == []


@pytest.mark.parametrize("number", [2, 9])
def test_of_sequences_that_cant_be_read(
    orders: Connection[TupleRow], server: EmbeddedServer, database: Database, role: str, number: int
) -> None:
    orders.execute('CREATE SCHEMA "O\'Hara ""x"""')
    for place in range(number):
        orders.execute(f'CREATE SEQUENCE "my-app"."order {place}"'.encode())
        orders.execute(f'CREATE SEQUENCE "O\'Hara ""x"""."user {place}"'.encode())
    baseline = taken(database)
    orders.execute('SELECT nextval(\'"my-app"."order 0"\')')
    plain = Database(database.name, server.dsn(database.name, role))

    [unchecked] = left(plain, baseline, "sequence").unchecked
    assert follow(orders, unchecked.hint)

    report = left(plain, baseline, "sequence")
    assert report.unchecked == ()
    assert [(one.name, one.detail) for one in report.leftovers] == [("my-app.order 0", "unused → 1")]


def test_of_a_database_that_isnt_known_as_one_for_tests(
    server: EmbeddedServer,
) -> None:
    name = f'Shop "{unique_name()}" of today'
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as elsewhere:
        elsewhere.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            told = refusal(DatabaseFacts(name, None, False, False))
            assert told is not None
            [statement] = re.findall(r"COMMENT ON DATABASE .*?(?=; or)", told)
            elsewhere.execute(statement.encode())
            [comment] = elsewhere.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (name,)
            ).fetchone() or (None,)
            assert refusal(DatabaseFacts(name, comment, False, False)) is None
        finally:
            elsewhere.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_of_an_index_that_cant_be_made(
    orders: Connection[TupleRow], server: EmbeddedServer, database: Database, role: str
) -> None:
    to = sql.Identifier(role)
    orders.execute(sql.SQL('GRANT USAGE ON SCHEMA "my-app" TO {}').format(to))
    orders.execute(sql.SQL('ALTER TABLE "my-app"."order" OWNER TO {}').format(to))
    given = settings(server.dsn(database.name, role))
    with LeakIndexes(given) as indexes:
        [impossible] = indexes.plan(["my-app.order"], 0).impossible

    assert follow(orders, impossible.hint)

    with LeakIndexes(given) as indexes:
        [made] = indexes.create(indexes.plan(["my-app.order"], 0))
    assert made.result == "made"


def test_of_what_isnt_swept(
    orders: Connection[TupleRow], server: EmbeddedServer, database: Database, role: str
) -> None:
    orders.execute('ALTER TABLE "my-app"."group" ENABLE ROW LEVEL SECURITY')
    impatient = replace(REQUEST, patience_s=0.1, min_age_s=0.0)
    dsn = server.dsn(database.name, role)
    orders.execute(sql.SQL("ALTER ROLE {} CREATEROLE").format(sql.Identifier(role)))
    rounds = 0
    while not (report := swept(dsn, impatient)).deleted_rows:
        rounds += 1
        assert rounds < 9, (report.kept, report.not_checked)
        told = {*details(report), *report.not_checked}
        assert sum(follow(orders, advice) for advice in told), told

    assert rounds > 1
    assert report.deleted_rows == 4000


def test_of_what_a_role_lacks(
    orders: Connection[TupleRow], server: EmbeddedServer, database: Database, role: str
) -> None:
    given = settings(server.dsn(database.name, role))
    before = examine(given)

    fixes = [statement for feature in before.features for statement in feature.fix]
    assert fixes
    for statement in fixes:
        orders.execute(statement.encode())

    after = examine(given)
    assert sum(bool(feature.fix) for feature in after.features) < sum(
        bool(feature.fix) for feature in before.features
    )
    assert not isinstance(before.advice, Unread)
    tuning = [statement for advice in before.advice for statement in advice.how if "DATABASE" in statement]
    assert tuning
    for statement in tuning:
        orders.execute(statement.encode())
