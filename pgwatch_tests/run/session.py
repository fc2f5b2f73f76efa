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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from pgwatch_tests import __version__
from pgwatch_tests.errors import SIGNALLED, PgwatchError
from pgwatch_tests.record.results import ResultsDirectory, RunRecord
from pgwatch_tests.record.run_summary import Hang, RunFacts
from pgwatch_tests.run import surroundings
from pgwatch_tests.run.command import Command, CommandEnd, NotStartedError
from pgwatch_tests.run.fail_on import FailOn
from pgwatch_tests.run.results_place import ResultsPlace
from pgwatch_tests.run.signals import SignalRelay
from pgwatch_tests.settings.load import Flags, Settings
from pgwatch_tests.text.secrets import mask_text

Tell = Callable[[str], None]
"""Shows a line to people: on stderr, since stdout is the command's."""

HOLD_UP_S = 0.4
"""The command starts so many seconds after this process, whether or not everything is ready beside it."""
_REPORT_S = 2.0
"""What is kept of `--grace` for the report."""
_TO_THE_KILL_S = 0.5
"""The report is to be whole a moment before whoever cancels a job kills it."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What `pgwatch-tests run` was asked for. Durations are seconds."""

    command: tuple[str, ...]
    flags: Flags = field(default_factory=Flags)
    directory: Path = Path("pgwatch-results")
    name: str = ""
    """The shard: its results are in a directory of this name below `directory`."""
    since: Path | None = None
    """A baseline's file, instead of one that is taken before the command."""
    any_rows: bool = False
    fail_on: FailOn = field(default_factory=FailOn)
    grace_s: float = 10.0
    every_s: float | None = None
    record: bool = True
    max_bytes: int | None = None
    sweep: bool = False
    junit: tuple[str, ...] = ()
    """Globs of the JUnit files that the command writes."""
    store: str | None = None


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended."""

    exit_code: int
    interrupted: bool = False
    """The terminal's Ctrl-C has ended the command: a shell's loop around us is to end, too."""


@dataclass(slots=True)
class Notes:
    """What is told in the end: what couldn't be recorded or checked, and what is worth knowing."""

    not_checked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def spared(self, what: str) -> Iterator[None]:
        """Lets no error of ours get out: it is told as something that wasn't done."""
        try:
            yield
        except PgwatchError as error:
            self.not_checked.append(f"{what}: {error}")
        except OSError as error:
            self.not_checked.append(f"{what}: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001  # the suite's result counts, not ours
            self.not_checked.append(f"{what}: internal error, please report it: {error!r}")


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
        self._started_s = time.monotonic() - time.process_time()
        """About when this process began."""
        self._news: SimpleQueue[str] = SimpleQueue()
        self._end: CommandEnd | None = None

    def run(self) -> RunOutcome:
        """Does all of it; returns how it ended."""
        with ExitStack() as held:
            self._read_surroundings()
            self._open_results(held)
            self._prepare()
            self._run_command()
            return self._finish()

    # Before the command.

    def _read_surroundings(self) -> None:
        self.facts = surroundings.ci_facts(surroundings.machine_facts(self.facts), self.environment)
        with self.notes.spared("the database wasn't looked at"):
            self.settings, note = surroundings.settings_of(self.request.flags, self.environment, Path.cwd())
            if note:
                self.notes.notes.append(note)

    def _open_results(self, held: ExitStack) -> None:
        """From now on there is a `run.json`: one without an end tells that the run was killed."""
        with self.notes.spared("no results are written"):
            place = ResultsPlace(self.request.directory, self.request.name, self.run_id)
            self.results = place.open(held)
            if place.remark:
                self.tell(place.remark)
            self._write_index()

    def _prepare(self) -> None:
        logs = None if self.results is None else self.results.logs.absolute()
        program = self.request.command[0]
        self.environment = surroundings.command_environment(self.environment, self.run_id, program, logs)

    # The command.

    def _run_command(self) -> None:
        """Starts the command and waits for it; a signal meanwhile is passed on."""
        self.relay.on_end = lambda _number, _count: self._news.put("signal")
        if self.relay.first is not None:
            self._end = CommandEnd(SIGNALLED + self.relay.first, None)
            return
        command = Command(self.request.command, self.environment, self.relay.mask_before)
        try:
            command.start()
        except NotStartedError as error:
            self.tell(str(error))
            self._end = CommandEnd(error.status)
            return
        self.relay.forward_to(command)
        threading.Thread(
            target=self._wait_for, args=[command], name="pgwatch-tests command", daemon=True
        ).start()
        while self._end is None:
            with suppress(Empty):
                self._news.get(timeout=self._until_report_s())

    def _wait_for(self, command: Command) -> None:
        self._end = command.wait()
        self._news.put("end")

    def _until_report_s(self) -> float | None:
        """Seconds until the report has to be written, whether or not the command has ended."""
        left_s = self.left_s
        return None if left_s is None else max(0.05, left_s - _REPORT_S)

    @property
    def left_s(self) -> float | None:
        """Seconds until whoever has sent a signal kills; None: nobody has."""
        if self.relay.first_at is None:
            return None
        return self.relay.first_at + self.request.grace_s - _TO_THE_KILL_S - time.monotonic()

    # After the command.

    def _finish(self) -> RunOutcome:
        end = self._end
        assert end is not None
        exit_code = end.exit_code
        self.facts = replace(self.facts, ended=datetime.now(UTC), exit_code=exit_code, signal=end.signal)
        self._write_index()
        by_ctrl_c = end.signal == self.relay.first == signal.SIGINT and not self.relay.has_forwarded
        return RunOutcome(exit_code, interrupted=by_ctrl_c)

    def _write_index(self) -> None:
        if self.results is not None:
            with self.notes.spared("run.json wasn't written"):
                self.results.write(self._record())

    def _record(self) -> RunRecord:
        return RunRecord(
            self.facts,
            command_exit_code=None if self._end is None else self._end.exit_code,
            fail_on=self.request.fail_on.words,
            hangs=tuple(self.hangs),
            not_checked=tuple(self.notes.not_checked),
            notes=tuple(self.notes.notes),
            versions={"pgwatch_tests": __version__, "python": platform.python_version()},
        )
