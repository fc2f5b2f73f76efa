"""What is watched over around a run's command: whose the database is, its schema, and hangs.

What the options name is imported when it is needed: a run has to start its command within half a second.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.record.model import MarkKind
from pgwatch_tests.record.run_summary import Hang, RunFacts
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.durations import parse

if TYPE_CHECKING:
    from pgwatch_tests.record.results import ResultsDirectory
    from pgwatch_tests.run.checks.fail_on import Evidence
    from pgwatch_tests.run.database.alone import RunLease
    from pgwatch_tests.run.database.lane import Lane
    from pgwatch_tests.run.hangs.hang_guard import HangGuard
    from pgwatch_tests.run.request import Notes

TOKEN_VARIABLE = "PGWATCH_RUN_TOKEN"
"""The environment variable that tells processes of one `pgwatch-tests run` from those of all others."""

Aloneness = Literal["", "refuse", "wait"]
Note = Callable[[MarkKind, str, datetime | None], None]
"""Notes an event, at a time of the server's clock; None: now."""


@dataclass(frozen=True, slots=True)
class HangLimit:
    """`--hang 30s[=end]`."""

    after_s: float
    ends_root: bool = False


def parse_limit(text: str) -> HangLimit:
    """Reads `30s` or `30s=end`. Raises ValueError."""
    duration, mark, action = text.partition("=")
    after_s = parse(duration)
    if after_s <= 0 or (mark and action.strip() != "end"):
        raise ValueError(f"{text!r} isn't a duration such as 30s, or 30s=end")
    return HangLimit(after_s, ends_root=bool(mark))


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """What was asked for."""

    hang: HangLimit | None = None
    alone: Aloneness = ""
    lane: str | None = None
    """The template of the lane; empty for the database itself, None for no lane."""
    keep: bool = False
    """Whether the lane of a run that failed stays for a day."""
    migrations_hash: str = ""
    migrated: bool = False
    server_log: Path | None = None

    @property
    def come_first(self) -> bool:
        """Whether the command waits for any of it."""
        return bool(self.alone or self.migrations_hash or self.lane is not None)


class RunGuards:
    """The guards of one run. `tell` writes into the job's log, from any thread."""

    def __init__(self, options: GuardOptions, tell: Callable[[str], None]) -> None:
        self._options = options
        self._tell = tell
        self.token = secrets.token_hex(8)
        self.lease: RunLease | None = None
        """Held already, where the run is alone."""
        self.environment: dict[str, str] = {TOKEN_VARIABLE: self.token}
        """What the command gets besides."""
        self.notes: list[str] = []
        self._lane: Lane | None = None
        self._hang_guard: HangGuard | None = None
        self._has_ended = threading.Event()
        self._lock = threading.Lock()

    def come_first(
        self,
        settings: Settings | None,
        facts: RunFacts,
        environ: Mapping[str, str],
        stopped: Callable[[], bool],
    ) -> Settings | None:
        """Does what the command has to wait for. Returns the settings, in the lane if there is one.

        Raises RefusedError if the database isn't to be had, and what connecting raises.
        """
        options = self._options
        if not options.come_first:
            return settings
        if settings is None:
            raise ConfigurationError(
                "the database isn't known: --alone, --lane and --migrations-hash need it"
            )
        if options.migrations_hash:
            self._check_schema(settings, facts, environ)
        if options.lane is not None:
            from pgwatch_tests.run.database.lane import Lane

            self._lane = Lane(settings, options.lane, environ)
            self.environment |= self._lane.environment
            self.notes += [f"the command had a lane, {self._lane.name}, copied from {self._lane.template}"]
            self.notes += self._lane.remarks
            settings = self._lane.settings
        if options.alone:
            from pgwatch_tests.run.database.alone import RunLease, announcement_of

            self.lease = RunLease(settings, announcement_of(facts), self._tell)
            try:
                if self.lease.hold_alone(wait=options.alone == "wait", stopped=stopped):
                    self.lease.keep()
            except BaseException:
                self.close(failed=False)
                raise
        return settings

    def command_began(self, settings: Settings | None, command_pid: int, own_name: str, note: Note) -> None:
        """Begins to watch for hangs, in a thread. `own_name`: see `root_ending.RunProcesses`."""
        limit = self._options.hang
        if limit is None or settings is None:
            return

        def begin() -> None:
            from pgwatch_tests.run.hangs.hang_guard import HangGuard
            from pgwatch_tests.run.hangs.root_ending import RunProcesses

            guard = HangGuard(limit, RunProcesses(command_pid, self.token, own_name), self._tell_lines, note)
            with self._lock:
                if not self._has_ended.is_set():
                    self._hang_guard = guard
                    guard.start(settings)

        threading.Thread(target=begin, name="pgwatch-tests hang guard's start", daemon=True).start()

    def command_ended(self, *, passed: bool) -> tuple[Hang, ...]:
        """Ends the watch for hangs; returns those that were told.

        That nobody did anything for a while is one only where the command was about to hang in the end.
        """
        self._has_ended.set()
        with self._lock:
            guard = self._hang_guard
        if guard is None:
            return ()
        hangs = guard.stop()
        if guard.trouble:
            self.notes.append(f"hangs weren't watched for at the end: {guard.trouble}")
        return tuple(hang for hang in hangs if hang.kind == "blocked" or not passed)

    def read_server_log(
        self,
        settings: Settings | None,
        facts: RunFacts,
        results: ResultsDirectory | None,
        known: Evidence,
        notes: Notes,
        within_s: float | None = None,
    ) -> Evidence:
        """Returns the evidence with what the server's log tells; the recording has it as well from then on.

        Reads for so many seconds at most: the rest is told as not read.
        Raises ConfigurationError, RecordingError.
        """
        if self._options.server_log is None:
            return known
        from pgwatch_tests.run.checks.log_step import read_run_log

        recording = None if results is None or not results.recording.exists() else results.recording
        found, lacking = read_run_log(self._options.server_log, settings, facts.began, recording, within_s)
        notes.notes.append(found.told)
        notes.not_checked += lacking
        return replace(known, waits=found.waits, deadlocks=found.deadlocks)

    def close(self, *, failed: bool) -> list[str]:
        """Drops the lane, or keeps it if that was asked for. Returns sentences on what is left."""
        lane, self._lane = self._lane, None
        if lane is None:
            return []
        said = lane.close(kept=failed and self._options.keep)
        return [said] if said else []

    def _check_schema(self, settings: Settings, facts: RunFacts, environ: Mapping[str, str]) -> None:
        from pgwatch_tests.run.command.surroundings import repository_facts
        from pgwatch_tests.run.database.schema_hash import check_schema, migrations_hash

        folder = Path.cwd()
        wanted = migrations_hash(self._options.migrations_hash, folder, environ)
        branch = repository_facts(facts, folder).branch
        who = ", ".join(filter(None, (branch and f"branch {branch}", f"{facts.account}@{facts.machine}")))
        said = check_schema(settings, wanted, who, migrated=self._options.migrated)
        if said:
            self.notes.append(said)
            self._tell(said)

    def _tell_lines(self, text: str) -> None:
        for line in text.split("\n"):
            self._tell(line)
