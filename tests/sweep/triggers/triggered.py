"""Made-up tables with triggers, as SQL and as what has to become of their rows: no code of the sweep's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import strategies as st

Action = Literal["NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"]
Spot = tuple[int, int]
"""A row: the table's number and its id."""
OLD, YOUNG = "x-1717171717171-{}@test.example.com", "x-{now}-{}@test.example.com"

_TAKES_ALONG: Sequence[Action] = ("NO ACTION", "RESTRICT", "CASCADE")
_ACTIONS: Sequence[Action] = (*_TAKES_ALONG, "CASCADE", "SET NULL", "SET DEFAULT")
TriggerKind = Literal["counter", "audit", "subtype", "raising", "suppressing"]
_KINDS: Sequence[TriggerKind] = ("counter", "counter", "audit", "subtype", "raising", "suppressing")


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key; `k<number>` is the child's column."""

    number: int
    child: int
    parent: int
    action: Action

    @property
    def takes_along(self) -> bool:
        """Whether what refers to a row must go with it."""
        return self.action in _TAKES_ALONG


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger on DELETE. Counters and subtypes write to the row that one refers to by `key`.

    Those that refuse do so for even ids.
    """

    table: int
    kind: TriggerKind
    when: Literal["BEFORE", "AFTER", "STATEMENT"]
    enabled: bool
    key: Key | None = None

    @property
    def refuses(self) -> bool:
        """Whether it keeps rows."""
        return self.enabled and self.kind in ("raising", "suppressing")

    def statements(self) -> Iterator[str]:
        """What makes it."""
        name = f"{self.kind}_{self.table}"
        yield (
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {self._body()} RETURN {'NULL' if self.when == 'STATEMENT' else 'OLD'}; END $$"
        )
        if self.when == "STATEMENT":
            how = f"AFTER DELETE ON t{self.table} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT"
        else:
            how = f"{self.when} DELETE ON t{self.table} FOR EACH ROW"
        yield f"CREATE TRIGGER {name} {how} EXECUTE FUNCTION {name}()"
        if not self.enabled:
            yield f"ALTER TABLE t{self.table} DISABLE TRIGGER {name}"

    def _body(self) -> str:
        if self.kind == "audit":
            return f"INSERT INTO public.audit VALUES ({self.table}, OLD.id);"  # noqa: S608
        if self.kind == "raising":
            return "IF OLD.id % 2 = 0 THEN RAISE 'even ones stay'; END IF;"
        if self.kind == "suppressing":
            return "IF OLD.id % 2 = 0 THEN RETURN NULL; END IF;"
        assert self.key is not None
        parent, column = f"public.t{self.key.parent}", f"k{self.key.number}"
        if self.kind == "subtype":
            return f"DELETE FROM {parent} WHERE id = OLD.{column};"  # noqa: S608
        if self.when == "STATEMENT":
            return (
                f"UPDATE {parent} SET uses = uses - times FROM ("  # noqa: S608
                f"SELECT {column} AS referred, count(*) AS times FROM gone GROUP BY 1"
                ") AS counted WHERE id = referred;"
            )
        return f"UPDATE {parent} SET uses = uses - 1 WHERE id = OLD.{column};"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Row:
    """Whether it is marked, and the ids that it refers to, by the number of the key."""

    marked: bool
    refers: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables `t<number>`, some of them partitioned by their ids below and above 1000."""

    partitioned: Sequence[bool]
    keys: Sequence[Key]
    triggers: Sequence[Trigger]
    rows: Mapping[Spot, Row]
    off: frozenset[int] = field(default=frozenset())
    """The tables whose triggers are all disabled, also those of foreign keys."""

    def statements(self) -> Iterator[str]:
        """What makes it, in an empty schema."""
        yield "CREATE TABLE audit (number int, id int)"
        for number, partitioned in enumerate(self.partitioned):
            columns = "".join(f", k{key.number} int" for key in self.keys if key.child == number)
            yield (
                f"CREATE TABLE t{number} (id int PRIMARY KEY, mark text, uses int DEFAULT 0{columns})"
                f"{' PARTITION BY RANGE (id)' if partitioned else ''}"
            )
            if partitioned:
                yield f"CREATE TABLE t{number}_low PARTITION OF t{number} FOR VALUES FROM (0) TO (1000)"
        for (number, id_), row in self.rows.items():
            mark = f"'{OLD.format(id_)}'" if row.marked else "'real'"
            columns = "".join(f", k{key}" for key in row.refers)
            values = "".join(f", {referred}" for referred in row.refers.values())
            yield f"INSERT INTO t{number} (id, mark{columns}) VALUES ({id_}, {mark}{values})"  # noqa: S608
        for key in self.keys:
            yield (
                f"ALTER TABLE t{key.child} ADD FOREIGN KEY (k{key.number}) REFERENCES t{key.parent}"
                f" ON DELETE {key.action}"
            )
        for trigger in self.triggers:
            yield from trigger.statements()
            if trigger.kind == "counter" and trigger.enabled and trigger.key is not None:
                yield (
                    f"UPDATE t{trigger.key.parent} AS above SET uses = uses + (SELECT count(*)"  # noqa: S608
                    f" FROM t{trigger.table} WHERE k{trigger.key.number} = above.id)"
                )
        for number in sorted(self.off):
            yield f"ALTER TABLE t{number} DISABLE TRIGGER ALL"

    @property
    def bearing(self) -> frozenset[int]:
        """The tables with marked rows."""
        return frozenset(number for (number, _), row in self.rows.items() if row.marked)

    @property
    def refusing(self) -> bool:
        """Whether a trigger may keep rows."""
        return any(trigger.refuses for trigger in self.triggers)

    def referring(self, spot: Spot) -> Iterator[tuple[Key, Spot]]:
        """The rows that refer to one, and by which key."""
        for key in self.keys:
            if key.parent == spot[0]:
                for (number, id_), row in self.rows.items():
                    if number == key.child and row.refers.get(key.number) == spot[1]:
                        yield key, (number, id_)

    def by_triggers(self, gone: frozenset[Spot]) -> frozenset[Spot]:
        """What triggers delete besides once these rows go, and what ON DELETE CASCADE deletes of that."""
        bases = [
            (one.table, one.key)
            for one in self.triggers
            if one.kind == "subtype" and one.enabled and one.key is not None and one.table not in self.off
        ]
        all_gone, todo = set(gone), list(gone)
        while todo:
            spot = todo.pop()
            more = [below for key, below in self.referring(spot) if key.action == "CASCADE"]
            if spot in self.rows:
                refers = self.rows[spot].refers
                more += [
                    (key.parent, refers[key.number])
                    for table, key in bases
                    if table == spot[0] and key.number in refers
                ]
            for one in set(more) - all_gone:
                all_gone.add(one)
                todo.append(one)
        return frozenset(all_gone - gone)


def may_go(schema: Schema) -> frozenset[Spot]:
    """The rows of all clusters that hold nothing real, and nothing that a trigger keeps."""
    closures = [_closure(schema, spot) for spot, row in sorted(schema.rows.items()) if row.marked]
    clusters: list[tuple[frozenset[Spot], bool]] = []
    for rows, blocked in closures:
        apart = [one for one in clusters if not one[0] & rows]
        for other, other_blocked in (one for one in clusters if one[0] & rows):
            rows, blocked = rows | other, blocked or other_blocked
        clusters = [*apart, (rows, blocked)]
    return frozenset(spot for rows, blocked in clusters if not blocked for spot in rows)


def _closure(schema: Schema, seed: Spot) -> tuple[frozenset[Spot], bool]:
    """A marked row with all that must go with it, and whether it can't."""
    refusing = {one.table for one in schema.triggers if one.refuses} - schema.off
    rows, todo, blocked = {seed}, [seed], False
    while todo:
        spot = todo.pop()
        blocked = blocked or (spot[0] in refusing and spot[1] % 2 == 0)
        for key, below in schema.referring(spot):
            if not key.takes_along:
                continue
            is_real = below[0] in schema.bearing and not schema.rows[below].marked
            if is_real and key.action != "CASCADE":
                blocked = True
            if below not in rows:
                rows.add(below)
                # What hangs on a real row isn't asked for.
                if not is_real or key.action == "CASCADE":
                    todo.append(below)
    return frozenset(rows), blocked


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Two to five tables of a few rows, with foreign keys and triggers of all sorts."""
    number = draw(st.integers(2, 5))
    partitioned = [draw(st.integers(0, 4)) == 0 for _ in range(number)]
    tables = st.integers(0, number - 1)
    ends = draw(st.lists(st.tuples(tables, tables, st.sampled_from(_ACTIONS)), min_size=1, max_size=6))
    keys = [Key(place, *end) for place, end in enumerate(ends)]
    # Ids are unique everywhere, so that no test mixes them up.
    spots = [
        (table, 10 * table + id_) for table in range(number) for id_ in range(1, draw(st.integers(2, 5)))
    ]
    markable = draw(st.sets(tables, min_size=1))
    rows: dict[Spot, Row] = {}
    for spot in spots:
        refers: dict[int, int] = {}
        for key in keys:
            if key.child == spot[0]:
                above = draw(st.sampled_from([None, *(id_ for table, id_ in spots if table == key.parent)]))
                if above is not None:
                    refers[key.number] = above
        rows[spot] = Row(spot[0] in markable and draw(st.integers(0, 3)) > 0, refers)
    triggers = [
        trigger
        for table in sorted(draw(st.sets(tables, min_size=1, max_size=3)))
        for trigger in [draw(_triggers(table, partitioned[table], keys))]
        if trigger is not None
    ]
    free = sorted(set(range(number)) - {one.table for one in triggers})
    off = draw(st.sets(st.sampled_from(free), max_size=1)) if free and draw(st.integers(0, 3)) == 0 else set()
    return Schema(partitioned, keys, triggers, rows, frozenset(off))


@st.composite
def _triggers(draw: st.DrawFn, table: int, partitioned: bool, keys: Sequence[Key]) -> Trigger | None:
    kind = draw(st.sampled_from(_KINDS))
    enabled = draw(st.integers(0, 4)) > 0
    if kind in ("raising", "suppressing"):
        return Trigger(table, kind, "BEFORE", enabled)
    if kind == "audit":
        return Trigger(table, kind, draw(st.sampled_from(("BEFORE", "AFTER"))), enabled)
    # Where another row refers to the base by a key without CASCADE, it depends on what a statement deletes.
    own = [key for key in keys if key.child == table and (kind == "counter" or key.action == "CASCADE")]
    if not own:
        return None
    key = draw(st.sampled_from(own))
    if kind == "subtype":
        return Trigger(table, kind, "AFTER", enabled, key)
    # A statement that deletes from a partition isn't one on the whole.
    moments: Sequence[Literal["BEFORE", "AFTER", "STATEMENT"]] = ("BEFORE", "AFTER", "STATEMENT")
    return Trigger(table, kind, draw(st.sampled_from(moments[:2] if partitioned else moments)), enabled, key)
