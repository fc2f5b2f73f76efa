"""A run from its beginning to its end: what happens before, beside and after its command, in this order.

The suite comes first: nothing of ours changes its result or holds it up. What goes wrong here is told as "not
checked"; only what `--fail-on` asked for can make an exit code of 0 another one.
"""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from pgwatch_tests import __version__
from pgwatch_tests.errors import EXIT_CODES, SIGNALLED
from pgwatch_tests.record.model import MarkKind
from pgwatch_tests.record.results import FILE_NAMES, ResultKind, ResultsDirectory, RunRecord
from pgwatch_tests.record.run_summary import Hang, RunFacts, TestOutcome
from pgwatch_tests.run import github, surroundings
from pgwatch_tests.run.beside import Beside
from pgwatch_tests.run.command import Command, CommandEnd, NotStartedError
from pgwatch_tests.run.fail_on import Evidence, Judgement, judge
from pgwatch_tests.run.guards import RunGuards
from pgwatch_tests.run.request import Notes, RunOutcome, RunRequest, Tell
from pgwatch_tests.run.results_place import ResultsPlace
from pgwatch_tests.run.run_recorder import RunRecorder
from pgwatch_tests.run.signals import SignalRelay
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.secrets import mask_text

if TYPE_CHECKING:
    from pgwatch_tests.run.leak_check import LeakChecker

HOLD_UP_S = 0.4
"""The command starts so many seconds after this process, whether or not everything is ready beside it."""
_REPORT_S = 2.0
"""What is kept of `--grace` for the report."""
_SHORTEST_CHECK_S = 0.3
_RELEASE_S = 1.0
_TO_THE_KILL_S = 0.5
"""The report is to be whole a moment before whoever cancels a job kills it."""


def _age_s() -> float:
    """Seconds since this process began: its imports have held the command up already."""
    with suppress(OSError, ValueError, AttributeError):
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        began_s = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")  # proc_pid_stat(5)
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began_s)
    return time.process_time()


def run(request: RunRequest, tell: Tell) -> RunOutcome:
    """Runs the command, in the main thread. Raises what a guard that was asked for does, before it starts."""
    with SignalRelay() as relay:
        return RunSession(request, tell, relay).run()


class RunSession:
    """One run."""

    def __init__(self, request: RunRequest, tell: Tell, relay: SignalRelay) -> None:
        self.request = request
        self.tell = tell
        self.relay = relay
        self.notes = Notes()
        self.environment = dict(os.environ)
        self.run_id = surroundings.run_id_of(self.environment)
        self.settings: Settings | None = None
        """None if they can't be read: then nothing is watched."""
        self.results: ResultsDirectory | None = None
        """None if there can't be one."""
        masked = tuple(map(mask_text, request.command))
        self.facts = RunFacts(
            self.run_id, request.name, masked, datetime.now(UTC), None, None, program_version=__version__
        )
        self.hangs: list[Hang] = []
        self.command: Command | None = None
        """None until it is started."""
        self._hold_up_until = time.monotonic() + HOLD_UP_S - _age_s()
        """By then the command starts."""
        self._recorder: RunRecorder | None = None
        self._guards = RunGuards(request.guards, tell)
        self._beside: Beside | None = None
        self._news: SimpleQueue[str] = SimpleQueue()
        self._end: CommandEnd | None = None
        self._checker: LeakChecker | None = None
        self._known = Evidence()
        self._judgement: Judgement | None = None
        self._files: dict[str, str] = {}
        self._outcomes: tuple[TestOutcome, ...] = ()
        self._is_hurried = False
        self._has_spoken = False

    def run(self) -> RunOutcome:
        """Does all of it; returns how it ended."""
        with ExitStack() as held:
            # Before the command.
            self._read_surroundings()
            self._come_first(held)
            self._open_results(held)
            self._begin_recording()
            self._begin_beside()
            self._set_environment()
            self._wait_for_what_begins()
            # The command.
            self._run_command()
            # After the command.
            self.relay.on_end = self._hurry
            self._note_end()
            self._look_for_junit_files()
            self._check_leaks()
            self._end_recording()
            self._read_server_log()
            self._judge()
            self._write_documents()
            self._release()
            self._sweep()
            self._leave_lane()
            self._tell_ci()
            return self._finish()

    # Before the command.

    def _read_surroundings(self) -> None:
        self.facts = surroundings.ci_facts(surroundings.machine_facts(self.facts), self.environment)
        with self.notes.spared("the database wasn't looked at"):
            self.settings, note = surroundings.settings_of(self.request.flags, self.environment, Path.cwd())
            if note:
                self.notes.notes.append(note)

    def _come_first(self, held: ExitStack) -> None:
        """Does what the command has to wait for. Raises what keeps it from being started."""
        held.callback(self._guards.close, failed=True)
        self.settings = self._guards.come_first(
            self.settings, self.facts, self.environment, lambda: self.relay.first is not None
        )
        if self.request.guards.come_first:
            self._hold_up_until = time.monotonic() + HOLD_UP_S
        self.environment |= self._guards.environment

    def _open_results(self, held: ExitStack) -> None:
        """From now on there is a `run.json`: one without an end tells that the run was killed."""
        with self.notes.spared("no results are written"):
            place = ResultsPlace(self.request.directory, self.request.name, self.run_id)
            self.results = place.open(held)
            if place.remark:
                self.tell(place.remark)
            self._write_index()

    def _begin_recording(self) -> None:
        """Starts the recorder's process, which has its imports to do meanwhile."""
        if not self.request.record or self.settings is None or self.results is None:
            return
        with self.notes.spared("nothing was recorded"):
            self._recorder = RunRecorder(self.request, self.facts, self.settings, self.results)

    def _begin_beside(self) -> None:
        """Begins with the lease and the baseline, which the command doesn't wait for."""
        if self.settings is not None:
            self._beside = Beside(self.settings, self.facts, self.tell, self._guards.lease)

    def _set_environment(self) -> None:
        logs = None if self.results is None else self.results.logs.absolute()
        program = self.request.command[0]
        self.environment = surroundings.command_environment(self.environment, self.run_id, program, logs)

    def _wait_for_what_begins(self) -> None:
        if self._beside is not None:
            self._beside.wait(self._hold_up_until)
            self._beside.command_begins()
        if self._recorder is not None:
            self._recorder.mark("command_began")

    # The command.

    def _run_command(self) -> None:
        """Starts the command and waits for it; a signal meanwhile is passed on."""
        self.relay.on_end = self._note_signal
        if self.relay.first is not None:
            self._end = CommandEnd(SIGNALLED + self.relay.first, None)
            return
        self.command = Command(self.request.command, self.environment, self.relay.mask_before)
        try:
            self.command.start()
        except NotStartedError as error:
            self.tell(str(error))
            self._end = CommandEnd(error.status)
            return
        self.relay.forward_to(self.command)
        own_name = surroundings.own_session_name(self.environment)
        self._guards.command_began(self.settings, self.command.pid, own_name, self._note)
        threading.Thread(target=self._wait_for_end, name="pgwatch-tests command", daemon=True).start()
        self.facts = surroundings.repository_facts(self.facts, Path.cwd())
        while self._end is None:
            left_s = self.left_s
            if left_s is not None and left_s <= _REPORT_S:
                # Whoever has signalled is about to kill us, and the command doesn't end.
                return
            with suppress(Empty):
                self._news.get(timeout=None if left_s is None else left_s - _REPORT_S)

    def _note_signal(self, number: signal.Signals, _count: int) -> None:
        if self._recorder is not None:
            self._recorder.mark("signal", number.name)
        self._news.put("signal")

    def _wait_for_end(self) -> None:
        assert self.command is not None
        self._end = self.command.wait()
        self._news.put("end")

    @property
    def left_s(self) -> float | None:
        """Seconds until whoever has sent a signal kills; None: nobody has."""
        if self.relay.first_at is None:
            return None
        return self.relay.first_at + self.request.grace_s - _TO_THE_KILL_S - time.monotonic()

    # After the command.

    def _hurry(self, number: int, count: int) -> None:
        """A signal while we are at work alone ends the check for leaks; the next one all of it."""
        if self._is_hurried and self._end is not None:
            os._exit(self._exit_code)
        self._is_hurried = True
        if self._checker is not None:
            self._checker.cancel()

    def _note(self, kind: MarkKind, text: str, _at: datetime) -> None:
        """Has the recording tell an event. For any thread."""
        if self._recorder is not None:
            self._recorder.mark(kind, text)

    def _note_end(self) -> None:
        """From now on `run.json` tells how the command ended, whatever happens to us."""
        if self.request.guards.hang is not None:
            self.hangs = [*self._guards.command_ended()]
            self._known = replace(self._known, hangs=self.hangs)
        if self._end is not None:
            self.facts = replace(
                self.facts,
                signal=self._end.signal,
                ended=datetime.now(UTC),
                exit_code=self._end.exit_code,
                command_exit_code=self._end.exit_code,
            )
        else:
            self.notes.not_checked.append("the command was still running when this was written")
        if self._recorder is not None and self._end is not None:
            self._recorder.mark("command_ended", f"exit code {self._end.exit_code}")
        self._write_index()

    def _end_recording(self) -> None:
        """Ends the recorder, and reads what it saw."""
        if self._recorder is not None and self.results is not None:
            self._known = self._recorder.end(self._known, self.left_s, self.notes)
            if self.results.recording.exists():
                self._files["recording"] = FILE_NAMES["recording"]

    def _look_for_junit_files(self) -> None:
        with self.notes.spared("JUnit files weren't looked for"):
            if self.request.junit:
                from pgwatch_tests.run import aftermath

                found = aftermath.junit_files(self.request.junit, Path.cwd(), self.facts.began)
                self.facts = replace(self.facts, junit_files=found)
                if not found:
                    names = ", ".join(self.request.junit)
                    self.notes.not_checked.append(f"no JUnit file was written since the start: {names}")

    def _check_leaks(self) -> None:
        if self.settings is None:
            return
        with self.notes.spared("leaks weren't checked"):
            within_s = None if self.left_s is None else self.left_s - _REPORT_S
            if self._end is None or (within_s is not None and within_s < _SHORTEST_CHECK_S):
                self.notes.not_checked.append("leaks weren't checked: no time was left")
                return
            from pgwatch_tests.run import aftermath

            first = None if self._beside is None else self._beside.baseline
            before = aftermath.state_before(self.request.since, first)
            if self.request.any_rows and before.baseline is None:
                self.notes.not_checked.append(f"--any needs the state before the command: {before.trouble}")
                return
            self._checker = aftermath.checker(
                self.settings,
                before,
                any_rows=self.request.any_rows,
                fail_on=self.request.fail_on,
                logs=None if self.results is None else self.results.logs,
            )
            check = self._checker.run(within_s)
            report = aftermath.with_note(check, before.note)
            self._known = replace(self._known, leaks=report, leaks_may_be_older=not check.compared)
            if report is None:
                self.notes.not_checked.append(f"leaks weren't checked: {check.trouble}")
            elif not check.compared and (report.total or report.leftovers):
                why = check.trouble or before.trouble
                self.notes.not_checked.append(
                    f"what is leaked may be older than this run, without a baseline: {why}"
                )

    def _read_server_log(self) -> None:
        with self.notes.spared("the server's log wasn't read"):
            self._known = self._guards.read_server_log(
                self.settings, self.facts, self.results, self._known, self.notes
            )

    def _judge(self) -> None:
        if self.request.fail_on:
            self._judgement = judge(self.request.fail_on, self._known)
            self.notes.not_checked += self._judgement.missing

    def _write_documents(self) -> None:
        if self.results is None:
            return
        with self.notes.spared("the report wasn't written"):
            from pgwatch_tests.run import aftermath

            judgement = self._judgement or Judgement("clean", (), ())
            kinds = aftermath.write_documents(self.results, self.request.fail_on, self._known, judgement)
            self._note_files(kinds)
            self._read_outcomes()
            from pgwatch_tests.run import recorded

            self._note_files(recorded.write_contention(self.results, self._known))
            whole = recorded.report(self.results, self._record(), self._known, self._outcomes)
            self._note_files(recorded.write_report(self.results, whole))

    def _note_files(self, kinds: Iterable[ResultKind]) -> None:
        for kind in kinds:
            self._files[kind] = FILE_NAMES[kind]

    def _read_outcomes(self) -> None:
        """Reads how tests ended, from the JUnit files that were found."""
        if self.facts.junit_files:
            from pgwatch_tests.junit.outcomes import read_outcomes

            read = read_outcomes([Path.cwd() / name for name in self.facts.junit_files])
            self._outcomes = read.tests
            self.notes.not_checked += read.not_read

    def _release(self) -> None:
        if self._beside is not None:
            self._beside.release(_RELEASE_S)
            self.notes.notes += self._beside.troubles(checked=self._known.leaks is not None)

    def _sweep(self) -> None:
        if not self.request.sweep or self.settings is None:
            return
        if self._end is None or self.relay.first is not None:
            self.notes.not_checked.append("nothing was swept: the run was told to end")
            return
        with self.notes.spared("nothing was swept"):
            from pgwatch_tests.run.sweeping import sweep

            self.notes.notes.append(sweep(self.settings, self.relay, self.notes.not_checked))

    def _leave_lane(self) -> None:
        """Ends the lane; what the guards have to say comes with the last words."""
        failed = self._end is None or self._exit_code != 0
        self.notes.notes += [*self._guards.close(failed=failed), *self._guards.notes]

    def _tell_ci(self) -> None:
        if github.is_there(self.environment):
            findings = self._judgement.findings if self._judgement is not None else ()
            has_report = self.results is not None and "markdown" in self._files
            report = self.results.file("markdown") if has_report and self.results is not None else None
            github.tell(self.environment, findings, report, self.notes)

    # The end.

    @property
    def _exit_code(self) -> int:
        """The command's, unless it passed and the gate doesn't."""
        code = 0 if self._end is None else self._end.exit_code
        if code or not self.request.fail_on:
            return code
        return EXIT_CODES["incomplete" if self._judgement is None else self._judgement.verdict]

    def _finish(self) -> RunOutcome:
        """Writes the index, says the last words, and waits for a command that doesn't end."""
        if self._end is None:
            self._write_index()
            self._say_last_words()
            while self._end is None:
                self._news.get()
            self._note_end()
        self.facts = replace(self.facts, exit_code=self._exit_code)
        self._write_index()
        self._say_last_words()
        by_ctrl_c = self._end.signal == self.relay.first == signal.SIGINT and not self.relay.has_forwarded
        return RunOutcome(self._exit_code, interrupted=by_ctrl_c)

    def _say_last_words(self) -> None:
        if self._has_spoken:
            return
        self._has_spoken = True
        with self.notes.spared("the last words"):
            from pgwatch_tests.run import closing_words

            for line in closing_words.lines(self._record(), self._known, self.results, self._exit_code):
                self.tell(line)

    def _write_index(self) -> None:
        if self.results is not None:
            with self.notes.spared("run.json wasn't written"):
                self.results.write(self._record())

    def _record(self) -> RunRecord:
        judgement = self._judgement
        return RunRecord(
            self.facts,
            verdict=None if judgement is None else judgement.verdict,
            fail_on=self.request.fail_on.words,
            findings=() if judgement is None else judgement.findings,
            hangs=tuple(self.hangs),
            not_checked=tuple(self.notes.not_checked),
            notes=tuple(self.notes.notes),
            files=dict(self._files),
            versions={"pgwatch_tests": __version__, "python": platform.python_version()},
        )
