"""The statements of a sweep: rows are named by leaf and ctid.

What is needed for each table or key is written out: SQLAlchemy takes longer to compose hundreds of statements
than the server to answer them.

They also run under the search_path of the role or database, for the sake of triggers: every operator,
function and type in them is the server's own by name.

A ctid names one version of a row: whoever changes the row meanwhile makes another, which these don't touch.
Whether it still is the version that was read, xmin tells: no transaction writes anything any more once a row
of it was seen, so whatever comes to be in that place is another's. (All of a file may be moved by VACUUM FULL
and the like: see queries/sweep_catalog.sql.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.types import UserDefinedType

from pgwatch_tests.sweep.foreign_keys import ForeignKey, ForeignKeys

_Select: TypeAlias = "sa.Select[*tuple[object, ...]]"

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap


class _Tid(UserDefinedType[str]):
    def get_col_spec(self, **_: object) -> str:
        return "pg_catalog.tid"


# Numbered from 0.
_PLACE = sa.literal_column("named.n OPERATOR(pg_catalog.-) 1", sa.Integer)
_TID_ARRAY = sa.ARRAY(_Tid())
_EQUAL = "OPERATOR(pg_catalog.=)"
_ROW = ("tableoid", "ctid", "xmin")
_TIDS = sa.cast(sa.bindparam("tids", type_=sa.types.NullType()), _TID_ARRAY)


def tids_literal(tids: Sequence[int]) -> str:
    """What to bind as `tids`: block number and offset of each, from the number made of both."""
    return '{"' + '","'.join([f"({tid >> 16},{tid & 65535})" for tid in tids]) + '"}' if tids else "{}"


@dataclass(frozen=True, slots=True)
class Flagging:
    """SQL for the flags of a row (see `clusters`), for rows of one table."""

    columns: tuple[str, ...]
    """Those that it needs; `ctid`, `xmin` and the like among them."""
    expression: str
    """Over these columns, not qualified."""


class SweepStatements:
    """Composes for one graph of foreign keys; `flagging` is by the oid of a leaf or root."""

    def __init__(self, graph: ForeignKeys, flagging: Mapping[int, Flagging]) -> None:
        self._graph = graph
        self._flagging = flagging
        self._composed: dict[tuple[object, ...], bytes] = {}

    def versions(self, leaf: int) -> bytes:
        """Those that are there: tid, xmin."""
        return self._once(("versions", leaf), lambda: self._versions(leaf))

    def lock(self, leaf: int) -> bytes:
        """Locks rows that are to be deleted, as far as they can be at once: tid, xmin."""
        return self._once(("lock", leaf), lambda: f"{self._versions(leaf)} FOR UPDATE SKIP LOCKED")

    def lock_for_change(self, leaf: int) -> bytes:
        """The same for rows that are to be changed."""
        return self._once(("change", leaf), lambda: f"{self._versions(leaf)} FOR NO KEY UPDATE SKIP LOCKED")

    def children(self, key: ForeignKey, leaf: int) -> bytes:
        """Rows that refer to those of a leaf: place, leaf, tid, xmin, flags."""
        return self._once(("children", key.oid, leaf), lambda: self._children(key, leaf))

    def parents(self, key: ForeignKey, leaf: int) -> bytes:
        """Rows that those of a leaf refer to: place, leaf, tid, xmin, flags."""
        return self._once(("parents", key.oid, leaf), lambda: self._parents(key, leaf))

    def referring(self, key: ForeignKey, leaf: int) -> bytes:
        """The same as `children`, without flags."""
        return self._once(("referring", key.oid, leaf), lambda: self._children(key, leaf, with_flags=False))

    def delete(self, leaves: Sequence[int]) -> bytes:
        """Deletes; what to bind for leaf N is `tids_N`. What went: N, tid, xmin."""
        return self._once(("delete", *leaves), lambda: self._delete(leaves))

    def current(self, leaf: int) -> bytes:
        """Where rows are by now that this transaction may have changed or deleted: place, tid or NULL."""
        return self._once(("current", leaf), lambda: self._current(leaf))

    def values(self, leaf: int, columns: Sequence[str]) -> bytes:
        """Columns of rows, as text."""
        return self._once(("values", leaf, *columns), lambda: self._values(leaf, columns))

    def lock_tables(self, leaves: Sequence[int]) -> bytes:
        """Keeps keys, triggers, rules and partitions of tables as they are until the transaction ends."""
        named = (self._graph.relations[leaf] for leaf in leaves)
        tables = ", ".join(f"ONLY {_as_it_is(one.schema)}.{_as_it_is(one.name)}" for one in named)
        return f"LOCK TABLE {tables} IN ROW EXCLUSIVE MODE".encode("utf-8", errors="surrogateescape")

    def _once(self, which: tuple[object, ...], compose: Callable[[], sa.ClauseElement | str]) -> bytes:
        if which not in self._composed:
            self._composed[which] = _compiled(compose())
        return self._composed[which]

    def _versions(self, leaf: int) -> str:
        return f"SELECT ctid, xmin FROM ONLY {self._name(leaf)} WHERE {_is_named('tids')}"  # noqa: S608

    def _children(self, key: ForeignKey, leaf: int, *, with_flags: bool = True) -> str:
        return self._related(key, ("p", leaf), ("c", key.child), with_flags=with_flags)

    def _parents(self, key: ForeignKey, leaf: int) -> str:
        return self._related(key, ("c", leaf), ("p", key.parent))

    def _related(
        self, key: ForeignKey, named: tuple[str, int], found: tuple[str, int], *, with_flags: bool = True
    ) -> str:
        """Rows that some of another table are related to by a key: `c` is the child, `p` the parent."""
        (ours, leaf), (theirs, oid) = named, found
        columns = ["named.n OPERATOR(pg_catalog.-) 1", *(f"{theirs}.{one}" for one in _ROW)]
        if with_flags:
            columns.append(self._flags(oid, theirs))
        # Rows of tables that inherit have foreign keys of their own; those of partitions are the root's.
        only = "" if self._graph.relations[oid].kind == "p" else "ONLY "
        return (
            f"SELECT {', '.join(columns)}\n"
            "FROM pg_catalog.unnest(CAST(%(tids)s AS pg_catalog.tid[])) WITH ORDINALITY AS named (tid, n)\n"
            f"JOIN ONLY {self._name(leaf)} AS {ours} ON {ours}.ctid {_EQUAL} named.tid\n"
            f"JOIN {only}{self._name(oid)} AS {theirs} ON {_refers(key)}"
        )

    def _name(self, oid: int) -> str:
        relation = self._graph.relations[oid]
        return f"{_quoted(relation.schema)}.{_quoted(relation.name)}"

    def _delete(self, leaves: Sequence[int]) -> str:
        """In one statement: the server checks NO ACTION and RESTRICT at its end, of rings too."""
        deletes = [self._delete_from(leaf, place) for place, leaf in enumerate(leaves)]
        if len(deletes) == 1:
            return deletes[0]
        gone = ",\n".join(f"gone_{place} AS ({delete})" for place, delete in enumerate(deletes))
        each = [f"SELECT n, tid, version FROM gone_{place}" for place in range(len(deletes))]  # noqa: S608
        all_gone = "\nUNION ALL ".join(each)
        return f"WITH {gone}\n{all_gone}"

    def _delete_from(self, leaf: int, place: int) -> str:
        return (
            f"DELETE FROM ONLY {self._name(leaf)} WHERE {_is_named(f'tids_{place}')}"  # noqa: S608
            f" RETURNING {place} AS n, ctid AS tid, xmin AS version"
        )

    def _current(self, leaf: int) -> sa.ClauseElement:
        """By the chain that an UPDATE makes from each version to the next (currtid2, in tid.c)."""
        row = self._table(leaf).alias("c")
        named = _named()
        relation: sa.ColumnElement[str] = sa.literal_column(f"{leaf}::pg_catalog.regclass::pg_catalog.text")
        now = sa.func.pg_catalog.currtid2(relation, named.c.tid, type_=_Tid())
        return (
            sa.select(_PLACE, row.c.ctid)
            .select_from(named)
            .outerjoin(row, row.c.ctid.bool_op(_EQUAL)(now))
            .with_hint(row, "ONLY")
        )

    def _values(self, leaf: int, columns: Sequence[str]) -> _Select:
        row = self._table(leaf, columns).alias("c")
        values = (row.c[name].op("::")(sa.literal_column("pg_catalog.text")) for name in columns)
        return self._named_rows(row, *values)

    def _named_rows(self, row: sa.FromClause, *columns: sa.ColumnElement[object]) -> _Select:
        return sa.select(*columns).where(_is_one_of(row, _TIDS)).with_hint(row, "ONLY")

    def _table(self, oid: int, more: Sequence[str] = ()) -> sa.TableClause:
        relation = self._graph.relations[oid]
        names = {"ctid", "tableoid", "xmin", *more}
        names.update(self._flagging[oid].columns if oid in self._flagging else ())
        for key in self._graph.of(oid):
            names.update(key.child_columns)
        for key in self._graph.referring_to(oid):
            names.update(key.parent_columns)
        return sa.table(
            sa.quoted_name(relation.name, quote=True),
            *(sa.column(sa.quoted_name(name, quote=True)) for name in sorted(names)),
            schema=sa.quoted_name(relation.schema, quote=True),
        )

    def _flags(self, oid: int, row: str) -> str:
        flagging = self._flagging.get(oid)
        if flagging is None:
            return "0::pg_catalog.int8"
        # By itself, so that no name in it can be one of another table.
        inside = ", ".join(f"{row}.{_quoted(name)} AS {_quoted(name)}" for name in flagging.columns)
        expression = flagging.expression.replace("%", "%%")
        return f"(SELECT {expression} FROM LATERAL (SELECT {inside}) AS r)"  # noqa: S608


def _as_it_is(name: str) -> str:
    """An identifier where nothing is bound: SQLAlchemy's quoting doubles a %."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _is_one_of(row: sa.FromClause, tids: sa.ColumnElement[Sequence[str]]) -> sa.ColumnElement[bool]:
    return row.c.ctid.bool_op(_EQUAL)(sa.any_(tids))


def _named() -> sa.FromClause:
    return sa.func.pg_catalog.unnest(_TIDS).table_valued("tid", with_ordinality="n").render_derived("named")


def _is_named(parameter: str) -> str:
    return f"ctid {_EQUAL} ANY (CAST(%({parameter})s AS pg_catalog.tid[]))"


def _refers(key: ForeignKey) -> str:
    conditions = []
    for place, (parent_column, child_column) in enumerate(
        zip(key.parent_columns, key.child_columns, strict=True)
    ):
        operator = key.equal_names[place].replace("%", "%%")
        schema, collation = key.collation_schemas[place], key.collation_names[place]
        collate = ""
        if schema is not None and collation is not None:
            # As the server compares: by the parent's (RIAttCollation in ri_triggers.c).
            collate = f" COLLATE {_quoted(schema)}.{_quoted(collation)}"
        conditions.append(
            f"p.{_quoted(parent_column)}{collate} OPERATOR({_quoted(key.equal_schemas[place])}.{operator})"
            f" c.{_quoted(child_column)}"
        )
    return " AND ".join(conditions)


def _quoted(name: str) -> str:
    """An identifier, in a statement with parameters: percent signs are doubled."""
    return _DIALECT.identifier_preparer.quote_identifier(name)


def _compiled(statement: sa.ClauseElement | str) -> bytes:
    text = statement if isinstance(statement, str) else str(statement.compile(dialect=_DIALECT))
    return text.encode("utf-8", errors="surrogateescape")
