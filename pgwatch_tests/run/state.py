"""The state of a run: what is known of it so far, and its index on disk."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from pgwatch_tests import __version__
from pgwatch_tests.errors import EXIT_CODES
from pgwatch_tests.record.results import FILE_NAMES, ResultKind, ResultsDirectory, RunRecord
from pgwatch_tests.record.run_summary import Hang, RunFacts, TestOutcome
from pgwatch_tests.run.checks.fail_on import Evidence, Judgement
from pgwatch_tests.run.command import surroundings
from pgwatch_tests.run.command.command import CommandEnd
from pgwatch_tests.run.command.signals import SignalRelay
from pgwatch_tests.run.request import Notes, RunRequest, Tell
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.secrets import mask_arguments

REPORT_S = 2.0
"""What is kept of `--grace` for the report."""
_TO_THE_KILL_S = 0.5
"""The report is to be whole a moment before whoever cancels a job kills it."""


class RunState:
    """What the steps of a run share. They set its fields, in their order."""

    def __init__(self, request: RunRequest, tell: Tell, relay: SignalRelay) -> None:
        self.request = request
        self.tell = tell
        self.relay = relay
        self.notes = Notes()
        self.environment = dict(os.environ)
        """Of the command."""
        run = surroundings.run_id_of(self.environment)
        masked = mask_arguments(request.command)
        self.facts = RunFacts(
            run, request.name, masked, datetime.now(UTC), None, None, program_version=__version__
        )
        self.settings: Settings | None = None
        """None if they can't be read: then nothing is watched."""
        self.results: ResultsDirectory | None = None
        """None if there can't be one."""
        self.end: CommandEnd | None = None
        """None as long as the command runs."""
        self.known = Evidence()
        self.judgement: Judgement | None = None
        """None before it is judged, and where nothing is asked to fail."""
        self.hangs: list[Hang] = []
        self.outcomes: tuple[TestOutcome, ...] = ()
        self.files: dict[str, str] = {}

    @property
    def left_s(self) -> float | None:
        """Seconds until whoever has sent a signal kills; None: nobody has."""
        if self.relay.first_at is None:
            return None
        return self.relay.first_at + self.request.grace_s - _TO_THE_KILL_S - time.monotonic()

    @property
    def exit_code(self) -> int:
        """The command's, unless it passed and the gate doesn't."""
        code = 0 if self.end is None else self.end.exit_code
        if code or not self.request.fail_on:
            return code
        return EXIT_CODES["incomplete" if self.judgement is None else self.judgement.verdict]

    def note_files(self, kinds: Iterable[ResultKind]) -> None:
        """Notes which files were written."""
        for kind in kinds:
            self.files[kind] = FILE_NAMES[kind]

    def write_index(self) -> None:
        """Writes `run.json`, which says what is known so far."""
        if self.results is not None:
            with self.notes.spared("run.json wasn't written"):
                self.results.write(self.record())

    def record(self) -> RunRecord:
        """Returns what `run.json` says."""
        judgement = self.judgement
        return RunRecord(
            self.facts,
            verdict=None if judgement is None else judgement.verdict,
            fail_on=self.request.fail_on.words,
            findings=() if judgement is None else judgement.findings,
            hangs=tuple(self.hangs),
            not_checked=tuple(self.notes.not_checked),
            notes=tuple(self.notes.notes),
            plugin_findings=() if self.known.plugin is None else self.known.plugin.findings,
            files=dict(self.files),
            versions={"pgwatch_tests": __version__, "python": platform.python_version()},
        )
