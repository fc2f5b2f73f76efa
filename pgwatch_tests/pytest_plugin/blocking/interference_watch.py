"""The plugin's part on interference: what each test reads, and what each commits.

Texts of statements are kept in memory while their test runs, and are looked at only if it fails. Commits are
logged at once, since a test that fails wants to know those of tests that still run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgwatch_tests.identity.real_clock import real_time_ns
from pgwatch_tests.pytest_plugin.blocking import interference
from pgwatch_tests.pytest_plugin.blocking.blocking import add_section
from pgwatch_tests.pytest_plugin.blocking.lock_errors import lock_errors
from pgwatch_tests.pytest_plugin.blocking.read_tables import tables_read
from pgwatch_tests.pytest_plugin.blocking.write_log import LoggedWrite, WriteLog, database_key, read_logs
from pgwatch_tests.pytest_plugin.journal import read_journals
from pgwatch_tests.pytest_plugin.reports.finding_journal import findings_in
from pgwatch_tests.pytest_plugin.reports.summary import Section
from pgwatch_tests.testing.connections.commits import Commit, ServedDatabase
from pgwatch_tests.testing.current_test import Owner, current

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin

TITLE = "pgwatch: who wrote to what it had read"
_MOST_TEXTS = 500
_LONGEST_TEXT = 4_000
_MOST_NAMED = 5


class InterferenceWatch:
    """Hooks of all processes of a run. `committed` and `ran` are called for each of them, and are cheap."""

    def __init__(self, active: ActivePlugin) -> None:
        shared = active.shared
        self._active = active
        self._directory = Path(shared.log_directory)
        self._session = shared.session
        self._log = WriteLog(self._directory, shared.session, shared.worker)
        self._texts: dict[int, dict[tuple[int, str], ServedDatabase]] = {}
        """The statements of each test that runs. What stands for a database's `id` is kept along with it."""
        self._wrote: dict[int, set[str]] = {}
        self._began: dict[int, float] = {}
        self._undo: list[Callable[[], None]] = []
        active.failed.append(self._explain_failure)
        active.ended.append(self._forget)
        if not shared.worker:
            active.sections.append(self._section)

    def pytest_sessionstart(self) -> None:
        """Listens from now on."""
        commits = self._active.commits
        self._undo = [commits.listen(self.committed), commits.listen_to_statements(self.ran)]

    def pytest_sessionfinish(self) -> None:
        """Listens no more."""
        while self._undo:
            self._undo.pop()()

    def pytest_unconfigure(self) -> None:
        """Closes the log."""
        self._log.close()

    def ran(self, owner: Owner, database: ServedDatabase, text: str) -> None:
        """Remembers a statement of a test."""
        texts = self._texts.get(owner.number)
        if texts is None:
            if owner.kind != "test" or owner.has_ended:
                return
            texts = self._texts[owner.number] = {}
            self._began[owner.number] = real_time_ns() / 1e9
        if len(texts) < _MOST_TEXTS:
            if len(text) > _LONGEST_TEXT:
                text = text[:_LONGEST_TEXT]
            texts.setdefault((id(database), text), database)

    def committed(self, commit: Commit) -> None:
        """Logs the tables that a commit has written, as far as its statements name them."""
        owner = commit.owner
        if owner is None or not commit.written:
            return
        tables = frozenset(one.table for one in commit.written if one.table)
        if tables:
            self._log.wrote(owner, tables, database_key(commit.database))
            if owner.kind == "test" and not owner.has_ended:
                self._wrote.setdefault(owner.number, set()).update(tables)

    def _explain_failure(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, at: float
    ) -> None:
        """Adds to a failure who has committed writes to what its test had read."""
        owner = current()
        if call.excinfo is None or not report.failed or owner is None or owner.name != item.nodeid:
            return
        try:
            if not lock_errors(call.excinfo.value):  # otherwise who held what is told
                self._explain(owner, item, report, at)
        except Exception as error:  # noqa: BLE001
            self._active.not_checked(f"interference: an error of pgwatch-tests itself: {error!r}", owner)

    def _explain(self, owner: Owner, item: pytest.Item, report: pytest.TestReport, at: float) -> None:
        texts: dict[str, list[str]] = {}
        for (_, text), database in self._texts.get(owner.number, {}).items():
            texts.setdefault(database_key(database), []).append(text)
        began = self._began.get(owner.number, 0.0)
        for key, of_database in texts.items():
            read = tables_read(of_database)
            if not read:
                continue
            failed = LoggedWrite(at, owner.name, owner.worker, read, key, failed=True)
            # What it has written itself, it doesn't need of another one.
            self._log.failed(owner, read - self._wrote.get(owner.number, set()), key, at)
            writes = read_logs(self._directory, self._session, since=began)
            found = interference.candidates(writes, failed, began)
            if lines := interference.lines_of(found, failed):
                add_section(report, TITLE, "\n".join(lines))
                names = ", ".join(name for name, _ in list(found)[:_MOST_NAMED])
                # JUnit files have those of the tear-down, whose report is still to come.
                item.user_properties.append(("pgwatch.interference", f"1 of {len(found)}: {names}"))

    def _forget(self, owner: Owner) -> None:
        if owner.has_used_sessions:
            self._log.ended(owner)
            for of_owner in (self._texts, self._wrote, self._began):
                of_owner.pop(owner.number, None)

    def _section(self) -> Section | None:
        """The section of the summary on what failed tests had read, and who left or made it."""
        logged = read_logs(self._directory, self._session)
        if not any(one.failed for one in logged):
            return None
        left: dict[str, list[str]] = {}
        for noted in findings_in(read_journals(self._directory, self._session)):
            if noted.finding.owner is not None and noted.finding.kind in ("rows", "late_rows"):
                left.setdefault(noted.finding.owner.name, []).extend(noted.finding.tables)
        lines = interference.order_lines(logged, left)
        return Section("what failed tests had read", lines) if lines else None
