"""Recordings and results directories on disk, read whole for a report. What can't be read stops nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

from pgwatch_tests.errors import RecordingError
from pgwatch_tests.foreign_files import SKIPPED, fitting, is_pattern, read_bytes
from pgwatch_tests.leaks.model import Confidence
from pgwatch_tests.record.last_picture import last_picture
from pgwatch_tests.record.merging.merged import Ending, RecordedRun, Unreadable
from pgwatch_tests.record.merging.watched import Polls, unwatched_s
from pgwatch_tests.record.model import LeakEvent, Mark, RecordingHeader
from pgwatch_tests.record.recording.layout import BESIDE
from pgwatch_tests.record.recording.reader import Recording
from pgwatch_tests.record.results import RUN_NAME, ResultsDirectory, RunRecord
from pgwatch_tests.record.run_summary import Hang, RunFacts
from pgwatch_tests.record.whole_names import WholeNames, listed_tests

SUFFIX = ".pgwatch"
_DEEPEST = 8
_WRITTEN_WITHIN_S = 15.0
"""A recorder writes every few seconds: a file that it hasn't written to for so long has none any more."""
_TOLD_WITHIN = timedelta(minutes=1)
"""A signal that was sent longer before the end has nothing to do with it: Ctrl-C in a debugger."""
_CONFIDENCES: tuple[Confidence, ...] = ("marker", "transaction", "1 of N", "unknown")


def read(paths: Iterable[Path]) -> tuple[list[RecordedRun], list[Unreadable]]:
    """The runs of these files and directories, each once, and what couldn't be read.

    A directory may be that of one run, or hold those of many, such as the artifacts of a CI's shards. A
    pattern that no shell has expanded (`'artifacts/*/'`) stands for what fits it.
    """
    runs: dict[Path, RecordedRun | None] = {}
    unreadable: list[Unreadable] = []
    for path in chain.from_iterable(map(_expanded, paths)):
        try:
            found = list(_found(path))
            if not found:
                unreadable.append(Unreadable(str(path), "no run and no recording in it"))
        except OSError as error:
            unreadable.append(Unreadable(str(path), error.strerror or str(error)))
            continue
        for one in found:
            key = Path(os.path.realpath(one))
            if key in runs:
                continue
            runs[key] = None
            try:
                runs[key] = _run(one) if one.is_dir() else _recording(one)
            except RecordingError as error:
                unreadable.append(Unreadable(str(one), _without_path(error, one)))
            except PermissionError as error:
                unreadable.append(Unreadable(str(one), error.strerror or str(error)))
    return [run for run in runs.values() if run is not None], unreadable


def recordings(paths: Iterable[Path]) -> list[Path]:
    """The recordings among these files, and in these directories, each once. Raises RecordingError."""
    found: dict[Path, Path] = {}
    for path in chain.from_iterable(map(_expanded, paths)):
        try:
            inside = list(_found(path)) if os.path.exists(path) else [path]  # noqa: PTH110  # raises nothing
        except OSError as error:
            raise RecordingError(f"{path} can't be read: {error.strerror or error}") from None
        files = [ResultsDirectory(one).recording if one.is_dir() else one for one in inside]
        files = [one for one in files if one == path or one.exists()]
        if not files:
            raise RecordingError(f"no recording is in {path}")
        found |= {Path(os.path.realpath(one)): one for one in files}
    return list(found.values())


def _expanded(path: Path) -> Sequence[Path]:
    return (fitting(path) if is_pattern(path) else []) or [path]


def _found(path: Path) -> Iterator[Path]:
    """The results directories and the recordings beside them, at or below `path`. Raises OSError.

    A file beside the index of a run stands for the whole run, and what SQLite keeps beside a recording for
    that: a shell's `results/*` finds what `results` does.
    """
    path.stat()
    if path.is_dir():
        inside = list(_below(path, _DEEPEST))
        yield from inside or ([path.parent] if ResultsDirectory(path.parent).index.is_file() else [])
        return
    recording = _recording_beside(path)
    results = ResultsDirectory(recording.parent)
    is_another = recording.suffix == SUFFIX and recording != results.recording
    yield results.path if results.index.is_file() and not is_another else recording


def _recording_beside(path: Path) -> Path:
    """The recording that a file of SQLite's is beside, else the file itself."""
    for end in BESIDE:
        recording = path.with_name(path.name.removesuffix(end))
        if recording != path and recording.suffix == SUFFIX and recording.is_file():
            return recording
    return path


def _below(directory: Path, deepest: int) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    names = {entry.name for entry in ordered}
    results = ResultsDirectory(directory)
    if RUN_NAME in names:
        yield directory
    for entry in ordered:
        path = directory / entry.name
        if entry.name.endswith(SUFFIX) and entry.is_file():
            if not (RUN_NAME in names and path == results.recording):
                yield path
        elif deepest and entry.is_dir(follow_symlinks=False) and _may_hold_runs(entry.name):
            try:
                yield from _below(path, deepest - 1)
            except PermissionError:
                yield path  # what is in it isn't known: it is named among what can't be read


def _may_hold_runs(name: str) -> bool:
    return not name.startswith(".") and name not in SKIPPED


def _run(directory: Path) -> RecordedRun:
    """A results directory, perhaps without its recording. Raises RecordingError if it says nothing."""
    results = ResultsDirectory(directory)
    try:
        record = results.read()
    except RecordingError as error:
        if not results.recording.exists():
            raise
        run = _recording(results.recording)
        return replace(run, not_checked=(*run.not_checked, _sentence(_without_path(error, directory))))
    return of_results(results, record)


def of_results(results: ResultsDirectory, record: RunRecord) -> RecordedRun:
    """A results directory with that index; without its recording, what the rest says."""
    ending: Ending = "ended"
    if record.facts.ended is None:
        ending = "running" if results.is_in_use else "killed"
    missing: list[str] = []
    run = RecordedRun(str(results.path))
    if results.recording.exists():
        try:
            run = _recording(results.recording, with_picture=ending != "ended" or _was_hit(record))
        except RecordingError as error:
            missing.append(
                _sentence(f"The recording can't be read: {_without_path(error, results.recording)}")
            )
    else:
        missing.append("Nothing was recorded.")
    run = WholeNames(listed_tests(results.logs)).run(run)
    leaks = run.leaks if run.leaks_checked else _leaks_of_document(results.file("leaks"))
    return replace(
        run,
        name=str(results.path),
        facts=record.facts,
        ending=ending,
        leaks=leaks or (),
        leaks_checked=leaks is not None,
        hangs=record.hangs or run.hangs,
        plugin_findings=record.plugin_findings,
        not_checked=tuple(dict.fromkeys((*record.not_checked, *missing, *run.not_checked))),
    )


def _was_hit(record: RunRecord) -> bool:
    """Whether the suite was ended, or hung."""
    return record.facts.signal is not None or bool(record.hangs)


def _recording(path: Path, *, with_picture: bool | None = None) -> RecordedRun:
    """A recording alone. Raises RecordingError. None: with its last picture if it wasn't ended."""
    with Recording.open(path) as recording:
        is_whole = recording.is_whole
        ending: Ending = "ended" if is_whole else "running" if _is_being_written(path) else "killed"
        marks = recording.marks()
        report = recording.leak_report()
        polls = recording.polls
        snapshot = None
        if polls and (with_picture if with_picture is not None else not is_whole):
            snapshot = recording.at(_last_work(marks, recording.until))
        return RecordedRun(
            name=str(path),
            facts=_facts(recording.header, marks),
            servers=recording.servers,
            began=recording.began if polls else None,
            until=recording.until if polls else None,
            ending=ending,
            is_whole=is_whole,
            polls=polls,
            watched_s=recording.watched_s,
            unwatched_s=_unwatched_s(recording, marks),
            waits=recording.waits(),
            deadlocks=recording.deadlocks(),
            tests=recording.tests(),
            marks=marks,
            leaks=recording.leaks(),
            leaks_checked=report is not None,
            leak_report=report,
            hangs=tuple(Hang(mark.at, 0.0, mark.text) for mark in marks if mark.kind == "hang"),
            not_checked=tuple(_sentence(mark.text) for mark in marks if mark.kind == "thinned" and mark.text),
            last=last_picture(snapshot) if snapshot is not None else None,
            fleet_server=recording.header.server,
            fleet_part=recording.header.part,
        )


def _unwatched_s(recording: Recording, marks: Sequence[Mark]) -> float:
    """The gaps as a report has them; without a poll, all of the recording's time."""
    if not recording.polls:
        return recording.unwatched_s
    return unwatched_s([Polls(recording.began, recording.until, marks, recording.servers)])


def _last_work(marks: Sequence[Mark], until: datetime) -> datetime:
    """When a suite that was ended was last at work: as it was told to end, else at its end.

    What is seen later is its clean-up, and ours.
    """
    ends = [mark.at for mark in marks if mark.kind == "command_ended"]
    end = ends[-1] if ends else until
    told = [mark.at for mark in marks if mark.kind == "signal" and end - _TOLD_WITHIN <= mark.at <= end]
    return min([*told, end, until])


def _is_being_written(path: Path) -> bool:
    ahead = Path(f"{path}-wal")
    with suppress(OSError):
        return time.time() - max(ahead.stat().st_mtime, path.stat().st_mtime) < _WRITTEN_WITHIN_S
    return False


def _facts(header: RecordingHeader, marks: Sequence[Mark]) -> RunFacts | None:
    """What a recording says of the run that it is of; None of a recorder alone."""
    if not header.run:
        return None
    ended = [mark for mark in marks if mark.kind == "command_ended"]
    return RunFacts(
        run=header.run,
        shard=header.shard,
        command=header.command,
        began=header.began,
        ended=ended[-1].at if ended else None,
        exit_code=None,
        machine=header.machine,
        account=header.account,
        pid=header.pid,
        program_version=header.program_version,
    )


def _leaks_of_document(path: Path) -> tuple[LeakEvent, ...] | None:
    """What a `leaks.json` beside a run without a recording says; None if there is none that can be read."""
    try:
        content = json.loads(read_bytes(path))
        if content["schema"] != "pgwatch-tests.leaks/1":
            return None
        return tuple(_leaks(content))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _leaks(content: dict[str, list[dict[str, object]]]) -> Iterator[LeakEvent]:
    for table in content["tables"]:
        name = f"{table['schema']}.{table['table']}"
        known = table["attribution"] or [{"test": None, "confidence": "unknown", "rows": table["rows"]}]
        if not isinstance(known, list):
            raise TypeError("attribution is a list")
        for one in known:
            candidates = tuple(map(str, one.get("candidates") or ()))
            [confidence] = [word for word in _CONFIDENCES if word == one["confidence"]]
            detail = str(one.get("detail") or "")
            yield LeakEvent("rows", name, int(one["rows"]), one["test"] or "", confidence, candidates, detail)
    for left in content["leftovers"]:
        test = str(left["test"] or "")
        confidence = "marker" if test else "unknown"
        yield LeakEvent(str(left["kind"]), str(left["name"]), 1, test, confidence, (), str(left["detail"]))


def _without_path(error: RecordingError, path: Path) -> str:
    """The error's message without the path that is named beside it."""
    return str(error).removeprefix("the recording ").removeprefix(f"{path}: ").removeprefix(f"{path} ")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."
