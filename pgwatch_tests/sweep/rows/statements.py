"""Statements that read, lock and delete rows, composed from queries/sweep/composed.

Rows are named by leaf and ctid. The statements also run under the search_path of the role or database, for
the sake of triggers: every operator, function and type in them is the server's own by name.

A ctid names one version of a row: whoever changes the row meanwhile makes another, which these don't touch.
Whether it still is the version that was read, xmin tells: no transaction writes anything any more once a row
of it was seen, so whatever comes to be in that place is another's. (All of a file may be moved by VACUUM FULL
and the like: see queries/sweep/catalog.sql.) Tables are named, and to rename a schema takes no lock on those
in it: so rows are locked and deleted only if the table of that name still is the one that was read, by oid.

There are two for each foreign key, hundreds in all: SQLAlchemy's compiler took longer for each than the
server took to plan and run it. Names are quoted by SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from string import Template

from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from pgwatch_tests.postgres import queries
from pgwatch_tests.sweep.plan.foreign_key_graph import ForeignKey, ForeignKeyGraph
from pgwatch_tests.sweep.plan.rules import Flagging
from pgwatch_tests.sweep.tids import BETWEEN_TIDS

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's own gap
_TIDS = "%(tids)s::pg_catalog.tid[]"
_LOCK = "FOR UPDATE SKIP LOCKED"
_LOCK_FOR_CHANGE = "FOR NO KEY UPDATE SKIP LOCKED"
# From so many rows on, it is cheaper to have them told as one value.
_MANY = 100


class SweepStatements:
    """Composes for one graph of foreign keys; `flagging` is by the oid of a leaf or root."""

    def __init__(self, graph: ForeignKeyGraph, flagging: Mapping[int, Flagging]) -> None:
        self._graph = graph
        self._flagging = flagging
        self._composed: dict[tuple[object, ...], bytes] = {}

    def versions(self, leaf: int) -> bytes:
        """The existing rows: one row of tids, and of xmins."""
        return self._versions(leaf)

    def lock(self, leaf: int) -> bytes:
        """Locks rows that are to be deleted, as far as they can be at once: likewise."""
        return self._versions(leaf, _LOCK)

    def lock_for_change(self, leaf: int) -> bytes:
        """Locks rows that are to be changed, as far as they can be at once."""
        return self._versions(leaf, _LOCK_FOR_CHANGE)

    def values(self, leaf: int, columns: Sequence[str]) -> bytes:
        """The tid of rows, and some of their columns, as text."""
        names = ("ctid", *map(_quoted, columns))
        texts = ", ".join(f"c.{name}::pg_catalog.text" for name in names)
        return _encoded(self._rows(leaf, texts))

    def children(self, key: ForeignKey, leaf: int) -> bytes:
        """Rows that refer to those of a leaf: one row of the latter's tids, leaves, tids, xmins, and flags.

        Of a single table, the leaf is told once; without flags where rows of that table have none.
        """
        return self._related("children", key, leaf, key.child, self._all_flags(key.child, "c"))

    def referring(self, key: ForeignKey, leaf: int) -> bytes:
        """Rows that refer to those of a leaf: as `children`, without flags."""
        return self._related("children", key, leaf, key.child, "")

    def parents(self, key: ForeignKey, leaf: int) -> bytes:
        """Rows that those of a leaf refer to: likewise."""
        return self._related("parents", key, leaf, key.parent, self._all_flags(key.parent, "p"))

    def is_single(self, oid: int) -> bool:
        """Whether a table is one, without partitions."""
        return self._graph.relations[oid].kind == "r"

    def delete(self, leaves: Sequence[int], rows: int) -> bytes:
        """Deletes so many; what to bind for leaf N is `tids_N`. What went: N, tid, xmin, when it began.

        In one statement: the server checks NO ACTION and RESTRICT at its end, of rings too. Many rows of one
        leaf are told as one of tids, and of xmins.
        """
        which = ("delete", *leaves, len(leaves) == 1 and rows >= _MANY)
        if which not in self._composed:
            self._composed[which] = self._delete(leaves, rows)
        return self._composed[which]

    def current(self, leaf: int) -> bytes:
        """The present places of rows that this transaction may have changed or deleted: place, tid or
        NULL."""
        return _encoded(_text("current", leaf=self._name(leaf), oid=str(leaf)))

    def dangling(self, key: ForeignKey, leaf: int) -> bytes:
        """The places of rows, possibly changed by this transaction, that refer to no row."""
        return _encoded(
            _text(
                "dangling",
                leaf=self._name(leaf),
                oid=str(leaf),
                parent=self._only(key.parent),
                refers=_refers(key),
                all_set=" AND ".join(f"c.{_quoted(column)} IS NOT NULL" for column in key.child_columns),
            )
        )

    def lock_tables(self, leaves: Sequence[int]) -> bytes:
        """Keeps keys, triggers, rules and partitions of tables as they are until the transaction ends."""
        named = (self._graph.relations[leaf] for leaf in leaves)
        tables = ", ".join(f"ONLY {_as_it_is(one.schema)}.{_as_it_is(one.name)}" for one in named)
        return _encoded(f"LOCK TABLE {tables} IN ROW EXCLUSIVE MODE")

    def _delete(self, leaves: Sequence[int], rows: int) -> bytes:
        deletes = [
            _text("delete", number=str(number), named=self._only(named), oid=str(leaf))
            for number, leaf in enumerate(leaves)
            for named in (self._graph.deleted_from(leaf),)
        ]
        if len(deletes) == 1:
            # Not in a WITH, where a rule does something besides (RewriteQuery in rewriteHandler.c).
            if rows < _MANY or self._has_rules(leaves[0]):
                return _encoded(deletes[0] + _text("began"))
            return _encoded(_text("all_gone", delete=deletes[0], between=BETWEEN_TIDS))
        gone = ", ".join(f"gone_{number} AS ({delete})" for number, delete in enumerate(deletes))
        found = " UNION ALL ".join(_text("gone", gone=f"gone_{n}") for n in range(len(deletes)))
        return _encoded(f"WITH {gone} {found}")

    def _versions(self, leaf: int, locking: str = "") -> bytes:
        which = ("versions", leaf, locking)
        if which not in self._composed:
            rows = self._rows(leaf, "c.ctid AS tid, c.xmin AS version", locking)
            self._composed[which] = _encoded(_text("versions", rows=rows, between=BETWEEN_TIDS))
        return self._composed[which]

    def _rows(self, leaf: int, columns: str, locking: str = "") -> str:
        return _text("rows", leaf=self._name(leaf), oid=str(leaf), columns=columns, locking=locking)

    def _related(self, template: str, key: ForeignKey, leaf: int, other: int, columns: str) -> bytes:
        which = (template, key.oid, leaf, columns)
        if which not in self._composed:
            is_single = self.is_single(other)
            text = _text(
                template,
                leaf=self._name(leaf),
                leaves=_text("leaf" if is_single else "leaves", row=template[0]),
                tids=f"(SELECT {_TIDS})::pg_catalog.tid[]" if is_single else _TIDS,
                child=self._only(key.child),
                parent=self._only(key.parent),
                refers=_refers(key),
                between=BETWEEN_TIDS,
                columns=columns,
            )
            self._composed[which] = _encoded(text)
        return self._composed[which]

    def _has_rules(self, leaf: int) -> bool:
        relations = self._graph.relations
        named = (relations[leaf], relations[self._graph.deleted_from(leaf)])
        return any(one.rules or one.also for one in named)

    def _name(self, oid: int) -> str:
        relation = self._graph.relations[oid]
        return f"{_quoted(relation.schema)}.{_quoted(relation.name)}"

    def _only(self, oid: int) -> str:
        """Rows of tables that inherit have foreign keys of their own; those of partitions are the root's."""
        return self._name(oid) if self._graph.relations[oid].kind == "p" else f"ONLY {self._name(oid)}"

    def _all_flags(self, oid: int, row: str) -> str:
        flags = self._flags(oid, row)
        return _text("all_flags", flags=flags) if flags else ""

    def _flags(self, oid: int, row: str) -> str:
        flagging = self._flagging.get(oid)
        if flagging is None:
            return ""
        columns = ", ".join(f"{row}.{_quoted(name)} AS {_quoted(name)}" for name in flagging.columns)
        return _text("flags", expression=flagging.expression.replace("%", "%%"), columns=columns)


@cache
def _template(name: str) -> Template:
    lines = queries.load(f"sweep/composed/{name}").splitlines()
    return Template("\n".join(line for line in lines if not line.startswith("--")))


def _text(name: str, **parts: str) -> str:
    return _template(name).substitute(parts)


def _quoted(name: str) -> str:
    """An identifier where something is bound: with % doubled."""
    return _DIALECT.identifier_preparer.quote_identifier(name)


def _as_it_is(name: str) -> str:
    """An identifier where nothing is bound."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _refers(key: ForeignKey) -> str:
    conditions = []
    for place, (parent_column, child_column) in enumerate(
        zip(key.parent_columns, key.child_columns, strict=True)
    ):
        equal = f"OPERATOR({_quoted(key.equal_schemas[place])}.{key.equal_names[place].replace('%', '%%')})"
        ours = f"p.{_quoted(parent_column)}"
        schema, collation = key.collation_schemas[place], key.collation_names[place]
        if schema is not None and collation is not None:
            # As the server compares: by the parent's (RIAttCollation in ri_triggers.c).
            ours = f"{ours} COLLATE {_quoted(schema)}.{_quoted(collation)}"
        conditions.append(f"{ours} {equal} c.{_quoted(child_column)}")
    return " AND ".join(conditions)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")
