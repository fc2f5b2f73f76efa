"""The report of a session: the controller gathers what all processes found, and tells it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pgwatch_tests.pytest_plugin.finding_journal import findings_in
from pgwatch_tests.pytest_plugin.journal import read_journals
from pgwatch_tests.pytest_plugin.summary import Section, Summary
from pgwatch_tests.text.plain_text import plain

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin


class SessionReport:
    """Hooks of the controller, or of the only process, at the end of a session."""

    def __init__(self, active: ActivePlugin) -> None:
        self._active = active
        self.summary = Summary()
        """What was found; empty until the tests are over."""

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Gathers the findings once all workers have ended, and before the terminal's summary.

        A gate only turns the exit status of a run that has passed.
        """
        yield
        active = self._active
        sections = [section for ask in active.sections if (section := self._asked(ask)) is not None]
        noted = findings_in(read_journals(Path(active.shared.log_directory), active.shared.session))
        self.summary = Summary(tuple(noted), tuple(sections))
        if active.mode == "fail" and self.summary.fails and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Writes the summary, if there is anything to tell."""
        summary = self.summary
        lines = summary.lines
        if lines:
            terminalreporter.section(f"pgwatch: {summary.title}" if summary.title else "pgwatch")
            for line in lines:
                terminalreporter.line(line)
        for section in summary.sections:
            terminalreporter.section(f"pgwatch: {plain(section.title)}")
            for line in section.lines:
                terminalreporter.line(plain(line))

    def _asked(self, ask: Callable[[], Section | None]) -> Section | None:
        """Returns a part's section. What it raises is told instead: it is no reason to fail the session."""
        try:
            return ask()
        except Exception as error:  # noqa: BLE001
            self._active.not_checked(f"an error of pgwatch-tests itself: {error!r}")
            return None
