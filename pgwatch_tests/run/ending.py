"""What is done once a run's command has ended: in order of worth, since whoever cancels a job soon kills.

Each step is spared the errors of the others.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pgwatch_tests.record.plugin_findings import read_findings
from pgwatch_tests.record.results import ResultsDirectory
from pgwatch_tests.run.checks.beside import Beside
from pgwatch_tests.run.checks.fail_on import Judgement, judge
from pgwatch_tests.run.guards import RunGuards
from pgwatch_tests.run.outcome import github
from pgwatch_tests.run.outcome.run_recorder import RunRecorder
from pgwatch_tests.run.state import REPORT_S, RunState
from pgwatch_tests.text.numbers import plural

if TYPE_CHECKING:
    from pgwatch_tests.run.checks.leak_check import LeakChecker

_SHORTEST_CHECK_S = 0.3
_RELEASE_S = 3.0
_HURRIED_RELEASE_S = 1.0


class RunEnding:
    """The steps after the command, once each."""

    def __init__(
        self, state: RunState, recorder: RunRecorder | None, guards: RunGuards, beside: Beside | None
    ) -> None:
        self._state = state
        self._notes = state.notes
        self._recorder = recorder
        self._guards = guards
        self._beside = beside
        self._checker: LeakChecker | None = None
        self._is_hurried = False
        self._has_spoken = False

    def run(self) -> None:
        """Does all of it."""
        state = self._state
        state.relay.on_end = self._hurry
        self.note_end()
        for step, undone in (
            (self._look_for_junit_files, "JUnit files weren't looked for"),
            (self._read_plugin_findings, "the findings of the pytest plugin weren't read"),
            (self._check_leaks, "leaks weren't checked"),
            (self._end_recording, "the recording wasn't ended in order"),
            (self._read_server_log, "the server's log wasn't read"),
            (self._judge, "the run wasn't judged"),
            (self._write_documents, "the report wasn't written"),
            (self._release, "the lease wasn't given back in order"),
            (self._sweep, "nothing was swept"),
            (self._leave_lane, "the lane wasn't left in order"),
            (self._put_on_record, "the run wasn't put on record"),
            (self._tell_ci, "GitHub wasn't told"),
        ):
            # Whatever a step raises, the suite's result is its own, and the other steps are done.
            with self._notes.spared(undone):
                step()

    def _hurry(self, _number: signal.Signals, _count: int) -> None:
        """A signal while we are at work alone ends the check for leaks; the next one all of it."""
        if self._is_hurried and self._state.end is not None:
            os._exit(self._state.exit_code)
        self._is_hurried = True
        if self._checker is not None:
            self._checker.cancel()

    def note_end(self) -> None:
        """From now on `run.json` tells how the command ended, whatever happens to us."""
        state = self._state
        with self._notes.spared("hangs weren't looked for to the end"):
            if state.request.guards.hang is not None:
                passed = state.end is not None and state.end.exit_code == 0
                state.hangs = [*self._guards.command_ended(passed=passed)]
                state.known = replace(state.known, hangs=state.hangs)
        end = state.end
        if end is None:
            self._notes.not_checked.append("the command was still running when this was written")
        else:
            state.facts = replace(
                state.facts,
                signal=end.signal,
                ended=datetime.now(UTC),
                exit_code=end.exit_code,
                command_exit_code=end.exit_code,
            )
            if self._recorder is not None:
                self._recorder.mark("command_ended", f"exit code {end.exit_code}")
        state.write_index()

    def _look_for_junit_files(self) -> None:
        state = self._state
        if not state.request.junit:
            return
        from pgwatch_tests.run import aftermath

        found = aftermath.junit_files(state.request.junit, state.facts.began)
        state.facts = replace(state.facts, junit_files=found)
        if not found:
            names = ", ".join(state.request.junit)
            self._notes.not_checked.append(f"no JUnit file was written since the start: {names}")

    def _check_leaks(self) -> None:
        state = self._state
        settings = state.settings
        if settings is None:
            return
        within_s = None if state.left_s is None else state.left_s - REPORT_S
        if state.end is None or (within_s is not None and within_s < _SHORTEST_CHECK_S):
            self._notes.not_checked.append("leaks weren't checked: no time was left")
            return
        from pgwatch_tests.run import aftermath
        from pgwatch_tests.run.outcome import closing_words

        first = None if self._beside is None else self._beside.baseline
        before = aftermath.state_before(state.request.since, first)
        if state.request.any_rows and before.baseline is None:
            self._notes.not_checked.append(f"--any needs the state before the command: {before.trouble}")
            return
        self._checker = aftermath.checker(
            settings,
            before,
            any_rows=state.request.any_rows,
            fail_on=state.request.fail_on,
            logs=None if state.results is None else state.results.logs,
            reports=[Path.cwd() / name for name in state.facts.junit_files],
        )
        check = self._checker.run(within_s)
        report = aftermath.with_note(check, before.note)
        state.known = replace(state.known, leaks=report, leaks_may_be_older=not check.compared)
        if report is None:
            self._notes.not_checked.append(f"leaks weren't checked: {check.trouble}")
            return
        if report.without_strings and report.mode != "any":
            self._notes.not_checked.append(closing_words.unmarkable(report.without_strings))
        if not check.compared and (report.total or report.leftovers):
            why = check.trouble or before.trouble
            self._notes.not_checked.append(
                f"what is leaked may be older than this run, without a baseline: {why}"
            )

    def _read_plugin_findings(self) -> None:
        """Reads what the pytest plugin told, where it was on in the command."""
        state = self._state
        plugin = None if state.results is None else read_findings(state.results.logs)
        if plugin is None:
            return
        state.known = replace(state.known, plugin=plugin)
        self._notes.not_checked += [f"by the pytest plugin: {reason}" for reason in plugin.not_checked]
        if plugin.unfinished:
            sessions = plural(plugin.unfinished, "session")
            self._notes.not_checked.append(f"what the pytest plugin found in {sessions} that didn't end")

    def _end_recording(self) -> None:
        """Ends the recorder, and reads what it saw."""
        state = self._state
        if self._recorder is not None and state.results is not None:
            state.known = self._recorder.end(state.known, state.left_s, self._notes)
            if state.results.recording.exists():
                state.note_files(["recording"])

    def _read_server_log(self) -> None:
        state = self._state
        within_s = None if state.left_s is None else state.left_s - REPORT_S
        state.known = self._guards.read_server_log(
            state.settings, state.facts, state.results, state.known, self._notes, within_s
        )

    def _judge(self) -> None:
        state = self._state
        if state.request.fail_on:
            state.judgement = judge(state.request.fail_on, state.known)
            told = tuple(self._notes.not_checked)
            self._notes.not_checked += [
                line for line in state.judgement.missing if not any(one.startswith(line) for one in told)
            ]

    def _write_documents(self) -> None:
        state = self._state
        results = state.results
        if results is None:
            return
        from pgwatch_tests.run import aftermath

        judgement = state.judgement or Judgement("clean", (), ())
        state.note_files(aftermath.write_documents(results, state.request.fail_on, state.known, judgement))
        self._read_outcomes(results)
        from pgwatch_tests.run.outcome import recorded

        state.note_files(recorded.write_contention(results, state.known))
        whole = recorded.report(results, state.record(), state.known, state.outcomes)
        state.note_files(recorded.write_report(results, whole))

    def _read_outcomes(self, results: ResultsDirectory) -> None:
        """Reads how tests ended, from the JUnit files that were found."""
        if self._state.facts.junit_files:
            from pgwatch_tests.junit.outcomes import read_outcomes
            from pgwatch_tests.run.outcome import recorded

            files = [Path.cwd() / name for name in self._state.facts.junit_files]
            read = read_outcomes(files, recorded.known_tests(results))
            self._state.outcomes = read.tests
            self._notes.not_checked += read.not_read

    def _release(self) -> None:
        if self._beside is None:
            return
        self._beside.release(_RELEASE_S if self._state.left_s is None else _HURRIED_RELEASE_S)
        self._notes.notes += self._beside.troubles(checked=self._state.known.leaks is not None)

    def _sweep(self) -> None:
        state = self._state
        if not state.request.sweep or state.settings is None:
            return
        if state.end is None or state.relay.first is not None:
            self._notes.not_checked.append("nothing was swept: the run was told to end")
            return
        from pgwatch_tests.run.checks.sweeping import sweep

        self._notes.notes.append(sweep(state.settings, state.relay, self._notes.not_checked))

    def _leave_lane(self) -> None:
        """Ends the lane; what the guards have to say comes with the last words."""
        failed = self._state.end is None or self._state.exit_code != 0
        self._notes.notes += [*self._guards.close(failed=failed), *self._guards.notes]

    def _put_on_record(self) -> None:
        """Puts the run into the history, if `--store` or the setting `history` asks for it."""
        state = self._state
        settings, results = state.settings, state.results
        if settings is None or results is None or state.end is None:
            return
        if state.request.store or settings.history is not None:
            from pgwatch_tests.run.outcome import recorded

            facts = replace(state.facts, exit_code=state.exit_code)
            record = replace(state.record(), facts=facts)
            said = recorded.put_on_record(settings, results, record, state.known, state.outcomes)
            self._notes.notes.append(said)

    def _tell_ci(self) -> None:
        state = self._state
        if not github.is_there(state.environment):
            return
        findings = state.judgement.findings if state.judgement is not None else ()
        report = None
        if state.results is not None and "markdown" in state.files:
            report = state.results.file("markdown")
        github.tell(state.environment, findings, report, self._notes)

    def say_last_words(self) -> None:
        """Tells people how it ended, once."""
        if self._has_spoken:
            return
        self._has_spoken = True
        with self._notes.spared("the last words"):
            from pgwatch_tests.run.outcome import closing_words

            state = self._state
            words = closing_words.lines(state.record(), state.known, state.results, state.exit_code)
            for line in words:
                state.tell(line)
