"""What `junit` reads: the files, the results directories beside them, and both put together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pgwatch_tests.cli import options
from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.foreign_files import files_below, fixed_part, is_directory, read_text
from pgwatch_tests.junit.database_facts import with_database
from pgwatch_tests.junit.findings import findings_of
from pgwatch_tests.junit.report_files import (
    STDIN,
    GivenFile,
    ReportFile,
    given_files,
    read_report_files,
)
from pgwatch_tests.junit.shard_names import ExpectedShards
from pgwatch_tests.junit.shards import shards_of
from pgwatch_tests.junit.splitting import PLAN_NAME, SplitPlan, read_plan
from pgwatch_tests.junit.summary import JUnitFinding, JUnitSummary, ShardRun
from pgwatch_tests.record.merging.merged import RecordedRun, Unreadable
from pgwatch_tests.record.results import RUN_NAME

_RESULTS = "pgwatch-results"
_RECORDING = ".pgwatch"
"""The suffix of recordings, as in `run_files`, which takes long to load."""


@dataclass(frozen=True, slots=True)
class JUnitRequest:
    """What was asked for."""

    files: tuple[Path, ...]
    expected: tuple[ExpectedShards, ...] = ()
    number: int | None = None
    """How many shards there have to be; None: nobody says."""
    results: tuple[Path, ...] = ()
    """Where results directories are; none: beside the files."""
    output: Path | None = None


def summarise(request: JUnitRequest) -> JUnitSummary:
    """Reads all that was asked for. Raises ConfigurationError if neither a report nor a run is there."""
    given, nothing = given_files(request.files)
    given = [one for one in given if not _is_output(one, request.output) and not _is_our_own(one)]
    runs, damaged = _runs(request, given)
    if not given and not any(run.facts for run in runs):
        raise ConfigurationError("; ".join(nothing) or _no_report(request))
    for words in nothing:
        options.narrate(words)
    opened = read_report_files((one.path, one.is_named) for one in given)
    read = list(zip(given, opened, strict=True))
    read = [(one, report) for one, report in read if _is_meant(one, report)]
    if not read and not any(run.facts for run in runs):
        raise ConfigurationError(_no_report(request))
    files: list[GivenFile] = [one for one, _ in read]
    reports: list[ReportFile] = [report for _, report in read]
    shards = shards_of(files, reports, runs, request.expected, _plans(files))
    shards = with_database(shards, [run.recorded for run in runs])
    findings = findings_of(shards, request.expected, request.number)
    return JUnitSummary(tuple(shards), (*map(_of_damaged_index, damaged), *findings))


def _no_report(request: JUnitRequest) -> str:
    return f"no JUnit report is in {', '.join(map(str, request.files))}"


def _is_output(one: GivenFile, output: Path | None) -> bool:
    if output is None or one.path == STDIN:
        return False
    is_it = False
    with suppress(OSError):  # it isn't there yet, or can't be written
        is_it = output.samefile(one.path)
    if is_it and one.is_named:
        raise ConfigurationError(f"{output} is an input: name another file for -o")
    return is_it


def _is_meant(one: GivenFile, report: ReportFile) -> bool:
    """Whether it is a shard's: a pattern may match what was merged before, a directory holds other XML."""
    if report.runner == "merged":
        return one.is_named
    return one.given_as != "directory" or report.trouble_kind != "refused"


def _is_our_own(one: GivenFile) -> bool:
    """Whether it is what `run` wrote of its own checks, beside its `run.json`, which says the same."""
    return not one.is_named and one.path.name == "junit.xml" and (one.path.parent / RUN_NAME).exists()


def _of_damaged_index(one: Unreadable) -> JUnitFinding:
    """Whose index can't be read may have been killed."""
    index = Path(one.name) / RUN_NAME
    text = f"{index} can't be read: {one.reason}; how that run ended isn't known"
    return JUnitFinding("unreadable", "error", text, files=(str(index),))


def _runs(request: JUnitRequest, given: Sequence[GivenFile]) -> tuple[list[ShardRun], list[Unreadable]]:
    """The runs whose results are there, and those whose index can't be read."""
    below = list(request.results or _named_directories(request.files, given))
    beside = [] if request.results else [one for one in _beside(given) if not _is_in(one, below)]
    if not below and not beside:
        return [], []
    # Only here: most reports have no recording to read.
    from pgwatch_tests.record import run_files

    found: list[ShardRun] = []
    damaged: list[Unreadable] = []
    for places, is_by_chance in ((below, False), (beside, True)):
        runs, unreadable = run_files.read(places)
        for one in unreadable:
            if os.path.lexists(Path(one.name) / RUN_NAME):
                damaged.append(one)
            elif request.results:
                options.narrate(f"{one.name}: {one.reason}")
        found += [_shard_run(run, is_by_chance) for run in runs]
    return found, damaged


def _shard_run(run: RecordedRun, is_by_chance: bool) -> ShardRun:
    from pgwatch_tests.record.results import ResultsDirectory
    from pgwatch_tests.record.whole_names import listed_tests

    path = Path(run.name)
    collected = len(set(listed_tests(ResultsDirectory(path).logs))) if path.is_dir() else 0
    return ShardRun(run, collected, is_by_chance)


def _named_directories(arguments: Sequence[Path], given: Sequence[GivenFile]) -> list[Path]:
    """The directories that were named, and have results of runs somewhere below.

    A shard that was killed may have left its results, and no report. A directory is named by itself, by a
    pattern for what is below it, or as that of several files.
    """
    bases = [one if is_directory(one) else fixed_part(one) for one in arguments if _names_directory(one)]
    folders = {one.path.parent.resolve() for one in given if one.is_named and one.path != STDIN}
    here = os.path.realpath(Path())
    if len(folders) > 1 and (common := Path(os.path.commonpath(folders))).is_relative_to(here):
        bases.append(common)
    found = {os.path.realpath(base): base for base in bases if is_directory(base)}
    # The working directory is the repository: all of it is too much to look through.
    too_much = {here, *map(str, Path(here).parents)}
    return [
        base
        for real, base in found.items()
        if real not in too_much and any(files_below(base, RUN_NAME, _RECORDING))
    ]


def _names_directory(argument: Path) -> bool:
    """Whether it is a directory, or a pattern for files in several."""
    return is_directory(argument) or len(argument.parts) > len(fixed_part(argument).parts) + 1


def _beside(given: Iterable[GivenFile]) -> list[Path]:
    """Results directories in the files' own directories, and in those above, up to the root."""
    found: dict[str, Path] = {}
    for one in given:
        for folder in _folders(one):
            for place in (folder, folder / _RESULTS):
                if (place.name == _RESULTS and place.is_dir()) or (place / RUN_NAME).exists():
                    found.setdefault(os.path.realpath(place), place)
    return list(found.values())


def _is_in(place: Path, directories: Iterable[Path]) -> bool:
    return any(Path(os.path.realpath(place)).is_relative_to(os.path.realpath(one)) for one in directories)


def _folders(one: GivenFile) -> Iterator[Path]:
    """The directory of the file, and those above it, up to the root of what was asked for."""
    if one.path == STDIN:
        return
    root = os.path.realpath(one.root)
    folder = one.path.parent
    while True:
        yield folder
        if os.path.realpath(folder) == root or folder == folder.parent:
            return
        folder = folder.parent


def _plans(given: Iterable[GivenFile]) -> dict[Path, SplitPlan]:
    """What `--split` has planned for the shard of each file, where it lies beside it or above."""
    found = {}
    for one in given:
        for folder in _folders(one):
            with suppress(OSError, UnicodeDecodeError):
                if plan := read_plan(read_text(folder / PLAN_NAME)):
                    found[one.path] = plan
                    break
    return found
