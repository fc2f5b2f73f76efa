"""Findings of the pytest plugin, as it leaves them in a run's directory of logs for whoever reports the run.

It knows rows by their transactions, right after each test: also rows of tables in which no column can bear a
marker, and rows that a later test removed. A check after the run knows marked rows that are still there.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pgwatch_tests.foreign_files import read_bytes
from pgwatch_tests.record.model import LeakEvent
from pgwatch_tests.text.numbers import plural

SUFFIX = ".findings"
_JOURNALS = "*.journal"
_ROWS = ("rows", "late_rows")


@dataclass(frozen=True, slots=True)
class PluginFinding:
    """One finding. `reason` is what its owner did, a sentence without a subject."""

    kind: str
    """A word of `testing.findings.FindingKind`: `rows`, `late_rows`, `open_transaction` …"""
    owner: str
    """The test, or the wider fixture; empty where nobody is known for a fact."""
    is_test: bool
    reason: str
    advice: str = ""
    tables: tuple[str, ...] = ()
    """`schema.table`."""
    rows: int = 0
    """The number of rows it is about; 0 where it isn't about rows."""

    @property
    def is_of_rows(self) -> bool:
        """Whether rows were left."""
        return self.kind in _ROWS


@dataclass(frozen=True, slots=True)
class PluginSessions:
    """What the sessions of pytest in one run found."""

    findings: tuple[PluginFinding, ...] = ()
    not_checked: tuple[str, ...] = ()
    unfinished: int = 0
    """The number of sessions that didn't come to their end, and so told nothing."""


def write_findings(
    logs: Path, session: str, findings: Sequence[PluginFinding], not_checked: Sequence[str]
) -> None:
    """Writes what one session found, wholly or not at all. Raises OSError."""
    path = logs / f"{session}{SUFFIX}"
    unfinished = logs / f".{path.name}.{os.getpid()}"
    content = {"findings": [asdict(one) for one in findings], "not_checked": list(not_checked)}
    unfinished.write_text(json.dumps(content), encoding="ascii")
    unfinished.replace(path)


def read_findings(logs: Path) -> PluginSessions | None:
    """What the sessions of a run found; None: the plugin was on in none of them."""
    files = sorted(logs.glob(f"*{SUFFIX}"))
    ended = {path.stem for path in files}
    began = {path.name.partition("-")[0] for path in logs.glob(_JOURNALS)}
    if not files and not began:
        return None
    found: list[PluginFinding] = []
    not_checked: list[str] = []
    for path in files:
        try:
            content = json.loads(read_bytes(path))
            found += [_finding(one) for one in content["findings"]]
            not_checked += map(str, content["not_checked"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            ended.discard(path.stem)
    return PluginSessions(tuple(found), tuple(dict.fromkeys(not_checked)), len(began - ended))


def leaked_rows(checked: Mapping[str, int], findings: Iterable[PluginFinding]) -> Mapping[str, int]:
    """Returns the leaked rows by table, of those that a check has counted and those that the plugin saw.

    Both may know the same rows, so of each table the larger number counts.
    """
    seen: Counter[str] = Counter()
    for one in findings:
        if one.is_of_rows and one.tables:
            seen[one.tables[0]] += one.rows
    return {
        table: max(checked.get(table, 0), seen[table]) for table in [*checked, *(seen - Counter(checked))]
    }


def other_findings(findings: Iterable[PluginFinding]) -> str:
    """`3 other findings in 2 tests`: those that aren't about rows; empty without any."""
    others = [one for one in findings if not one.is_of_rows]
    tests = {one.owner for one in others if one.is_test}
    where = f" in {plural(len(tests), 'test')}" if tests else ""
    return f"{plural(len(others), 'other finding')}{where}" if others else ""


def besides(findings: Iterable[PluginFinding], leaks: Iterable[LeakEvent]) -> list[PluginFinding]:
    """Returns the findings without those rows that a check for leaks puts down to the same test, too."""
    both: dict[tuple[str, str], int] = {}
    for leak in leaks:
        if leak.kind == "rows" and leak.test and not leak.candidates:
            both[leak.test, leak.name] = both.get((leak.test, leak.name), 0) + leak.rows
    return [
        one
        for one in findings
        if not (one.is_of_rows and one.tables and one.rows <= both.get((one.owner, one.tables[0]), -1))
    ]


def _finding(content: dict[str, object]) -> PluginFinding:
    tables, rows = content["tables"], content["rows"]
    if not isinstance(tables, list) or not isinstance(rows, int):
        raise TypeError("no finding")
    return PluginFinding(
        str(content["kind"]),
        str(content["owner"]),
        content["is_test"] is True,
        str(content["reason"]),
        str(content["advice"]),
        tuple(map(str, tables)),
        rows,
    )
