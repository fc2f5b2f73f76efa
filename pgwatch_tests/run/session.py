"""A run from its beginning to its end: what happens before, beside and after its command, in this order.

The suite comes first: nothing of ours changes its result or holds it up. What goes wrong here is told as "not
checked"; only what `--fail-on` asked for can make an exit code of 0 another one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from pgwatch_tests.errors import SIGNALLED
from pgwatch_tests.record.model import MarkKind
from pgwatch_tests.run.checks.beside import Beside
from pgwatch_tests.run.command import surroundings
from pgwatch_tests.run.command.command import Command, CommandEnd, NotStartedError
from pgwatch_tests.run.command.signals import SignalRelay
from pgwatch_tests.run.ending import RunEnding
from pgwatch_tests.run.guards import RunGuards
from pgwatch_tests.run.outcome.results_place import ResultsPlace
from pgwatch_tests.run.outcome.run_recorder import RunRecorder
from pgwatch_tests.run.request import RunOutcome, RunRequest, Tell
from pgwatch_tests.run.state import REPORT_S, RunState

HOLD_UP_S = 0.4
"""The command starts so many seconds after this process, whether or not everything is ready beside it."""


def run(request: RunRequest, tell: Tell) -> RunOutcome:
    """Runs the command, in the main thread. Raises what a guard that was asked for does, before it starts."""
    with SignalRelay() as relay:
        return RunSession(RunState(request, tell, relay)).run()


class RunSession:
    """One run."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._hold_up_until = time.monotonic() + HOLD_UP_S - _age_s()
        """By then the command starts."""
        self._guards = RunGuards(state.request.guards, state.tell)
        self._recorder: RunRecorder | None = None
        self._beside: Beside | None = None
        self._command: Command | None = None
        """None until it is started."""
        self._news: SimpleQueue[str] = SimpleQueue()

    def run(self) -> RunOutcome:
        """Does all of it; returns how it ended."""
        with ExitStack() as held:
            self._read_surroundings()
            self._come_first(held)
            self._open_results(held)
            self._begin_recording()
            self._begin_beside()
            self._set_environment()
            self._wait_for_what_begins()
            self._run_command()
            ending = RunEnding(self._state, self._recorder, self._guards, self._beside)
            ending.run()
            return self._finish(ending)

    # Before the command.

    def _read_surroundings(self) -> None:
        state = self._state
        state.facts = surroundings.ci_facts(surroundings.machine_facts(state.facts), state.environment)
        with state.notes.spared("the database wasn't looked at"):
            flags = state.request.flags
            state.settings, note = surroundings.settings_of(flags, state.environment, Path.cwd())
            if note:
                state.notes.notes.append(note)

    def _come_first(self, held: ExitStack) -> None:
        """Does what the command has to wait for. Raises what keeps it from being started."""
        state = self._state
        held.callback(self._guards.close, failed=True)
        state.settings = self._guards.come_first(
            state.settings, state.facts, state.environment, lambda: state.relay.first is not None
        )
        if state.request.guards.come_first:
            self._hold_up_until = time.monotonic() + HOLD_UP_S
        state.environment |= self._guards.environment

    def _open_results(self, held: ExitStack) -> None:
        """From now on there is a `run.json`: one without an end tells that the run was killed."""
        state = self._state
        with state.notes.spared("no results are written"):
            place = ResultsPlace(state.request.directory, state.request.name, state.facts.run)
            results = place.open(held)
            results.write(state.record())
            state.results = results
            if place.remark:
                state.tell(place.remark)

    def _begin_recording(self) -> None:
        """Starts the recorder's process, which has its imports to do meanwhile."""
        state = self._state
        if not state.request.record or state.settings is None or state.results is None:
            return
        with state.notes.spared("nothing was recorded"):
            self._recorder = RunRecorder(state.request, state.facts, state.settings, state.results)

    def _begin_beside(self) -> None:
        """Begins with the lease and the baseline, which the command doesn't wait for."""
        state = self._state
        if state.settings is None:
            return
        with state.notes.spared("no lease was held, and no baseline taken"):
            self._beside = Beside(state.settings, state.facts, state.tell, self._guards.lease)

    def _set_environment(self) -> None:
        state = self._state
        logs = None if state.results is None else state.results.logs.absolute()
        program = state.request.command[0]
        state.environment = surroundings.command_environment(
            state.environment, state.facts.run, program, logs
        )

    def _wait_for_what_begins(self) -> None:
        if self._beside is not None:
            self._beside.wait(self._hold_up_until)
            self._beside.command_begins()
        if self._recorder is not None:
            self._recorder.mark("command_began")

    # The command.

    def _run_command(self) -> None:
        """Starts the command and waits for it; a signal meanwhile is passed on."""
        state = self._state
        state.relay.on_end = self._note_signal
        if state.relay.first is not None:
            state.end = CommandEnd(SIGNALLED + state.relay.first, None)
            return
        command = Command(state.request.command, state.environment, state.relay.mask_before)
        try:
            command.start()
        except NotStartedError as error:
            state.tell(str(error))
            state.end = CommandEnd(error.status)
            return
        self._command = command
        state.relay.forward_to(command)
        threading.Thread(
            target=self._wait_for, args=[command], name="pgwatch-tests command", daemon=True
        ).start()
        with state.notes.spared("hangs weren't looked for"):
            own_name = surroundings.own_session_name(state.environment)
            self._guards.command_began(state.settings, command.pid, own_name, self._note)
        with state.notes.spared("the commit wasn't looked up"):
            state.facts = surroundings.repository_facts(state.facts, Path.cwd())
        while state.end is None:
            left_s = state.left_s
            if left_s is not None and left_s <= REPORT_S:
                # Whoever has signalled is about to kill us, and the command doesn't end.
                return
            with suppress(Empty):
                self._news.get(timeout=None if left_s is None else left_s - REPORT_S)

    def _note_signal(self, number: signal.Signals, _count: int) -> None:
        if self._recorder is not None:
            self._recorder.mark("signal", number.name)
        self._news.put("signal")

    def _wait_for(self, command: Command) -> None:
        self._state.end = command.wait()
        self._news.put("end")

    def _note(self, kind: MarkKind, text: str, at: datetime | None) -> None:
        """Has the recording tell an event. For any thread."""
        if self._recorder is not None:
            self._recorder.mark(kind, text, at)

    # The end.

    def _finish(self, ending: RunEnding) -> RunOutcome:
        """Writes the index, says the last words, and waits for a command that doesn't end."""
        state = self._state
        if state.end is None:
            state.write_index()
            ending.say_last_words()
            while state.end is None:
                self._news.get()
            ending.note_end()
        state.facts = replace(state.facts, exit_code=state.exit_code)
        state.write_index()
        ending.say_last_words()
        by_ctrl_c = state.end.signal == state.relay.first == signal.SIGINT
        return RunOutcome(state.exit_code, interrupted=by_ctrl_c and not state.relay.has_forwarded)


def _age_s() -> float:
    """Seconds since this process began: its imports have held the command up already."""
    with suppress(OSError, ValueError, AttributeError):
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        began_s = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")  # proc_pid_stat(5)
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began_s)
    return time.process_time()
