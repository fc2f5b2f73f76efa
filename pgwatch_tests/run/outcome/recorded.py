"""What a run does with its recording after its command: evidence for the gate, contention, and the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.history.runs.run_store import RunStore
from pgwatch_tests.record import run_files
from pgwatch_tests.record.events import leak_events
from pgwatch_tests.record.merging.merged import RecordedRun, RunReport, merge
from pgwatch_tests.record.merging.watched import Polls, unwatched, unwatched_s
from pgwatch_tests.record.model import TestSighting
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.replay.contention import RecordedContention
from pgwatch_tests.record.replay.events import ReplayEvents
from pgwatch_tests.record.results import ResultKind, ResultsDirectory, RunRecord
from pgwatch_tests.record.run_summary import TestOutcome
from pgwatch_tests.record.summary import summary_of
from pgwatch_tests.record.whole_names import WholeNames, listed_tests
from pgwatch_tests.reports.contention import contention_json
from pgwatch_tests.reports.runs import run_markdown
from pgwatch_tests.reports.runs.page import document as page
from pgwatch_tests.run.checks.fail_on import Evidence
from pgwatch_tests.run.request import Notes
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.text.durations import in_words


def evidence(results: ResultsDirectory, known: Evidence, notes: Notes) -> Evidence:
    """Returns the evidence with what the recording has, if any poll is in it. Raises RecordingError.

    Polls may begin after the command, or end before it; `notes` gets what is worth knowing of that.
    """
    with Recording.open(results.recording) as recording:
        if not recording.polls:
            return known
        polls = _polls(recording)
        if before_s := polls.missed_before_s:
            notes.notes.append(f"the recording began {in_words(before_s)} after the command")
        after_s, why = polls.missed_after
        if after_s:
            notes.notes.append(f"nothing was recorded in the last {in_words(after_s)} of the command: {why}")
        whole = WholeNames(listed_tests(results.logs))
        return replace(
            known,
            waits=tuple(map(whole.wait, recording.waits())),
            deadlocks=tuple(map(whole.deadlock, recording.deadlocks())),
            unwatched_s=unwatched_s([polls]),
        )


def _polls(recording: Recording) -> Polls:
    return Polls(recording.began, recording.until, recording.marks(), recording.servers)


def known_tests(results: ResultsDirectory) -> frozenset[str]:
    """Returns the tests that were collected, and those that sessions named: whole, or as far as they do."""
    listed = [*listed_tests(results.logs)]
    seen: tuple[TestSighting, ...] = ()
    with suppress(RecordingError), Recording.open(results.recording) as recording:
        seen = recording.tests()
    whole = WholeNames(listed)
    return frozenset((*listed, *(whole.sighting(one).test for one in seen)))


def write_contention(results: ResultsDirectory, known: Evidence) -> Iterator[ResultKind]:
    """Writes what was recorded as `locks --watch` tells it. Raises RecordingError, OSError."""
    if known.waits is None:
        return
    with Recording.open(results.recording) as recording:
        polls = recording.polls
        server = recording.servers[-1] if recording.servers else None
        whole, gaps, _ = unwatched([_polls(recording)])
        since, until = (whole.since, whole.until) if whole else (recording.began, recording.until)
    # The server's log may tell of what came after the last poll.
    ends = [wait.ended or until for wait in known.waits]
    until = max([until, *ends, *(one.at for one in known.deadlocks)])
    waits = sorted(known.waits, key=lambda wait: wait.began)
    deadlocks = sorted(known.deadlocks, key=lambda one: one.at)
    events = ReplayEvents(since, until, tuple(waits), tuple(deadlocks), gaps=gaps)
    version, database = (server.version, server.database) if server else ("", "")
    seen = RecordedContention(events, version, database).until(until, polls)
    results.write_text(results.file("contention"), contention_json.document(seen))
    yield "contention"


def report(
    results: ResultsDirectory, record: RunRecord, known: Evidence, outcomes: Sequence[TestOutcome]
) -> RunReport:
    """Returns the report on this run alone; without a recording, on what is known else."""
    return merge([_run(results, record, known, outcomes)])


def put_on_record(
    settings: Settings,
    results: ResultsDirectory,
    record: RunRecord,
    known: Evidence,
    outcomes: Sequence[TestOutcome],
) -> str:
    """Puts the run's summary into the history; returns a sentence on that. Raises HistoryError."""
    store = RunStore.open(settings)
    addition = store.add(summary_of(_run(results, record, known, outcomes), record.facts))
    return f"put on record in {store.name}: {addition}"


def _run(
    results: ResultsDirectory, record: RunRecord, known: Evidence, outcomes: Sequence[TestOutcome]
) -> RecordedRun:
    # A session's name may have no room for a test's id, which its outcome has.
    run = WholeNames(one.test for one in outcomes).run(run_files.of_results(results, record))
    checked = known.leaks is not None
    leaks = tuple(leak_events(known.leaks)) if known.leaks is not None else ()
    return replace(run, leaks=leaks, leaks_checked=checked, outcomes=tuple(outcomes))


def write_report(results: ResultsDirectory, whole: RunReport) -> Iterator[ResultKind]:
    """Writes the report as Markdown and as a page. Raises OSError."""
    results.write_text(results.file("markdown"), run_markdown.document(whole))
    yield "markdown"
    results.write_text(results.file("html"), page.document(whole))
    yield "html"
