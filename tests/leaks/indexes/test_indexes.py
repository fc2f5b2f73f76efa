"""Partial indexes on a real server: made, used, replaced and dropped, and never where they shouldn't be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from psycopg import Connection, pq, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import ConfigurationError, RefusedError
from pgwatch_tests.leaks.catalog.discovery import discover
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.leaks.indexes import index_builds
from pgwatch_tests.leaks.indexes.index_model import IndexOutcome, IndexPlan, LeakIndex
from pgwatch_tests.leaks.indexes.indexes import LeakIndexes
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.settings.load import DEFAULT_MARKERS, MarkerSetting, Settings
from tests.leaks.scanning import insert, rows, scanned, settings
from tests.servers.sessions import Connect, Database, MakeRole

RUN = MarkerSetting("run", "^run_[0-9]+$", regex=True)


def planned(given: Settings, *tables: str, smallest_bytes: int = 0) -> IndexPlan:
    with LeakIndexes(given) as indexes:
        return indexes.plan(tables, smallest_bytes)


def created(given: Settings, *tables: str) -> list[IndexOutcome]:
    with LeakIndexes(given) as indexes:
        return list(indexes.create(indexes.plan(tables, 0)))


def listed(given: Settings, *tables: str) -> tuple[LeakIndex, ...]:
    with LeakIndexes(given) as indexes:
        return indexes.list(tables)


def make_users(owner: Connection[TupleRow], table: str = "users", number: int = 3000) -> None:
    name = sql.Identifier(table)
    owner.execute(
        sql.SQL(
            "CREATE TABLE {} (id int PRIMARY KEY, email varchar(90), code char(30), created_at timestamptz)"
        ).format(name)
    )
    owner.execute(
        sql.SQL(
            "INSERT INTO {} SELECT i, 'someone' || i || '@example.org', 'c' || i, now()"
            " FROM generate_series(1, {}) AS i"
        ).format(name, number)
    )
    owner.execute(
        sql.SQL(
            "INSERT INTO {} VALUES (-1, 'A@TEST.example.com', 'x', now()),"
            " (-2, NULL, 'booking_1718000000000_x7f3', now()), (-3, NULL, 'run_77', now())"
        ).format(name)
    )


def explained(owner: Connection[TupleRow], given: Sequence[MarkerSetting], details: bool) -> str:
    """How the server runs a scan's own statement, as JSON."""
    statements = MarkedRowStatements(pq.Escaping(owner.pgconn), markers(given))
    tables = discover(owner, owner.info.user, Ignores(())).tables
    [statement] = statements.details(tables) if details else statements.counts(tables)
    row = owner.execute(b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement).fetchone()
    assert row is not None
    return json.dumps(row[0])


def blocks_read(plan: str) -> int:
    top = json.loads(plan)[0]["Plan"]
    return int(top["Shared Hit Blocks"]) + int(top["Shared Read Blocks"])


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize(
    "given",
    [
        DEFAULT_MARKERS,
        (RUN,),
        (*DEFAULT_MARKERS, RUN, MarkerSetting("code", "BOOKING%")),
        (MarkerSetting("no letters", "%\\_17180000%"), MarkerSetting("the same", "%\\_17180000%")),
    ],
)
def test_a_scan_uses_it(
    database: Database, owner: Connection[TupleRow], given: tuple[MarkerSetting, ...], analysed: bool
) -> None:
    make_users(owner, number=30_000)
    if analysed:
        owner.execute("VACUUM ANALYZE users")
    before = scanned(database.dsn, given)

    [outcome] = created(settings(database.dsn, given))

    assert (outcome.result, outcome.table, outcome.detail) == ("made", "users", "")
    for details in (False, True):
        plan = explained(owner, given, details)
        assert outcome.name in plan
        assert "Seq Scan" not in plan
        assert blocks_read(plan) < 30
    after = scanned(database.dsn, given)
    assert replace(after, checked_at=before.checked_at, duration_s=before.duration_s) == before
    assert after.total


def test_a_plan_that_goes_another_way_is_told(database: Database, owner: Connection[TupleRow]) -> None:
    make_users(owner)

    # To the planner, nearly every string is like this, and of char(n) as text it has no statistics.
    [outcome] = created(settings(database.dsn, (MarkerSetting("broad", "%@%.%.%"),)))

    assert (outcome.result, outcome.detail) == ("unused", "the planner doesn't use it for a scan")


def test_rows_of_later_are_in_it(database: Database, owner: Connection[TupleRow]) -> None:
    make_users(owner)
    created(settings(database.dsn))

    owner.execute("UPDATE users SET email = 'b@test.example.com' WHERE id = 7")
    owner.execute("INSERT INTO users VALUES (-9, 'c@test.example.com')")
    owner.execute("DELETE FROM users WHERE id = -1")

    assert rows(scanned(database.dsn)) == {"public.users": 3}


def test_leaves_of_a_partitioned_table(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE event (dropped int, id int, who text) PARTITION BY RANGE (id)")
    owner.execute("ALTER TABLE event DROP COLUMN dropped")
    owner.execute("CREATE TABLE low PARTITION OF event FOR VALUES FROM (0) TO (5000)")
    # Its columns have other numbers than the root's.
    owner.execute("CREATE TABLE high (who text, id int)")
    owner.execute("ALTER TABLE event ATTACH PARTITION high FOR VALUES FROM (5000) TO (10000)")
    owner.execute("INSERT INTO event SELECT i, 'someone' || i FROM generate_series(1, 9999) AS i")
    owner.execute("INSERT INTO event VALUES (1, 'a@test.example.com'), (9000, 'b@test.example.com')")

    outcomes = created(settings(database.dsn), "public.event")

    assert {(one.table, one.result) for one in outcomes} == {("low", "made"), ("high", "made")}
    plan = explained(owner, DEFAULT_MARKERS, details=False)
    assert all(one.name in plan for one in outcomes)
    assert "Seq Scan" not in plan
    assert rows(scanned(database.dsn)) == {"public.event": 2}
    assert [one.fits for one in listed(settings(database.dsn), "public.high")] == [True]


def test_names_of_any_kind(database: Database, owner: Connection[TupleRow]) -> None:
    table = 'Größe "%s" \\ ; x'
    owner.execute(sql.SQL('CREATE TABLE {} ("it\'s %" text)').format(sql.Identifier(table)))
    insert(owner, table, "a@test.example.com", *["x"] * 2000)

    [outcome] = created(settings(database.dsn), f"public.{table}")

    assert outcome.result == "made"
    assert rows(scanned(database.dsn)) == {f"public.{table}": 1}


def test_by_default_only_large_tables(database: Database, owner: Connection[TupleRow]) -> None:
    make_users(owner)
    owner.execute("CREATE TABLE small (c text)")

    plan = planned(settings(database.dsn), smallest_bytes=100_000)

    [users] = plan.planned
    assert (users.table, users.columns, plan.small) == ("users", 2, 1)
    assert users.table_bytes > 100_000
    assert 0 < users.build_s < 60
    assert 0 < users.write_s < 0.001
    assert users.index_bytes >= 16384
    assert [one.table for one in planned(settings(database.dsn), "public.small").planned] == ["small"]


def test_the_estimate_comes_from_a_sample(database: Database, owner: Connection[TupleRow]) -> None:
    owner.execute("CREATE TABLE log (c text)")
    owner.execute(
        "INSERT INTO log SELECT CASE WHEN i % 10 = 0 THEN 'a' || i || '@test.example.com'"
        " ELSE repeat('x', 500) END FROM generate_series(1, 60000) AS i"
    )

    [plan] = planned(settings(database.dsn)).planned
    created(settings(database.dsn))

    [made] = listed(settings(database.dsn))
    assert plan.table_bytes > 2000 * 8192
    assert 0.5 < plan.index_bytes / made.bytes < 2


def test_once_made_it_is_left_alone_until_markers_change(
    database: Database, owner: Connection[TupleRow]
) -> None:
    make_users(owner)
    [first] = created(settings(database.dsn))
    again = planned(settings(database.dsn))
    changed = settings(database.dsn, (RUN,))
    [seen_now] = listed(changed)

    outcomes = created(changed)

    assert (again.planned, [index.name for index in again.present]) == ((), [first.name])
    assert not seen_now.fits
    assert [(one.result, one.name == first.name) for one in outcomes] == [("made", False), ("dropped", True)]
    [left] = listed(changed)
    assert left.fits
    assert left.name == outcomes[0].name


def test_what_an_interrupted_run_left_is_made_again(
    database: Database, owner: Connection[TupleRow], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_builds, "PATIENCE_S", 0.2)
    make_users(owner)
    writer = connect()
    writer.execute("UPDATE users SET code = 'y' WHERE id = 1")

    [failed] = created(settings(database.dsn))
    [remainder] = listed(settings(database.dsn))
    plan = planned(settings(database.dsn))
    writer.rollback()
    outcomes = created(settings(database.dsn))

    assert failed.result == "failed"
    assert "a transaction that began before is still open" in failed.detail
    assert f'it left an invalid index: DROP INDEX "public"."{remainder.name}"' in failed.detail
    assert (remainder.valid, remainder.fits) == (False, False)
    assert plan.planned[0].replaces == (remainder,)
    assert [(one.result, one.name) for one in outcomes] == [
        ("dropped", remainder.name),
        ("made", remainder.name),
    ]
    assert [one.fits for one in listed(settings(database.dsn))] == [True]


def test_drop(database: Database, owner: Connection[TupleRow]) -> None:
    make_users(owner)
    make_users(owner, "others")
    owner.execute("CREATE INDEX by_code ON users (code)")
    created(settings(database.dsn))

    with LeakIndexes(settings(database.dsn)) as indexes:
        [dropped] = indexes.drop(indexes.list(["public.users"]))

    assert (dropped.result, dropped.table) == ("dropped", "users")
    assert [index.table for index in listed(settings(database.dsn))] == ["others"]


def test_only_an_owner_can(
    server: EmbeddedServer, database: Database, owner: Connection[TupleRow], make_role: MakeRole
) -> None:
    role, maker = make_role(), make_role()
    make_users(owner)
    make_users(owner, "mine")
    for name in (role, maker):
        owner.execute(sql.SQL("GRANT SELECT ON users, mine TO {}").format(sql.Identifier(name)))
    owner.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    owner.execute(sql.SQL("ALTER TABLE mine OWNER TO {}").format(sql.Identifier(maker)))
    created(settings(database.dsn), "public.users")

    plain = planned(settings(server.dsn(database.name, role)), "public.mine")
    own = planned(settings(server.dsn(database.name, maker)), "public.mine")
    with LeakIndexes(settings(server.dsn(database.name, role))) as indexes:
        [not_dropped] = indexes.drop(indexes.list())

    assert [(one.reason, one.hint) for one in plain.impossible] == [
        ("only its owner can make an index", f"run it as {maker}")
    ]
    assert [(one.reason, one.hint) for one in own.impossible] == [
        ("no CREATE privilege", f'GRANT CREATE ON SCHEMA "public" TO "{maker}"')
    ]
    assert (plain.planned, own.planned) == ((), ())
    assert (not_dropped.result, not_dropped.detail) == ("failed", "only its owner may: postgres")


def test_never_where_the_guard_forbids_it(
    server: EmbeddedServer, database: Database, owner: Connection[TupleRow]
) -> None:
    make_users(owner)
    with pytest.raises(RefusedError, match="read_only is set"):
        planned(replace(settings(database.dsn), read_only=True))
    with pytest.raises(RefusedError, match="server's own"):
        planned(settings(server.dsn("postgres")))
    owner.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
            sql.Identifier(database.name)
        )
    )
    with pytest.raises(RefusedError, match="read-only"):
        planned(settings(database.dsn))
    assert listed(settings(database.dsn)) == ()


def test_tables_and_markers_that_cant_be(database: Database, owner: Connection[TupleRow]) -> None:
    make_users(owner)
    with pytest.raises(ConfigurationError, match=r"no table 'public\.user'"):
        planned(settings(database.dsn), "public.user")
    with pytest.raises(RefusedError, match="no index can serve the marker 'any'"):
        planned(settings(database.dsn, (MarkerSetting("any", "[0-9]", regex=True),)))


def test_a_locked_table_is_told(database: Database, owner: Connection[TupleRow], connect: Connect) -> None:
    make_users(owner)
    connect().execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")

    [impossible] = planned(settings(database.dsn), "public.users").impossible

    assert impossible.table == "users"
    assert "locked" in impossible.reason


def test_one_at_a_time(database: Database, owner: Connection[TupleRow]) -> None:
    make_users(owner)
    with LeakIndexes(settings(database.dsn)) as first, LeakIndexes(settings(database.dsn)) as second:
        plan = first.plan((), 0)
        made = first.create(plan)
        next(made)
        with pytest.raises(RefusedError, match="another pgwatch-tests"):
            list(second.create(plan))
