"""What is composed for a scan and a sweep names operators, functions and types by pg_catalog."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from psycopg import Connection, pq
from psycopg.pq.abc import Escaping
from psycopg.rows import TupleRow

from pgwatch_tests.leaks.catalog.tables import Table
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.leaks.markers.value_forms import Elements, Form, Leaf, Parts
from pgwatch_tests.leaks.statements.any_rows import AnyRowStatements
from pgwatch_tests.leaks.statements.marked_rows import MarkedRowStatements
from pgwatch_tests.settings.load import DEFAULT_MARKERS
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph, TableNode
from pgwatch_tests.sweep.plan.row_flags import RowFlags
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.rows.statements import SweepStatements
from tests.qualified import not_qualified
from tests.servers.sessions import Connect

FORMS: tuple[tuple[str, Form], ...] = (
    ("j", Leaf("json")),
    ("h", Leaf("hstore")),
    ("l", Leaf("ltree")),
    ("o", Leaf("output")),
    ("k", Leaf("cast", 99)),
    ("a", Elements(Parts((("field", 2, Leaf("string")),), 99))),
    ("r", Parts((("lower", None, Leaf("string")), ("upper", None, Leaf("string"))), 99)),
)
TABLE = Table(99, "s", "t", "table", ("c", *dict(FORMS)), True, 1, 1, forms=FORMS)


@pytest.fixture
def escaping(connect: Connect) -> Escaping:
    owner: Connection[TupleRow] = connect(autocommit=True)
    return pq.Escaping(owner.pgconn)


def test_statements_of_a_scan(escaping: Escaping) -> None:
    unseen = b"(xmin::pg_catalog.text::bigint OPERATOR(pg_catalog.>) 5)"
    statements = MarkedRowStatements(escaping, markers(DEFAULT_MARKERS), unseen)
    any_rows = AnyRowStatements(escaping, unseen, markers(DEFAULT_MARKERS), datetime.now(UTC))
    any_rows.look_into([TABLE])
    for statement in (
        statements.count([TABLE]),
        *statements.details([TABLE]),
        statements.origins([TABLE], [5], with_writers=True, with_commit_times=True),
        *statements.looking_out().counts([TABLE]),
        *statements.looking_out().details([TABLE]),
        *any_rows.counts([TABLE]),
        *any_rows.looking_out().counts([TABLE]),
        *any_rows.samples([TABLE]),
        any_rows.origins([TABLE], [5], with_writers=True, with_commit_times=True),
    ):
        assert list(not_qualified(statement.decode())) == []


@pytest.mark.parametrize("created_at", [0, 1114, 1184])
def test_statements_of_a_sweep(escaping: Escaping, created_at: int) -> None:
    statements = MarkedRowStatements(escaping, markers(DEFAULT_MARKERS))
    request = SweepRequest(test="tests/a.py::test_b", run="0a1b2c3d", min_age_s=600.0)
    flagging = RowFlags(escaping, statements, request, True, {1, 2}).of_marked(TABLE, created_at)
    relations = [
        TableNode(oid, "s", f"t{oid}", "r", [], created_at, True, [], False, [], [], None, 0, 0)
        for oid in (1, 2)
    ]
    key = ForeignKey(9, "k", 2, 1, "a", ["p"], ["i"], ["pg_catalog"], ["="], [None], [None], True)
    sweep = SweepStatements(ForeignKeyGraph(relations, [key]), {1: flagging, 2: flagging})
    for statement in (
        sweep.versions(1),
        sweep.children(key, 1),
        sweep.parents(key, 2),
        sweep.referring(key, 1),
        sweep.lock(1),
        sweep.lock_for_change(1),
        sweep.delete([1], rows=1),
        sweep.delete([1], rows=10_000),
        sweep.delete([1, 2], rows=2),
        sweep.current(1),
        sweep.values(1, ["p", "i"]),
    ):
        assert list(not_qualified(statement.decode())) == []
