"""Looking at what waits runs no code of the database's owner, whatever it has made of the tables."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.locks.snapshot.live_source import LiveSource
from pgwatch_tests.settings.load import Dsn, Settings
from tests.cli.running import pgwatch
from tests.leaks.catalog import traps as laid
from tests.leaks.catalog.traps import Traps, trapped
from tests.locks.looking import look
from tests.servers.sessions import Database, MakeRole, blocked


def lay_domain_key(traps: Traps) -> None:
    """A primary key of a domain that is checked by the owner's function."""
    laid.lay_checks(traps)
    traps.run("CREATE TABLE m.by_address (a m.address PRIMARY KEY, t text)")
    traps.run("INSERT INTO m.by_address VALUES ('a@test.example.com', 'x')")


def lay_policy(traps: Traps) -> None:
    """A policy that asks the owner's function for each row, and columns that it has made."""
    traps.lay("policy", "policed", "int", "bool", "true")
    traps.lay("default", "given", "", "int", "1")
    traps.run(
        "CREATE TABLE m.guarded (id int PRIMARY KEY DEFAULT m.given(), t text CHECK (m.policed(1)))",
        "INSERT INTO m.guarded VALUES (1, 'x')",
        "ALTER TABLE m.guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "CREATE POLICY p ON m.guarded USING (m.policed(id))",
    )


@dataclass(frozen=True)
class Case:
    """What is laid; statements that change rows and write a new key, if there is one; and a careless look."""

    lay: Callable[[Traps], None]
    change: str
    insert: str
    careless: str
    springs: set[str]


CASES = {
    "enum in the key": Case(
        laid.lay_casts,
        "UPDATE m.by_mood SET t = 'y'",
        "INSERT INTO m.by_mood VALUES ('sad')",
        "SELECT mood::text FROM m.by_mood",
        {"cast mood text"},
    ),
    "composite in the key": Case(
        laid.lay_casts,
        "UPDATE m.by_pair SET t = 'y'",
        "INSERT INTO m.by_pair VALUES (ROW('y', '2')::m.pair)",
        "SELECT md5(pair) FROM m.by_pair",
        {"cast pair text"},
    ),
    "names ahead of the server's": Case(
        laid.lay_names,
        "UPDATE m.people SET email = 'y'",
        "INSERT INTO m.people VALUES (3)",
        "SELECT FROM m.people WHERE ctid = '(0,1)'::pg_catalog.tid",
        {"name eq_tid"},
    ),
    "domain with a check in the key": Case(
        lay_domain_key,
        "UPDATE m.by_address SET t = 'y'",
        "INSERT INTO m.by_address VALUES ('b')",
        "SELECT 'x'::m.address",
        {"domain"},
    ),
    "index of some rows": Case(
        laid.lay_plans,
        "UPDATE m.plan0 SET t = 'y'",
        "",
        "SELECT FROM m.plan0",
        {"plan"},
    ),
    "index on an expression": Case(
        laid.lay_plans,
        "UPDATE m.plan1 SET t = 'y'",
        "",
        "SELECT FROM m.plan1",
        {"plan"},
    ),
    "partition key": Case(
        laid.lay_plans,
        "UPDATE m.planned_part SET t = 'y'",
        "",
        "SELECT FROM m.planned_parts",
        {"plan"},
    ),
    "unique key of the owner's operators": Case(
        laid.lay_keys,
        "UPDATE m.rooms SET t = 'y'",
        "INSERT INTO m.rooms VALUES (2, 'y')",
        "SELECT FROM m.rooms JOIN m.beds ON id OPERATOR(m.=) room",
        {"key same", "key order"},
    ),
    "policy": Case(
        lay_policy,
        "UPDATE m.guarded SET t = 'y'",
        "INSERT INTO m.guarded VALUES (2, 'y')",
        "INSERT INTO m.guarded VALUES (3, 'z')",
        {"policy"},
    ),
}


@pytest.fixture
def traps(server: EmbeddedServer, database: Database, make_role: MakeRole) -> Iterator[Traps]:
    with trapped(server, database, make_role) as made:
        yield made


@contextmanager
def waits(traps: Traps, held: Sequence[str], wanted: Sequence[str]) -> Iterator[None]:
    """The owner's sessions: one holds what it has done, and each of the others waits for that."""
    with ExitStack() as sessions:

        def opened() -> Connection[TupleRow]:
            session = psycopg.connect(traps.database.dsn, user=traps.owner.info.user, autocommit=True)
            return sessions.enter_context(session)

        holder = opened()
        holder.execute("BEGIN")
        for statement in held:
            holder.execute(statement.encode())
        running = [blocked(opened(), statement) for statement in wanted]
        try:
            yield
        finally:
            holder.execute("ROLLBACK")
            for one in running:
                one.result()


@pytest.mark.parametrize("case", CASES)
def test_no_look_springs_a_trap(traps: Traps, tmp_path: Path, case: str) -> None:
    played = CASES[case]
    played.lay(traps)
    assert traps.springs(played.careless) == played.springs

    with waits(
        traps,
        [played.change, *filter(None, [played.insert])],
        [played.change, played.change, *filter(None, [played.insert])],
    ):
        for arguments in (["--format", "json"], ["--watch", "0.3", "--duration", "1"]):
            pgwatch(tmp_path, "locks", *arguments, "--dsn", traps.database.dsn)
            assert traps.sprung() == set(), arguments
        table = played.change.split()[1]
        assert any(table in str(edge.lock.target) for edge in look(traps.database.dsn).snapshot.shown_edges)
        assert traps.sprung() == set()


def test_a_table_that_turns_into_a_trap_while_it_is_watched(traps: Traps) -> None:
    """What was seen of it before counts for nothing."""
    traps.lay("plan", "planned", "int", "bool", "true")
    traps.run("CREATE TABLE m.t (id int PRIMARY KEY, t text)", "INSERT INTO m.t VALUES (1, 'x'), (2, 'x')")
    first, second = ("UPDATE m.t SET t = 'y' WHERE id = 1", "UPDATE m.t SET t = 'y' WHERE id = 2")

    async def watch() -> None:
        async with LiveSource(Settings(dsn=Dsn(traps.database.dsn, "the test"))) as watching:
            with waits(traps, [first], [first, first]):
                targets = [str(edge.lock.target) for edge in (await watching.read_twice()).shown_edges]
                assert any("id=1" in target for target in targets), targets
            traps.run("CREATE INDEX ON m.t (id) WHERE m.planned(1)")
            with waits(traps, [second], [second, second]):
                targets = [str(edge.lock.target) for edge in (await watching.read_twice()).shown_edges]
                assert any("m.t" in target for target in targets), targets
                assert not any("id=2" in target for target in targets), targets

    asyncio.run(watch())
    assert traps.springs("SELECT FROM m.t") == {"plan"}
