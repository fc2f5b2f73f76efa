"""Figures of the header: which server it is, how many sessions are blocked, what is special. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.postgres.runs import announced
from pgwatch_tests.reports.render.sparkline import sparkline
from pgwatch_tests.reports.verdict.verdict import Facts
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_middle
from pgwatch_tests.text.times import zone
from pgwatch_tests.text.toned_text import MARKS, Tone, Toned

_BETWEEN = " · "
_LEFT = ("database", "server", "version")
_SPARKS, _FEW_SPARKS = 20, 8


Trend = tuple[int | None, ...]
"""How many sessions were blocked over the last minutes, in equal spans; None where nobody looked."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the server is watched. `pace` says how often, the longest words first."""

    pace: tuple[str, ...] = ()
    is_read_only: bool = False
    is_recorded: bool = False
    """Whether it is a moment of a recording, of which the pace says that samples aren't all: it stays."""


def live_manner(refresh_s: float, *, is_read_only: bool) -> Manner:
    """The manner of a dashboard that polls a live server every `refresh_s` seconds."""
    pace = f"{refresh_s:g} s"
    return Manner((f"every {pace}", pace), is_read_only=is_read_only)


def header_line(
    snapshot: LockSnapshot, trend: Trend, manner: Manner, width: int, *, marks: bool = False
) -> tuple[Toned, ...]:
    """The line: the server at the left, the figures at the right end of `width` cells.

    With `marks`, a figure that is a trouble, or soon one, has one: its colour can't be seen.
    """
    parts, shorter = _parts(snapshot, trend, manner)
    tones = _tones(snapshot)
    if marks:
        parts = {name: _marked(text, tones[name]) for name, text in parts.items()}
        shorter = [(name, _marked(text, tones[name])) for name, text in shorter]
    shown = fitting_parts(parts, shorter, width)
    left = _joined(shown, [name for name in shown if name in _LEFT], tones)
    right = _joined(shown, [name for name in shown if name not in _LEFT], tones)
    room = width - sum(cell_len(part.text) for part in (*left, *right))
    return (*left, Toned(" " * room if room > 0 else _BETWEEN), *right) if left and right else (*left, *right)


def with_runs(facts: Facts, snapshot: LockSnapshot) -> Facts:
    """The facts with the runs that live, as their sessions announce them."""
    runs = {one.pid: run for one in snapshot.clients if (run := announced(one.application_name)) is not None}
    return replace(facts, runs=len(set(runs.values())), run_pids=frozenset(runs))


def _marked(text: str, tone: Tone) -> str:
    # Of what is worth a look only, such as `read-only`, the words are enough.
    return f"{MARKS[tone]} {text}" if text and tone in ("trouble", "warning") else text


def _joined(shown: Mapping[str, str], names: Sequence[str], tones: Mapping[str, Tone]) -> list[Toned]:
    line: list[Toned] = []
    for name in names:
        line += [Toned(_BETWEEN, "quiet")] if line else []
        line.append(Toned(shown[name], tones.get(name, "")))
    return line


def _tones(snapshot: LockSnapshot) -> dict[str, Tone]:
    nearly = snapshot.capacity is not None and snapshot.capacity.connections_nearly_used_up
    return {
        "database": "lit",
        "server": "",
        "version": "quiet",
        "blocked": "trouble" if snapshot.blocked else "",
        "connections": "warning" if nearly else "",
        "hidden": "notice",
        "pace": "quiet",
        "read-only": "notice",
        "pooler": "notice",
        "zone": "quiet",
    }


def _parts(
    snapshot: LockSnapshot, trend: Trend, manner: Manner
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The parts by name, and shorter forms in the order in which they are tried where room is short."""
    clients, capacity = snapshot.clients, snapshot.capacity
    databases = {one.database for one in clients if one.database} | {snapshot.database}
    number = f"{snapshot.blocked:,}"
    # Locks are those of the whole server, which goes without saying where all sessions are in one database.
    scope = " on the server" if len(databases) > 1 else ""
    plain_blocked = f"{number} blocked"
    charts = [_chart(trend, number, scope, cells) for cells in (_SPARKS, _FEW_SPARKS)] if trend else []
    parts = {
        "database": plain(snapshot.database, 40),
        "server": plain(snapshot.server, 60),
        "version": f"PostgreSQL {plain(snapshot.server_version)}",
        "blocked": charts[0] if charts else plain_blocked + scope,
        "connections": plural(len(clients), "session"),
        "hidden": f"{snapshot.hidden_sessions:,} hidden" if snapshot.hidden_sessions else "",
        "pace": manner.pace[0] if manner.pace else "",
        "read-only": "read-only" if manner.is_read_only else "",
        "pooler": "via pooler" if snapshot.pooled else "",
        "zone": zone(snapshot.sampled_at),
    }
    taken = ""
    if capacity is not None:
        taken = f"{capacity.connections:,}/{capacity.max_connections:,}"
        parts["connections"] = f"{capacity.connections:,} of {capacity.max_connections:,} connections"
    shorter_pace = [("pace", pace) for pace in manner.pace[1:]]
    shorter = [
        ("version", parts["version"].replace("PostgreSQL", "PG")),
        *([] if manner.is_recorded else shorter_pace),
        ("server", shortened_middle(parts["server"], 28)),
        ("connections", f"{taken} connections" if taken else parts["connections"]),
        *([("blocked", charts[1])] if charts else []),
        ("version", ""),
        *([] if manner.is_recorded else [("pace", "")]),
        ("database", plain(snapshot.database, 24)),
        ("server", shortened_middle(parts["server"], 18)),
        ("connections", f"{taken} conns" if taken else parts["connections"]),
        ("zone", ""),
        ("blocked", plain_blocked + scope),
        *(shorter_pace if manner.is_recorded else []),
        ("server", ""),
        ("database", plain(snapshot.database, 12)),
        ("connections", taken),
        ("blocked", plain_blocked),
        ("connections", ""),
    ]
    return parts, shorter


def _chart(trend: Trend, number: str, scope: str, cells: int) -> str:
    """`blocked ▁▂▅▇▂ 4, peak 7`: the peak is what the highest sign of the chart stands for."""
    shown = trend[-cells:]
    peak = max((blocked or 0 for blocked in shown), default=0)
    return f"blocked{scope} {sparkline(shown, cells)} {number}{f', peak {peak:,}' if peak else ''}"


def fitting_parts(
    parts: Mapping[str, str], shorter: Sequence[tuple[str, str]], width: int | None
) -> dict[str, str]:
    """The parts that aren't empty, as far shortened as they have to be for a line of `width` cells."""
    shown = dict(parts)
    for name, words in (("", ""), *shorter):
        shown |= {name: words}
        found = {one: text for one, text in shown.items() if text}
        if width is None or cell_len(_BETWEEN.join(found.values())) <= width:
            break
    return found


def fitted(parts: Mapping[str, str], shorter: Sequence[tuple[str, str]], width: int | None) -> str:
    """Joins the parts in one line of at most `width` cells if possible; None is any width."""
    return _BETWEEN.join(fitting_parts(parts, shorter, width).values())
