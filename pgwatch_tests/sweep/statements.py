"""The statements of a sweep, composed by SQLAlchemy: rows are named by leaf and ctid.

They also run under the search_path of the role or database, for the sake of triggers: every operator,
function and type in them is the server's own by name.

A ctid names one version of a row: whoever changes the row meanwhile makes another, which these don't touch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.types import UserDefinedType

from pgwatch_tests.sweep.foreign_keys import ForeignKey, ForeignKeys

_Select: TypeAlias = "sa.Select[*tuple[object, ...]]"

_COUNT = sa.literal_column("pg_catalog.count(*)", sa.Integer)
_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap


class _Tid(UserDefinedType[str]):
    def get_col_spec(self, **_: object) -> str:
        return "pg_catalog.tid"


VERSION = "pg_catalog.concat(xmin, ':', pg_catalog.pg_relation_filenode(tableoid))"
"""SQL for what tells a row from any other that comes to have the same ctid.

Who wrote it; and the file, since VACUUM FULL and the like move rows, of which one transaction may have
written many.
"""
# Numbered from 0.
_PLACE = sa.literal_column("named.n OPERATOR(pg_catalog.-) 1", sa.Integer)
_TID_ARRAY = sa.ARRAY(_Tid())
_EQUAL = "OPERATOR(pg_catalog.=)"
_TIDS = sa.cast(sa.bindparam("tids", type_=sa.types.NullType()), _TID_ARRAY)


def tids_literal(tids: Sequence[str]) -> str:
    """What to bind as `tids`."""
    return '{"' + '","'.join(tids) + '"}' if tids else "{}"


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
        """Those that are there: tid, and VERSION."""
        return self._once(("versions", leaf), lambda: self._versions(leaf))

    def lock_versions(self, leaf: int) -> bytes:
        """The same, of those that are to be deleted and can be locked at once."""
        return self._once(
            ("lock versions", leaf), lambda: self._versions(leaf).with_for_update(skip_locked=True)
        )

    def children(self, key: ForeignKey, leaf: int) -> bytes:
        """Rows that refer to those of a leaf: place, leaf, tid, flags."""
        return self._once(("children", key.oid, leaf), lambda: self._children(key, leaf))

    def parents(self, key: ForeignKey, leaf: int) -> bytes:
        """Rows that those of a leaf refer to: place, leaf, tid, flags."""
        return self._once(("parents", key.oid, leaf), lambda: self._parents(key, leaf))

    def lock(self, leaf: int) -> bytes:
        """Locks rows that are to be deleted. One row: how many could be."""
        return self._once(("lock", leaf), lambda: _counted(self._lock(leaf, for_change=False)))

    def referring(self, key: ForeignKey, leaf: int) -> bytes:
        """The same as `children`, without flags."""
        return self._once(("referring", key.oid, leaf), lambda: self._children(key, leaf, with_flags=False))

    def lock_for_change(self, leaf: int) -> bytes:
        """The same for rows that are to be changed."""
        return self._once(("change", leaf), lambda: _counted(self._lock(leaf, for_change=True)))

    def lockable(self, leaf: int, *, for_change: bool) -> bytes:
        """Locks rows as well. Their tids."""
        return self._once(("lockable", leaf, for_change), lambda: self._lock(leaf, for_change=for_change))

    def delete(self, leaves: Sequence[int]) -> bytes:
        """Deletes; what to bind for leaf N is `tids_N`. With several leaves, one row: their counts."""
        return self._once(("delete", *leaves), lambda: self._delete(leaves))

    def still_there(self, leaf: int) -> bytes:
        """The tids of those that are still there."""
        return self._once(("there", leaf), lambda: self._still_there(leaf))

    def _once(self, which: tuple[object, ...], compose: Callable[[], sa.ClauseElement]) -> bytes:
        if which not in self._composed:
            self._composed[which] = _compiled(compose())
        return self._composed[which]

    def _versions(self, leaf: int) -> _Select:
        row = self._table(leaf).alias("c")
        return self._named_rows(row, row.c.ctid, sa.literal_column(VERSION, sa.Text))

    def _children(self, key: ForeignKey, leaf: int, *, with_flags: bool = True) -> sa.ClauseElement:
        named = _named()
        parent = self._table(leaf).alias("p")
        child = self._table(key.child).alias("c")
        found = (
            sa.select(
                _PLACE,
                child.c.tableoid,
                child.c.ctid,
                *([self._flags(key.child, child)] if with_flags else []),
            )
            .select_from(named)
            .join(parent, parent.c.ctid.bool_op(_EQUAL)(named.c.tid))
            .join(child, _refers(key, child, parent))
            .with_hint(parent, "ONLY")
        )
        return self._only(found, key.child, child)

    def _parents(self, key: ForeignKey, leaf: int) -> sa.ClauseElement:
        named = _named()
        child = self._table(leaf).alias("c")
        parent = self._table(key.parent).alias("p")
        found = (
            sa.select(_PLACE, parent.c.tableoid, parent.c.ctid, self._flags(key.parent, parent))
            .select_from(named)
            .join(child, child.c.ctid.bool_op(_EQUAL)(named.c.tid))
            .join(parent, _refers(key, child, parent))
            .with_hint(child, "ONLY")
        )
        return self._only(found, key.parent, parent)

    def _lock(self, leaf: int, *, for_change: bool) -> _Select:
        row = self._table(leaf).alias("c")
        return self._named_rows(row, row.c.ctid).with_for_update(skip_locked=True, key_share=for_change)

    def _delete(self, leaves: Sequence[int]) -> sa.ClauseElement:
        """In one statement: the server checks NO ACTION and RESTRICT at its end, of rings too."""
        deletes = [self._delete_from(leaf, f"tids_{place}") for place, leaf in enumerate(leaves)]
        if len(deletes) == 1:
            return deletes[0]
        gone = [
            delete.returning(sa.literal_column("1").label("one")).cte(f"gone_{place}")
            for place, delete in enumerate(deletes)
        ]
        counts = [sa.select(_COUNT).select_from(one).scalar_subquery() for one in gone]
        return sa.select(array(counts))

    def _delete_from(self, leaf: int, bound: str) -> sa.Delete:
        row = self._table(leaf)
        tids = sa.cast(sa.bindparam(bound, type_=sa.types.NullType()), _TID_ARRAY)
        return sa.delete(row).where(_is_one_of(row, tids)).with_hint("ONLY", dialect_name="postgresql")

    def _still_there(self, leaf: int) -> sa.ClauseElement:
        row = self._table(leaf).alias("c")
        return self._named_rows(row, row.c.ctid)

    def _named_rows(self, row: sa.FromClause, *columns: sa.ColumnElement[object]) -> _Select:
        return sa.select(*columns).where(_is_one_of(row, _TIDS)).with_hint(row, "ONLY")

    def _table(self, oid: int) -> sa.TableClause:
        relation = self._graph.relations[oid]
        names = {"ctid", "tableoid", "xmin"}
        names.update(self._flagging[oid].columns if oid in self._flagging else ())
        for key in self._graph.keys:
            if key.child in (oid, *relation.ancestors) or key.child == oid:
                names.update(key.child_columns)
            if key.parent in (oid, *relation.ancestors):
                names.update(key.parent_columns)
        return sa.table(
            sa.quoted_name(relation.name, quote=True),
            *(sa.column(sa.quoted_name(name, quote=True)) for name in sorted(names)),
            schema=sa.quoted_name(relation.schema, quote=True),
        )

    def _only(self, found: _Select, oid: int, row: sa.FromClause) -> sa.ClauseElement:
        """Rows of tables that inherit have foreign keys of their own; those of partitions are the root's."""
        return found if self._graph.relations[oid].kind == "p" else found.with_hint(row, "ONLY")

    def _flags(self, oid: int, row: sa.FromClause) -> sa.ColumnElement[int]:
        flagging = self._flagging.get(oid)
        if flagging is None:
            return sa.literal_column("0")
        # By itself, so that no name in it can be one of another table.
        inside = sa.select(
            *(row.c[name].label(sa.quoted_name(name, quote=True)) for name in flagging.columns)
        )
        return (
            sa.select(sa.literal_column(flagging.expression, sa.Integer))
            .select_from(inside.correlate(row).lateral("r"))
            .correlate(row)
            .scalar_subquery()
        )


def _is_one_of(row: sa.FromClause, tids: sa.ColumnElement[Sequence[str]]) -> sa.ColumnElement[bool]:
    return row.c.ctid.bool_op(_EQUAL)(sa.any_(tids))


def _named() -> sa.FromClause:
    return sa.func.pg_catalog.unnest(_TIDS).table_valued("tid", with_ordinality="n").render_derived("named")


def _refers(key: ForeignKey, child: sa.FromClause, parent: sa.FromClause) -> sa.ColumnElement[bool]:
    quote = _DIALECT.identifier_preparer.quote_identifier
    conditions = []
    for place, (parent_column, child_column) in enumerate(
        zip(key.parent_columns, key.child_columns, strict=True)
    ):
        equal = f"OPERATOR({quote(key.equal_schemas[place])}.{key.equal_names[place]})"
        ours: sa.ColumnElement[object] = parent.c[parent_column]
        schema, collation = key.collation_schemas[place], key.collation_names[place]
        if schema is not None and collation is not None:
            # As the server compares: by the parent's (RIAttCollation in ri_triggers.c).
            ours = ours.op("COLLATE")(sa.literal_column(f"{quote(schema)}.{quote(collation)}"))
        conditions.append(ours.bool_op(equal)(child.c[child_column]))
    return sa.and_(*conditions)


def _counted(rows: _Select) -> sa.ClauseElement:
    return sa.select(_COUNT).select_from(rows.subquery("found"))


def _compiled(statement: sa.ClauseElement) -> bytes:
    text = str(statement.compile(dialect=_DIALECT))
    return text.encode("utf-8", errors="surrogateescape")
