"""Schemas as applications have them, made up from a seed: hubs that everything refers to, rings, self keys.

Rows are of groups: group 0 are real ones, each other one is what a test left. Rows of a test refer to its own
rows, or to real ones where it has none.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from psycopg import Connection, sql
from psycopg.rows import TupleRow

OLD_MS = 1_717_171_717_171
_HUBS = ("users", "organisations", "projects", "teams", "accounts", "products", "orders", "documents")
_ACTIONS = ("NO ACTION",) * 9 + ("CASCADE",) * 7 + ("SET NULL",) * 3 + ("RESTRICT",)
_SHARED = 20
"""Of so many tests, one has rows that real ones refer to."""


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key; `composite` ones also compare the group."""

    number: int
    child: str
    parent: str
    action: str
    composite: bool
    indexed: bool
    required: bool

    @property
    def columns(self) -> list[str]:
        """Of the child."""
        return [f"k{self.number}", f"k{self.number}_group"] if self.composite else [f"k{self.number}"]

    def statements(self) -> Iterator[str]:
        """What makes it, once the rows are there."""
        columns = ", ".join(self.columns)
        if self.indexed:
            yield f"CREATE INDEX ON {self.child} ({columns})"
        if self.required:
            yield f"ALTER TABLE {self.child} ALTER {self.columns[0]} SET NOT NULL"
        yield (
            f"ALTER TABLE {self.child} ADD FOREIGN KEY ({columns}) REFERENCES {self.parent}"
            f" ({'id, of_group' if self.composite else 'id'}) ON DELETE {self.action}"
        )


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables by name, and how many rows each has of each group; `marked` ones bear markers."""

    rows: Mapping[str, Sequence[int]]
    """By table, the group of each row: its id is its place, from 1 on."""
    marked: frozenset[str]
    keys: Sequence[Key]
    seed: int

    @property
    def total(self) -> int:
        """All rows."""
        return sum(map(len, self.rows.values()))

    @property
    def marked_rows(self) -> int:
        """Those that bear a marker."""
        return sum(bool(group) for table in self.marked for group in self.rows[table])


def generated(tables: int, keys: int, rows: int, groups: int, seed: int) -> Schema:
    """A schema of so many tables, foreign keys, rows and tests; the same for the same seed."""
    chance = random.Random(seed)
    hubs = _HUBS[: max(2, min(len(_HUBS), tables // 12))]
    names = [*hubs, *(f"item_{number:03}" for number in range(tables - len(hubs)))]
    weights = [12.0 if name in hubs else chance.uniform(0.2, 2.0) for name in names]
    of: dict[str, list[int]] = {name: [0] for name in names}
    for name in chance.choices(names, weights, k=rows - tables):
        of[name].append(0 if chance.random() < 0.5 else chance.randint(1, groups))
    marked = frozenset(name for name in names if name in hubs[:2] or chance.random() < 0.3)
    return Schema(of, marked, tuple(_keys(chance, names, hubs, keys)), seed)


def _keys(chance: random.Random, names: Sequence[str], hubs: Sequence[str], keys: int) -> Iterator[Key]:
    upward: list[tuple[str, str]] = []
    for number in range(keys):
        # The first table refers to none of the others but in a ring.
        place = chance.randrange(1, len(names))
        child = names[place]
        kind = chance.random()
        if kind < 0.05:
            parent = child
        elif kind < 0.07 and upward:
            parent, child = chance.choice(upward)
        elif kind < 0.6:
            parent = chance.choice(hubs[:place])
        else:
            parent = names[chance.randrange(place)]
        if kind >= 0.07:
            upward.append((child, parent))
        action = chance.choice(_ACTIONS)
        required = kind >= 0.6 and action != "SET NULL" and chance.random() < 0.5
        yield Key(number, child, parent, action, chance.random() < 0.08, chance.random() < 0.9, required)


def create(connection: Connection[TupleRow], schema: Schema) -> None:
    """Makes and fills the tables, on an autocommit connection to an empty database."""
    chance = random.Random(schema.seed + 1)
    by_child: defaultdict[str, list[Key]] = defaultdict(list)
    for key in schema.keys:
        by_child[key.child].append(key)
    there = {name: _places(groups) for name, groups in schema.rows.items()}
    # By rows that nothing refers to, else most of what is real would hang on test data.
    shared = range(1, 2 + _groups(schema) // _SHARED)
    ends = schema.rows.keys() - {key.parent for key in schema.keys}
    with connection.transaction():
        for name, groups in schema.rows.items():
            columns = [column for key in by_child[name] for column in key.columns]
            connection.execute(
                f"CREATE TABLE {name} (id int PRIMARY KEY, of_group int DEFAULT 0, mark text, note text,"
                f" created_at timestamptz DEFAULT now() - interval '30 days', UNIQUE (id, of_group)"
                f"{''.join(f', {column} int' for column in columns)})".encode()
            )
            named = ["id", "of_group", "mark", "note", *columns]
            copying = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(name), sql.SQL(", ").join(map(sql.Identifier, named))
            )
            with connection.cursor().copy(copying) as copy:
                for id_, group in enumerate(groups, 1):
                    row: list[object] = [id_, group, None, f"row {id_} of {name}"]
                    if name in schema.marked:
                        row[2] = _mark(id_, group)
                    for key in by_child[name]:
                        tests = shared if name in ends else ()
                        row += _referred(chance, key, id_, group, there[key.parent], tests)
                    copy.write_row(row)
        for key in schema.keys:
            for statement in key.statements():
                connection.execute(statement.encode())
    connection.execute("VACUUM ANALYZE")


def _groups(schema: Schema) -> int:
    return max(max(groups) for groups in schema.rows.values())


def _places(groups: Sequence[int]) -> dict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for id_, group in enumerate(groups, 1):
        found[group].append(id_)
    return dict(found)


def _mark(id_: int, group: int) -> str:
    return f"user-{OLD_MS + group}-{id_}@test.example.com" if group else f"someone{id_}@example.org"


def _referred(
    chance: random.Random,
    key: Key,
    id_: int,
    group: int,
    there: Mapping[int, Sequence[int]],
    shared: Sequence[int],
) -> Sequence[int | None]:
    """What a row refers to by a key: id, and group of a composite one."""
    if not key.required and chance.random() < 0.25:
        return [None] * len(key.columns)
    if group == 0 and shared and key.action == "NO ACTION" and chance.random() < 0.02:
        group = chance.choice(shared)
    ids = [one for one in there.get(group, ()) if key.child != key.parent or one < id_]
    if not ids:
        group = 0
        ids = [one for one in there[0] if key.child != key.parent or one <= id_]
    referred = chance.choice(ids)
    return [referred, group] if key.composite else [referred]
