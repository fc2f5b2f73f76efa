"""Transactions that were prepared and forgotten are rolled back: those that were looked at, and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.reports.sweeps.sweep_causes import cause_lines
from pgwatch_tests.sweep.orphans.orphan_loop import OrphanKeptError
from pgwatch_tests.sweep.orphans.prepared_transactions import prepared_in, roll_back
from tests.servers.sessions import Connect, Database, MakeRole, unique_name
from tests.sweep.orphans.sweeping import HOSTILE, named, sweep_session, swept
from tests.sweep.reports import NOTHING


def prepare(connection: Connection[TupleRow], gid: str) -> None:
    """Leaves a prepared transaction behind."""
    connection.execute("BEGIN")
    connection.execute("SELECT pg_current_xact_id()")
    connection.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))


def gids(owner: Connection[TupleRow]) -> set[str]:
    """Those of the connected database."""
    query = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
    return {gid for (gid,) in owner.execute(query)}


@pytest.fixture
def gid() -> str:
    """A name that needs quotes."""
    return f"{unique_name()} {HOSTILE}"


def test_an_old_one_is_rolled_back(owner: Connection[TupleRow], database: Database, gid: str) -> None:
    prepare(owner, gid)

    young = named(swept(database.dsn, "prepared"), gid)
    dry = named(swept(database.dsn, "prepared", min_age_s=0, dry_run=True), gid)

    assert (young.removed, young.reason) == (False, "too_young")
    assert dry.removed
    assert gids(owner) == {gid}
    assert named(swept(database.dsn, "prepared", min_age_s=0), gid).removed
    assert gids(owner) == set()
    assert swept(database.dsn, "prepared", min_age_s=0).orphans == ()


def test_a_plan_says_whose_it_is_and_what_it_locks(
    owner: Connection[TupleRow], database: Database, gid: str
) -> None:
    owner.execute("CREATE TABLE users (i int)")
    owner.execute("BEGIN")
    owner.execute("INSERT INTO users VALUES (1)")
    owner.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))

    dry = named(swept(database.dsn, "prepared", min_age_s=0, dry_run=True), gid)
    young = named(swept(database.dsn, "prepared", dry_run=True), gid)

    assert dry.detail == "owner postgres, locks public.users"
    assert young.detail.endswith(" old; owner postgres, locks public.users")
    [line] = cause_lines(replace(NOTHING, orphans=(young,)))
    # Its age is told once.
    assert " ".join(line.listed).count(" old") == 1
    assert named(swept(database.dsn, "prepared", min_age_s=0), gid).removed


def test_those_of_other_databases_arent_ours(
    database: Database, server: EmbeddedServer, connect: Connect, gid: str
) -> None:
    elsewhere = connect(database="postgres", autocommit=True)
    prepare(elsewhere, gid)
    try:
        assert swept(database.dsn, "prepared", min_age_s=0).orphans == ()
        assert gid in gids(elsewhere)
    finally:
        elsewhere.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(gid)))


def test_a_plain_role_cant_roll_back_what_others_prepared(
    owner: Connection[TupleRow],
    database: Database,
    server: EmbeddedServer,
    connect: Connect,
    make_role: MakeRole,
    gid: str,
) -> None:
    plain = make_role()
    mine = unique_name()
    prepare(owner, gid)
    prepare(connect(user=plain, autocommit=True), mine)

    found = swept(server.dsn(database.name, plain), "prepared", min_age_s=0)

    assert named(found, mine).removed
    kept = named(found, gid)
    assert (kept.removed, kept.reason) == (False, "refused")
    assert kept.detail == "needs the role that prepared it (postgres) or a superuser"
    assert gids(owner) == {gid}


def test_another_one_of_the_same_name_is_left_alone(
    owner: Connection[TupleRow], database: Database, gid: str
) -> None:
    prepare(owner, gid)
    with sweep_session(database.dsn) as (session, _):
        (seen,) = prepared_in(session)
        owner.execute(sql.SQL("COMMIT PREPARED {}").format(sql.Literal(gid)))
        with pytest.raises(OrphanKeptError, match="it had already ended") as kept:
            roll_back(session, seen)
        assert kept.value.reason == "changed"
        prepare(owner, gid)
        with pytest.raises(OrphanKeptError, match="it had already ended") as kept:
            roll_back(session, seen)
        assert kept.value.reason == "changed"
    assert gids(owner) == {gid}


def test_it_ends_when_told_to(owner: Connection[TupleRow], database: Database, gid: str) -> None:
    prepare(owner, gid)

    kept = named(swept(database.dsn, "prepared", min_age_s=0, stopped=lambda: True), gid)

    assert (kept.removed, kept.reason) == (False, "interrupted")
    assert gids(owner) == {gid}


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_names_in_other_encodings(
    encoding: str, owner: Connection[TupleRow], connect: Connect, server: EmbeddedServer
) -> None:
    name = unique_name()
    owner.execute(
        sql.SQL("CREATE DATABASE {} ENCODING {} TEMPLATE template0").format(
            sql.Identifier(name), sql.Literal(encoding)
        )
    )
    try:
        inside = connect(database=name, autocommit=True)
        gid = f"{name} ü"
        inside.execute("SET client_encoding = 'LATIN1'")
        prepare(inside, gid)
        inside.close()

        (orphan,) = swept(server.dsn(name), "prepared", min_age_s=0).orphans

        assert orphan.removed
    finally:
        owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
