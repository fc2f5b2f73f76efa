"""Session detail, which `enter` opens: state, locks and query in full."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from pgwatch_tests.locks.diagnosis.rules import diagnose
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.model import HeldLock, Party, Session
from pgwatch_tests.reports.locks.lock_detail import advice_texts
from pgwatch_tests.reports.locks.lock_tree import lock_facts
from pgwatch_tests.reports.locks.test_labels import label_of
from pgwatch_tests.reports.render.detail_text import KeyName, Labelled, labelled
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_sql import toned_sql
from pgwatch_tests.text.toned_text import Cell
from pgwatch_tests.tui.screens.text import TextScreen
from pgwatch_tests.tui.workers import start_worker

_MOST_CHARACTERS = 100_000
_MOST_LOCKS = 100

ReadHeld = Callable[[Party], Awaitable[tuple[HeldLock, ...] | None]]


class DetailScreen(TextScreen):
    """A session or prepared transaction as it was when opened, and its locks once they are read.

    First why it blocks or waits and what to do; last its statement.
    """

    def __init__(
        self,
        graph: LockGraph,
        party: Party,
        keys: KeyName,
        read_held: ReadHeld | None = None,
        as_of: str = "",
    ) -> None:
        """`as_of` is the moment of the past that it is of, as the end of the title."""
        super().__init__(_title(graph, party) + as_of, [])
        self._graph = graph
        self._party = party
        self._keys = keys
        # Whoever has that pid now may be another, and holds other locks.
        self._read_held = None if graph.snapshot.is_past else read_held
        self._lines = self._all_lines(["", "Reading its locks …"] if self._read_held else [])

    def on_mount(self) -> None:
        if self._read_held is not None:
            start_worker(self, partial(self._show_held, self._read_held), "held locks")

    async def _show_held(self, read_held: ReadHeld) -> None:
        held = await read_held(self._party)
        if self.is_mounted:
            self.show(self._all_lines(_held_lines(held)))

    def _all_lines(self, held: list[str]) -> list[Cell | Labelled]:
        graph, party = self._graph, self._party
        return [
            *_advice(graph, party, self._keys),
            *_lines(graph, party),
            *held,
            *_query(graph, party, self._keys),
        ]


def _title(graph: LockGraph, party: Party) -> str:
    """`test_import · pid 4711`"""
    session = graph.sessions.get(party)
    if session is None:
        return str(party) if party.pid else "prepared transaction"
    return f"{label_of(session).name} · pid {party.pid}"


def _advice(graph: LockGraph, party: Party, keys: KeyName) -> list[Cell | Labelled]:
    root = graph.root_of(party) or (party if graph.blocks(party) else None)
    if root is None:
        return []
    diagnosis = diagnose(graph, root)
    texts = advice_texts(graph, party, root, diagnosis, keys)
    return [labelled("Why", plain(diagnosis.explanation)), *texts, ""]


def _held_lines(held: tuple[HeldLock, ...] | None) -> list[str]:
    if held is None:
        return ["", "Locks not read in time."]
    shown = [
        f"{'holds' if lock.granted else 'wants'} {lock.mode:<24} {plain(lock.target)}"
        for lock in held[:_MOST_LOCKS]
    ]
    more = [f"and {len(held) - _MOST_LOCKS:,} more locks"] if len(held) > _MOST_LOCKS else []
    return ["", *(shown or ["Holds no locks."]), *more]


def _lines(graph: LockGraph, party: Party) -> list[Cell | Labelled]:
    session = graph.sessions.get(party)
    prepared = graph.prepared.get(party)
    lines: list[Cell | Labelled] = []
    if session is not None:
        lines += [labelled(name, value) for name, value in _facts(session)]
    elif prepared is not None:
        lines += [
            labelled("gid", plain(prepared.gid)),
            labelled("database", plain(prepared.database or "?")),
            labelled("owner", plain(prepared.user or "?")),
            labelled("prepared", f"{durations.in_words(prepared.age_s)} ago"),
        ]
    else:
        lines.append("This session has ended.")
    facts = lock_facts(graph, party)
    if facts:
        lines += ["", *facts]
    if total := graph.blocks(party):
        directly = graph.blocks_directly(party)
        some = f", {directly:,} directly" if directly < total else ""
        lines += ["", f"blocks {plural(total, 'session')}{some}"]
    return lines


def _query(graph: LockGraph, party: Party, keys: KeyName) -> list[Cell]:
    session = graph.sessions.get(party)
    if session is None or not session.query:
        return []
    lines: list[Cell] = ["", *toned_sql(session.query[:_MOST_CHARACTERS])]
    if len(session.query) > _MOST_CHARACTERS:
        lines.append(f"… cut: {len(session.query):,} characters in all ({keys('copy')} copies all)")
    return lines


def _facts(session: Session) -> list[tuple[str, str]]:
    state = "hidden: needs pg_monitor" if session.hidden else plain(session.state or "")
    waits = f"{session.wait_event_type}: {session.wait_event}" if session.wait_event_type else ""
    # In full, where the list of tests tells more than the name that the server has cut.
    test = plain(session.identity.label) if session.identity else ""
    found = [
        ("test", test if test not in session.application_name else ""),
        ("application", plain(session.application_name)),
        ("database", plain(session.database or "")),
        ("user", plain(session.user or "")),
        ("client", plain(session.client)),
        (
            "state",
            f"{state}, {durations.in_words(session.state_age_s)}"
            if session.state_age_s is not None
            else state,
        ),
        ("transaction", durations.in_words(session.xact_age_s) if session.xact_age_s is not None else ""),
        ("wait event", plain(waits)),
    ]
    return [(name, value) for name, value in found if value]
