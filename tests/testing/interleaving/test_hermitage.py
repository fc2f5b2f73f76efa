"""The ten anomalies of Hermitage: found at the levels at which PostgreSQL allows them, clean at the others.

Adya, Liskov, O'Neil, ICDE 2000, name them; Kleppmann's Hermitage says which of them each database allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.testing import Outcome, interleave
from pgwatch_tests.testing.interleaving.explorer import Isolation
from tests.servers.sessions import Connect

Rows = tuple[int, int]
"""The ids of two rows, which hold 10 and 20."""
Actor = Callable[[Connection[TupleRow], Rows], object]
Outcomes = Sequence[Outcome[object]]


def read(connection: Connection[TupleRow], id_: int) -> int:
    row = connection.execute("SELECT value FROM test WHERE id = %s", [id_]).fetchone()
    assert row is not None
    return int(row[0])


def write(connection: Connection[TupleRow], id_: int, value: int) -> None:
    connection.execute("UPDATE test SET value = %s WHERE id = %s", [value, id_])


def threes(connection: Connection[TupleRow], rows: Rows) -> int:
    """How many rows beside the two are divisible by 3."""
    row = connection.execute(
        "SELECT count(*) FROM test WHERE pair = %s AND value %% 3 = 0", [rows[0]]
    ).fetchone()
    assert row is not None
    return int(row[0])


def writing(*written: tuple[int, int]) -> Actor:
    """Writes values to the rows of these places, in one transaction."""

    def act(connection: Connection[TupleRow], rows: Rows) -> str:
        for place, value in written:
            write(connection, rows[place], value)
        return "committed"

    return act


def reading(*places: int) -> Actor:
    """Reads the rows of these places, in one transaction."""
    return lambda connection, rows: tuple(read(connection, rows[place]) for place in places)


def undone(connection: Connection[TupleRow], rows: Rows) -> None:
    write(connection, rows[0], 101)
    read(connection, rows[0])
    connection.rollback()


def write_then_read(mine: int, value: int) -> Actor:
    def act(connection: Connection[TupleRow], rows: Rows) -> int:
        write(connection, rows[mine], value)
        return read(connection, rows[1 - mine])

    return act


def add_one(connection: Connection[TupleRow], rows: Rows) -> None:
    write(connection, rows[0], read(connection, rows[0]) + 1)


def read_both_write(mine: int) -> Actor:
    def act(connection: Connection[TupleRow], rows: Rows) -> Rows:
        seen = read(connection, rows[0]), read(connection, rows[1])
        write(connection, rows[mine], 11)
        return seen

    return act


def insert(connection: Connection[TupleRow], rows: Rows) -> None:
    connection.execute("INSERT INTO test (pair, value) VALUES (%s, 30)", [rows[0]])


def twice_threes(connection: Connection[TupleRow], rows: Rows) -> Rows:
    return threes(connection, rows), threes(connection, rows)


def insert_unless_seen(connection: Connection[TupleRow], rows: Rows) -> int:
    seen = threes(connection, rows)
    insert(connection, rows)
    return seen


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Transactions, and what shows that they met the anomaly."""

    actors: tuple[Actor, ...]
    is_met: Callable[[Rows, Outcomes], bool]
    """Gets the values that the two rows have in the end, and the outcomes."""
    allowed: tuple[Isolation, ...] = ()


def values(outcomes: Outcomes) -> list[object]:
    """What the actors returned; None where they failed."""
    return [one.value for one in outcomes]


_RC: tuple[Isolation, ...] = ("READ COMMITTED",)
_RC_RR: tuple[Isolation, ...] = ("READ COMMITTED", "REPEATABLE READ")
ANOMALIES = {
    "G0": Anomaly(
        (writing((0, 11), (1, 21)), writing((0, 12), (1, 22))),
        lambda end, _: end not in ((11, 21), (12, 22), (10, 20)),
    ),
    "G1a": Anomaly((undone, reading(0, 0)), lambda _, outcomes: 101 in (outcomes[1].value or ())),  # type: ignore[operator]
    "G1b": Anomaly(
        (writing((0, 101), (0, 11)), reading(0, 0)),
        lambda _, outcomes: 101 in (outcomes[1].value or ()),  # type: ignore[operator]
    ),
    "G1c": Anomaly(
        (write_then_read(0, 11), write_then_read(1, 22)), lambda _, outcomes: values(outcomes) == [22, 11]
    ),
    "OTV": Anomaly(
        (writing((0, 11), (1, 19)), writing((0, 12), (1, 18)), reading(1, 0)),
        # By who wrote last: what was seen of it is gone again.
        lambda end, outcomes: (
            outcomes[2].value in {(12, 18): ((18, 11), (18, 10)), (11, 19): ((19, 12), (19, 10))}.get(end, ())
        ),
    ),
    "PMP": Anomaly((twice_threes, insert), lambda _, outcomes: outcomes[0].value == (0, 1), _RC),
    "P4": Anomaly(
        (add_one, add_one), lambda end, outcomes: end[0] != 10 + sum(one.is_ok for one in outcomes), _RC
    ),
    "G-single": Anomaly(
        (reading(0, 1), writing((0, 12), (1, 18))), lambda _, outcomes: outcomes[0].value == (10, 18), _RC
    ),
    "G2-item": Anomaly(
        (read_both_write(0), read_both_write(1)),
        lambda _, outcomes: values(outcomes) == [(10, 20), (10, 20)],
        _RC_RR,
    ),
    "G2": Anomaly(
        (insert_unless_seen, insert_unless_seen), lambda _, outcomes: values(outcomes) == [0, 0], _RC_RR
    ),
}


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_each_anomaly_is_found_where_the_server_allows_it(connect: Connect, level: Isolation) -> None:
    administrator = connect(autocommit=True)
    administrator.execute(
        "CREATE TABLE test (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, pair bigint, value int)"
    )
    connections = [connect() for _ in range(3)]
    found, incomplete = {}, {}

    def make() -> Rows:
        ids = [
            int(row[0])
            for value in (10, 20)
            for row in administrator.execute("INSERT INTO test (value) VALUES (%s) RETURNING id", [value])
        ]
        return ids[0], ids[1]

    def bound(actor: Actor, connection: Connection[TupleRow]) -> Callable[[Rows], object]:
        def act(rows: Rows) -> object:
            try:
                returned = actor(connection, rows)
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
            return returned

        return act

    for name, anomaly in ANOMALIES.items():

        def is_clean(rows: Rows, outcomes: Outcomes, anomaly: Anomaly = anomaly) -> bool:
            return not anomaly.is_met((read(administrator, rows[0]), read(administrator, rows[1])), outcomes)

        exploration = interleave(
            *(
                bound(actor, connection)
                for actor, connection in zip(anomaly.actors, connections, strict=False)
            ),
            setup=make,
            invariant=is_clean,
            isolation=level,
            # Without a reduction, three actors have too many schedules.
            max_preemptions=1 if level == "SERIALIZABLE" and len(anomaly.actors) > 2 else 2,
            max_seconds=60,
        )
        assert not exploration.trouble, exploration
        found[name] = bool(exploration.bad)
        if not exploration.complete:
            incomplete[name] = exploration.why

    assert incomplete == {}
    assert [name for name, is_found in found.items() if is_found] == [
        name for name, anomaly in ANOMALIES.items() if level in anomaly.allowed
    ]
