"""The report of a session: the controller gathers what all processes found, and tells it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest.junitxml import xml_key

from pgwatch_tests.pytest_plugin.journal import read_journals
from pgwatch_tests.pytest_plugin.reports.documents import (
    Place,
    github,
    junit,
    markdown,
    place_in_repository,
)
from pgwatch_tests.pytest_plugin.reports.finding_journal import Noted, findings_in
from pgwatch_tests.pytest_plugin.reports.ignoring import with_ignores
from pgwatch_tests.pytest_plugin.reports.summary import Section, Summary, by_owner
from pgwatch_tests.record.plugin_findings import PluginFinding, write_findings
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.workflow_commands import has_commands, without_commands

if TYPE_CHECKING:
    from pgwatch_tests.pytest_plugin.active import ActivePlugin

_STEP_SUMMARY, _WORKSPACE = "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"


def _in_log(line: str) -> str:
    """The line; where a CI obeys what is in its log, without commands."""
    return without_commands(line) if has_commands(os.environ) else line


class SessionReport:
    """Hooks of the controller, or of the only process, at the end of a session."""

    def __init__(self, active: ActivePlugin) -> None:
        self._active = active
        self.summary = Summary()
        """What was found; empty until the tests are over."""
        self._reported: set[str] = set()
        """What is in JUnit's properties of tests already."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Learns where each test is, and what was told with it."""
        active = self._active
        for listener in active.reported:
            listener(report)
        if report.when != "call" or report.outcome != "passed":
            file, line, _ = report.location
            active.locations[report.nodeid] = file, line or 0
        if report.user_properties:
            self._reported.update(str(value) for name, value in report.user_properties if "pgwatch" in name)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Gathers the findings once all workers have ended, and before the terminal's summary.

        A gate only turns the exit status of a run that has passed.
        """
        yield
        active = self._active
        sections = [section for ask in active.sections if (section := self._asked(ask)) is not None]
        self.summary = Summary(tuple(self._gathered()), tuple(sections))
        try:
            self._write()
        except OSError as error:
            active.not_checked(f"a report isn't written: {error}")
            self.summary = Summary(tuple(self._gathered()), tuple(sections))
        self._add_to_junit(session.config)
        if active.mode == "fail" and self.summary.fails and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Writes the summary, if there is anything to tell."""
        summary = self.summary
        lines = summary.lines
        if lines:
            terminalreporter.section(f"pgwatch: {summary.title}" if summary.title else "pgwatch")
            for line in lines:
                terminalreporter.line(_in_log(line))
        for section in summary.sections:
            terminalreporter.section(f"pgwatch: {_in_log(plain(section.title))}")
            for line in section.lines:
                terminalreporter.line(_in_log(plain(line)))

    def pytest_unconfigure(self) -> None:
        """Writes the annotations, which a workflow reads wherever they are in the output."""
        if "github" in self._active.options.formats:
            fails = self._active.mode == "fail"
            lines = github(self.summary, self._place, fails=fails)
            print(*lines, sep="\n", file=sys.__stdout__, flush=True)

    def _place(self, test: str) -> Place | None:
        location = self._active.locations.get(test)
        root, workspace = self._active.config.rootpath, os.environ.get(_WORKSPACE)
        return None if location is None else place_in_repository(root, *location, workspace)

    def _gathered(self) -> list[Noted]:
        shared = self._active.shared
        try:
            records = list(read_journals(Path(shared.log_directory), shared.session))
        except OSError as error:
            reason = f"what workers found can't be read: {error.strerror}: {error.filename}"
            return [*self._active.unwritten, Noted(Finding("not_checked", None, reason), None)]
        return [*with_ignores(findings_in(records), records), *self._active.unwritten]

    def _write(self) -> None:
        options, shared = self._active.options, self._active.shared
        if not shared.is_temporary:
            found = [_for_run(one) for _, of_owner in by_owner(self.summary.told) for one in of_owner]
            unchecked = [one.reason for one in self.summary.unchecked]
            write_findings(Path(shared.log_directory), shared.session, found, unchecked)
        if "md" in options.formats:
            text = markdown(self.summary)
            _write_whole(options.directory / "pgwatch.md", text)
            if path := os.environ.get(_STEP_SUMMARY):
                with Path(path).open("a", encoding="utf-8") as file:
                    file.write(text)
        if "junit" in options.formats:
            _write_whole(options.directory / "pgwatch.xml", junit(self.summary))

    def _add_to_junit(self, config: pytest.Config) -> None:
        """Adds what came too late for a test's own properties to those of the whole suite."""
        log = config.stash.get(xml_key, None)
        if log is None:
            return
        late = []
        for one in (*self.summary.told, *self.summary.unchecked):
            text = plain(f"{one.reason} → {one.advice}" if one.advice else one.reason)
            if text not in self._reported:
                late.append(
                    (f"pgwatch.{one.kind}", text if one.owner is None else f"{one.owner.name}: {text}")
                )
        for name, text in late:
            log.add_global_property(name, text)
        if late:
            # It has written its file already, and writes it anew.
            log.pytest_sessionfinish()

    def _asked(self, ask: Callable[[], Section | None]) -> Section | None:
        """Returns a part's section. What it raises is told instead: it is no reason to fail the session."""
        try:
            return ask()
        except Exception as error:  # noqa: BLE001
            self._active.not_checked(f"an error of pgwatch-tests itself: {error!r}")
            return None


def _for_run(one: Finding) -> PluginFinding:
    name, is_test = ("", False) if one.owner is None else (one.owner.name, one.owner.kind == "test")
    return PluginFinding(one.kind, name, is_test, one.reason, one.advice, one.tables, one.rows)


def _write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
