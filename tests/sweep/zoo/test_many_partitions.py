"""A tree of many partitions: what the server reads to answer us grows with the tree, not with its square."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.sessions import self_lookout
from tests.servers.sessions import Connect

_LEAVES = 80


def _make_tree(owner: Connection[TupleRow], root: str) -> list[int]:
    """A partitioned table. Returns the oids of its leaves."""
    owner.execute(
        f"""
        CREATE TABLE {root} (id int PRIMARY KEY, email text) PARTITION BY LIST (id);
        DO $$ BEGIN FOR i IN 1..{_LEAVES} LOOP
            EXECUTE format('CREATE TABLE {root}_%s PARTITION OF {root} FOR VALUES IN (%s)', i, i);
        END LOOP; END $$;
        ANALYZE;
        """.encode()
    )
    found = owner.execute("SELECT inhrelid::int8 FROM pg_inherits WHERE inhparent = %s::regclass", [root])
    return [oid for (oid,) in found]


def _touched(
    connection: Connection[TupleRow], query: str, parameters: Mapping[str, object] | None = None
) -> int:
    """How many rows the nodes of its plan gave on, or read and left out, all together."""
    return _touched_by(connection, queries.load(query).encode(), parameters)


def _touched_by(
    connection: Connection[TupleRow], statement: bytes, parameters: Mapping[str, object] | None = None
) -> int:
    explained = b"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) " + statement
    row = connection.execute(explained, parameters).fetchone()
    assert row is not None
    return int(_rows(row[0][0]["Plan"]))


def _rows(node: Mapping[str, object]) -> float:
    """Those of a node, in all its loops, and of the nodes below."""
    told = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    each = sum(float(str(node.get(name, 0))) for name in told)
    below = node.get("Plans", ())
    assert isinstance(below, (list, tuple))
    return each * float(str(node["Actual Loops"])) + sum(map(_rows, below))


def test_comparing_leaves_reads_each_by_itself(owner: Connection[TupleRow]) -> None:
    leaves = _make_tree(owner, "days")

    asked = {"whole": "{" + ",".join(map(str, leaves)) + "}", "referring": "{}"}

    assert _touched(owner, "sweep/catalog", asked) < 20 * _LEAVES


@pytest.mark.parametrize("identity", ["has an identity", "has none"])
def test_reading_tables_grows_with_their_number(owner: Connection[TupleRow], identity: str) -> None:
    before = _touched(owner, "sweep/relations")
    _make_tree(owner, "days")
    if identity == "has none":
        # What publishes them is looked for then.
        owner.execute("ALTER TABLE days DROP CONSTRAINT days_pkey")
        owner.execute("CREATE PUBLICATION published FOR ALL TABLES")

    # The catalogs are read from one end to the other, a few times.
    assert _touched(owner, "sweep/relations") < before + 100 * _LEAVES


def test_looking_for_waiters_grows_with_locks(owner: Connection[TupleRow], connect: Connect) -> None:
    _make_tree(owner, "days")
    reader = connect()
    reader.execute("SELECT count(*) FROM days")

    touched = _touched(owner, "server/reader_waiters", {"pid": reader.info.backend_pid})

    # A leaf and its index are locked; other tests hold locks as well.
    assert 2 * _LEAVES < touched < 20 * _LEAVES


def test_a_count_that_looks_for_waiters_itself_grows_with_its_locks(owner: Connection[TupleRow]) -> None:
    _make_tree(owner, "days")
    look = b"SELECT (%b) FROM (VALUES (1)) AS counted (id)" % self_lookout.first_waiter(b"id")
    with owner.transaction():
        owner.execute("SELECT count(*) FROM days")
        assert owner.execute(look).fetchall() == [("0",)]

        touched = _touched_by(owner, look)

    assert 2 * _LEAVES < touched < 20 * _LEAVES
