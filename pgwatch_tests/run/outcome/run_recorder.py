"""The recorder beside a run: its process, its marks, and what it saw, once the command has ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pgwatch_tests.record.model import MarkKind, RecordingHeader
from pgwatch_tests.record.recorder_process import RecorderProcess
from pgwatch_tests.record.results import ResultsDirectory
from pgwatch_tests.record.run_summary import RunFacts
from pgwatch_tests.run.checks.fail_on import Evidence
from pgwatch_tests.run.request import Notes, RunRequest
from pgwatch_tests.settings.load import Settings

_TOO_SHORT = "the command ended before the first poll"
_STOP_S = 5.0
_SHORTEST_STOP_S = 0.1


class RunRecorder:
    """Records one run, from now until `end`. Nothing of it raises."""

    def __init__(
        self, request: RunRequest, facts: RunFacts, settings: Settings, results: ResultsDirectory
    ) -> None:
        self._results = results
        header = RecordingHeader(
            facts.began,
            facts.run,
            facts.shard,
            facts.command,
            facts.machine,
            facts.account,
            program_version=facts.program_version,
            every_s=request.every_s,
            max_bytes=request.max_bytes,
        )
        self._process = RecorderProcess(
            results.recording, header, max_bytes=request.max_bytes, every_s=request.every_s
        )
        self._process.watch(settings.dsn.value, settings.dsn.source, settings.tests)

    def mark(self, kind: MarkKind, text: str = "", at: datetime | None = None) -> None:
        """Leaves a mark, at a time of the server's clock; None: now."""
        self._process.mark(kind, text, at)

    def end(self, known: Evidence, left_s: float | None, notes: Notes) -> Evidence:
        """Ends the recorder, within half of the time that is left; returns what is known with what it saw."""
        if known.leaks is not None:
            self._process.add_leaks(known.leaks)
        trouble = self._process.stop(
            _STOP_S if left_s is None else max(_SHORTEST_STOP_S, min(_STOP_S, left_s / 2))
        )
        if trouble and self._process.polls_seen:
            notes.not_checked.append(f"the recording isn't whole: {trouble}")
        if not self._results.recording.exists():
            notes.not_checked.append(f"nothing was recorded: {trouble or _TOO_SHORT}")
            return known
        with notes.spared("what was recorded can't be read"):
            # Only here: it loads SQLAlchemy.
            from pgwatch_tests.run.outcome import recorded

            known = recorded.evidence(self._results, known, notes)
            if known.waits is None:
                why = self._process.lost or trouble or _TOO_SHORT
                notes.not_checked.append(f"nothing was recorded: {why}")
        return replace(known, recording_trouble=trouble)
