"""Which statements of ours a server ran and how long transactions were, from its log of one database.

`SETTINGS` make it write down what is needed. Times are the server's own, to the millisecond.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from psycopg import Connection, sql
from psycopg.rows import TupleRow

SETTINGS = {"log_line_prefix": "%m|%p|%x|%d|%a|", "log_timezone": "UTC"}
_ENTRY = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC\|(\d+)\|(\d+)\|([^|]*)\|pgwatch-tests[^|]*\|"
    r"LOG:  duration: ([\d.]+) ms(?:  (statement|execute|parse|bind)[^:]*: )?(.*)",
    re.DOTALL,
)
_BEGINS = re.compile(r"\s*(BEGIN|START TRANSACTION)\b", re.IGNORECASE)
_ENDS = re.compile(r"\b(COMMIT|ROLLBACK)\s*;?\s*$", re.IGNORECASE)


@dataclass(slots=True)
class Ran:
    """What was run in one database."""

    statements: int = 0
    distinct: set[str] = field(default_factory=set)
    """Without their literals."""
    transactions_s: list[float] = field(default_factory=list)
    """How long those were that wrote or locked rows."""


@contextmanager
def logged(administrator: Connection[TupleRow], database: str, log: Path) -> Iterator[Ran]:
    """What is run there until the end; complete then."""
    ran = Ran()
    name = sql.Identifier(database)
    start = log.stat().st_size
    administrator.execute(sql.SQL("ALTER DATABASE {} SET log_min_duration_statement = 0").format(name))
    try:
        yield ran
    finally:
        administrator.execute(sql.SQL("ALTER DATABASE {} RESET log_min_duration_statement").format(name))
        with log.open(encoding="utf-8", errors="replace") as file:
            file.seek(start)
            _read(file.read(), database, ran)


def _read(text: str, database: str, ran: Ran) -> None:
    begun: dict[str, float] = {}
    wrote: set[str] = set()
    for entry in re.split(r"\n(?=\d{4}-\d\d-\d\d )", text):
        matched = _ENTRY.match(entry)
        if matched is None or matched[4] != database:
            continue
        at, pid, xid, duration, kind, statement = (matched[group] for group in (1, 2, 3, 5, 6, 7))
        ended_s, took_s = datetime.fromisoformat(at).timestamp(), float(duration) / 1000
        if kind in ("statement", "execute"):
            ran.statements += 1
            ran.distinct.add(re.sub(r"'[^']*'|\d+", "?", statement))
        if pid not in begun and _BEGINS.match(statement):
            begun[pid] = ended_s - took_s
        if xid != "0":
            wrote.add(pid)
        if _ENDS.search(statement) and pid in begun:
            since = begun.pop(pid)
            if pid in wrote:
                ran.transactions_s.append(ended_s - since)
            wrote.discard(pid)
        elif pid not in begun and pid in wrote:
            # A statement that was a transaction of its own.
            ran.transactions_s.append(took_s)
            wrote.discard(pid)
