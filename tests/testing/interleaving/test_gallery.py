"""Each bug of the gallery is found, each mended form is complete and clean, sync and async."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import psycopg
import pytest
from psycopg import AsyncConnection, Connection
from psycopg.rows import TupleRow

from pgwatch_tests.testing import Exploration, interleave, interleave_async
from tests.servers.sessions import Connect, Database
from tests.testing.interleaving.gallery import BUGS, SETUP, TABLES, Actor, Bug, Rows, Statements


class Worlds:
    """Rows of a number of their own for each run."""

    def __init__(self, administrator: Connection[TupleRow]) -> None:
        self._administrator = administrator
        self._numbers = count(1)
        administrator.execute(TABLES)

    def make(self) -> dict[str, int]:
        world = {"w": next(self._numbers)}
        for statement in SETUP:
            self._administrator.execute(statement, world)
        return world

    def invariant(self, bug: Bug) -> Callable[[dict[str, int], object], bool]:
        return lambda world, _: self._administrator.execute(bug.holds.encode(), world).fetchone() == (True,)


@pytest.fixture
def worlds(connect: Connect) -> Worlds:
    return Worlds(connect(autocommit=True))


def sync(connection: Connection[TupleRow], actor: Actor) -> Callable[[dict[str, int]], object]:
    def run(world: dict[str, int]) -> object:
        with connection.transaction():
            statements = actor()
            answers: list[Rows | psycopg.Error] = []
            for statement in advance(statements, answers):
                try:
                    cursor = connection.execute(statement.encode(), world)
                    answers.append(cursor.fetchall() if cursor.description else [])
                except psycopg.Error as error:
                    answers.append(error)
            return None

    return run


def asynchronous(connection: AsyncConnection[TupleRow], actor: Actor) -> Callable[[dict[str, int]], object]:
    async def run(world: dict[str, int]) -> object:
        async with connection.transaction():
            statements = actor()
            answers: list[Rows | psycopg.Error] = []
            for statement in advance(statements, answers):
                try:
                    cursor = await connection.execute(statement.encode(), world)
                    answers.append(await cursor.fetchall() if cursor.description else [])
                except psycopg.Error as error:
                    answers.append(error)
            return None

    return run


def advance(statements: Statements, answers: list[Rows | psycopg.Error]) -> Iterator[str]:
    """Returns an actor's statements, one after the other; it gets the answer to each, the last one there."""
    try:
        statement = next(statements)
        while True:
            yield statement
            answer = answers[-1]
            if isinstance(answer, psycopg.Error):
                statement = statements.throw(answer)
            else:
                statement = statements.send(answer)
    except StopIteration:
        return


MOST = 6
"""A bug is found within so many schedules."""


def judge(found: dict[str, tuple[Exploration, Exploration]]) -> None:
    assert [name for name, (buggy, _) in found.items() if not buggy.bad] == []
    assert [
        (name, str(mended)) for name, (_, mended) in found.items() if mended.bad or not mended.complete
    ] == []
    assert {one.trouble for pair in found.values() for one in pair} == {""}


def test_sync(worlds: Worlds, connect: Connect) -> None:
    connections = [connect(), connect()]

    def explored(actors: Sequence[Actor], bug: Bug, max_schedules: int = 2000) -> Exploration:
        functions = [sync(connection, actor) for connection, actor in zip(connections, actors, strict=True)]
        return interleave(
            *functions,
            setup=worlds.make,
            invariant=worlds.invariant(bug),
            isolation="READ COMMITTED",
            max_seconds=60,
            max_schedules=max_schedules,
        )

    judge({name: (explored(bug.buggy, bug, MOST), explored(bug.mended, bug)) for name, bug in BUGS.items()})


async def test_async(worlds: Worlds, database: Database) -> None:
    connections = [await AsyncConnection.connect(database.dsn) for _ in range(2)]

    async def explored(actors: Sequence[Actor], bug: Bug, max_schedules: int = 2000) -> Exploration:
        functions = [
            asynchronous(connection, actor) for connection, actor in zip(connections, actors, strict=True)
        ]
        return await interleave_async(
            *functions,
            setup=worlds.make,
            invariant=worlds.invariant(bug),
            isolation="READ COMMITTED",
            max_seconds=60,
            max_schedules=max_schedules,
        )

    found = {
        name: (await explored(bug.buggy, bug, MOST), await explored(bug.mended, bug))
        for name, bug in BUGS.items()
    }
    for connection in connections:
        await connection.close()
    judge(found)
