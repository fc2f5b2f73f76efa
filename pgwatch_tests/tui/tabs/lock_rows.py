"""Rows of the Locks tab: the folded tree as toned cells. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import Session
from pgwatch_tests.reports.locks import wait_tones
from pgwatch_tests.reports.locks.folded_tree import FoldedRow, Queue
from pgwatch_tests.reports.locks.lock_tree import TreeRow
from pgwatch_tests.reports.locks.test_labels import TestLabel, beside, label_of, places_shown
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import one_line, plain, shortened_middle, shortened_test
from pgwatch_tests.text.toned_text import Cell, Tone, Toned
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow

_TEST = Column("Test", least=20, enough=48, cut=shortened_test)
_DATABASE = Column("Database", rank=2, least=8, enough=20, cut=shortened_middle)
COLUMNS = (
    _TEST,
    Column("Worker", rank=1),
    Column("pid", right=True),
    Column("Does, or waits for", least=14, enough=30, cut=shortened_middle, short="Does, waits"),
    Column("For", right=True),
    Column("Blocks", right=True, gives_way=True),
    _DATABASE,
    Column("User", rank=4, least=6, enough=14),
    Column("Client", rank=5, least=8, enough=22),
    Column("Query", rank=3, least=16, enough=30),
)
_OF_SEVERAL = {
    _TEST.label: replace(_TEST, enough=28),
    _DATABASE.label: replace(_DATABASE, rank=0, enough=16),
}
DATABASE = _DATABASE.label
COLUMNS_OF_SEVERAL = tuple(_OF_SEVERAL.get(one.label, one) for one in COLUMNS)
"""With the database on any width: it tells sessions apart."""
DEADLOCK_MARK = "D "

_GUIDES = 6
"""Guides of so many rows are drawn; of a deeper row, how many are above it."""
_NAME_STEP, _LONGEST_NAME, _GAP = 4, 28, 2
_ROOM_FOR_QUERY = 300
_STATES = {"active": "runs a statement", "idle": "idle, no transaction open"}


class LockRows:
    """Makes the rows of the table, one by one, of the rows of the tree.

    Where it `names_all` databases, those in the tested one say so, too.
    """

    def __init__(self, graph: LockGraph, rows: Sequence[FoldedRow], *, names_all: bool) -> None:
        self._graph = graph
        self._names_all = names_all
        self._rows = rows
        self._labels = {row.key: _label(graph, row.shown) for row in rows if isinstance(row.shown, TreeRow)}
        self._places = places_shown(self._labels.values())
        self._width = _name_width(rows, self._labels)
        self._in_full = {
            row.shown.party: number
            for number, row in enumerate(rows)
            if isinstance(row.shown, TreeRow) and not row.shown.again
        }

    def row(self, number: int, lit: frozenset[int]) -> LiveRow:
        """The row of that number, with those of its guides `lit`."""
        row = self._rows[number]
        guides = _guides(row, lit)
        if isinstance(row.shown, Queue):
            return _queue_row(row.key, row.shown, guides)
        label = self._labels[row.key]
        place = self._places[label]
        if row.shown.again:
            place = "(see below)" if self._in_full.get(row.shown.party, -1) > number else "(again)"
        database = row.shown.database
        if not database and self._names_all:
            database = plain(self._graph.database(row.shown.party))
        return _party_row(self._graph, row, row.shown, label, place, guides, self._width, database)

    def all(self, lit: Mapping[int, frozenset[int]]) -> list[LiveRow]:
        """All rows, with the guides `lit` that `lit_guides` tells."""
        return [self.row(number, lit.get(number, NONE_LIT)) for number in range(len(self._rows))]


NONE_LIT: frozenset[int] = frozenset()


def spans_databases(graph: LockGraph) -> bool:
    """Whether any session that waits or blocks is in another database than the tested one."""
    return any(graph.other_database(party) for party in graph.nodes)


def live_rows(
    graph: LockGraph, rows: Sequence[FoldedRow], *, names_all: bool, selected: int | None = None
) -> list[LiveRow]:
    """The rows of the table. The guides from the row of the number `selected` to its root are lit."""
    return LockRows(graph, rows, names_all=names_all).all(lit_guides(rows, selected))


def lit_guides(rows: Sequence[FoldedRow], number: int | None) -> dict[int, frozenset[int]]:
    """The guides of each row that lead from the row `number` to its root: their places in the row."""
    if number is None:
        return {}
    chain = (*rows[number].above, number)
    # The root's own fold mark is lit, too.
    lit: dict[int, set[int]] = {chain[0]: {-1}} if len(chain) > 1 else {}
    for depth, (upper, lower) in enumerate(pairwise(chain)):
        for between in range(upper + 1, lower + 1):
            lit.setdefault(between, set()).add(depth)
    return {between: frozenset(depths) for between, depths in lit.items()}


def _guides(row: FoldedRow, lit: frozenset[int]) -> tuple[Toned, ...]:
    first = max(0, len(row.guides) - _GUIDES) if len(row.guides) > _GUIDES else 0
    parts = [Toned(f"⋯{len(row.guides)} ", "lit" if lit else "quiet")] if first else []
    if first:
        first = len(row.guides) - 1
    parts += [
        Toned(guide, "lit" if depth in lit else "quiet")
        for depth, guide in enumerate(row.guides)
        if depth >= first
    ]
    if row.fold == "closed":
        parts.append(Toned("▸ ", "lit" if lit else "quiet"))
    elif row.fold == "open" and (not row.guides or isinstance(row.shown, Queue)):
        parts.append(Toned("▾ ", "lit" if lit else "quiet"))
    return tuple(parts)


def _length(parts: tuple[Toned, ...]) -> int:
    return sum(len(part.text) for part in parts)


def _name_width(rows: Sequence[FoldedRow], labels: dict[str, TestLabel]) -> int:
    """The column in which files begin: after the longest name, in steps, so that it seldom moves."""
    lengths = [
        _length(_guides(row, frozenset())) + len(labels[row.key].name) for row in rows if row.key in labels
    ]
    longest = max((length for length in lengths if length <= _LONGEST_NAME), default=0)
    return -(-longest // _NAME_STEP) * _NAME_STEP


def _label(graph: LockGraph, row: TreeRow) -> TestLabel:
    session = graph.sessions.get(row.party)
    return TestLabel(row.test) if session is None else label_of(session)


def _queue_row(key: str, queue: Queue, guides: tuple[Toned, ...]) -> LiveRow:
    name = f"{queue.waiting:,} more" if queue.waiting else f"{queue.again:,} again"
    wait_for = " wait" if queue.waiting else ""
    return LiveRow(
        key,
        (
            (*guides, Toned(name + wait_for)),
            "",
            "",
            queue.waits_for,
            _wait(queue.longest_s),
            f"{queue.behind_them:,}" if queue.behind_them else "",
            "",
            "",
            "",
            "",
        ),
    )


def _party_row(
    graph: LockGraph,
    row: FoldedRow,
    shown: TreeRow,
    label: TestLabel,
    place: str,
    guides: tuple[Toned, ...],
    width: int,
    database: str,
) -> LiveRow:
    is_root = not row.guides
    session = graph.sessions.get(shown.party)
    mark = (Toned(DEADLOCK_MARK, "trouble"),) if row.is_deadlocked else ()
    tone: Tone = "quiet" if shown.again else "root" if is_root else "trouble" if row.is_deadlocked else ""
    name, *where = beside(replace(label, mark="") if shown.again else label, place, tone)
    test = (*guides, *mark, name)
    if where:
        gap = max(0, width - _length(test)) + _GAP
        test = (*test, Toned(" " * gap), *where[1:])
    return LiveRow(
        row.key,
        (
            test,
            label.worker,
            (Toned(str(shown.party.pid) if shown.party.pid else "–", "quiet"),),
            _doing(session, shown),
            _age(session, shown),
            # How many of them directly, the tree itself shows.
            shown.blocks.partition(" ")[0],
            (Toned(database, "quiet"),),
            *_whereabouts(graph, session, shown),
        ),
        "quiet" if shown.again else "",
    )


def _doing(session: Session | None, shown: TreeRow) -> Cell:
    if shown.waits_for:
        return shown.waits_for
    if session is None:
        return "prepared transaction"
    if shown.state.startswith("idle in transaction"):
        return (Toned(shown.state, wait_tones.of_idle_transaction(shown.age_s)),)
    if session.is_autovacuum:
        return "vacuums against wraparound" if session.prevents_wraparound else "vacuums"
    return _STATES.get(shown.state, shown.state)


def _age(session: Session | None, shown: TreeRow) -> Cell:
    if shown.waits_for:
        return _wait(shown.wait_s)
    age = durations.short(shown.age_s) or "?"
    if session is None or shown.state.startswith("idle in transaction"):
        return (Toned(age, wait_tones.of_idle_transaction(shown.age_s)),)
    return age


def _wait(wait_s: float | None) -> Cell:
    return (Toned(durations.short(wait_s) or "?", wait_tones.of_wait(wait_s)),)


def _whereabouts(graph: LockGraph, session: Session | None, shown: TreeRow) -> tuple[Cell, ...]:
    """User, client (unless all are local) and query."""
    client = session.client if session and not graph.snapshot.all_local else ""
    prepared = graph.prepared.get(shown.party)
    user = session.user if session else prepared.user if prepared else ""
    return (
        (Toned(plain(user or ""), "quiet"),),
        (Toned(plain(client), "quiet"),),
        one_line(session.query[:_ROOM_FOR_QUERY]) if session else "",
    )
