"""What `junit --split` does: reads the history, plans, and says what it planned."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgwatch_tests.cli import options
from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.foreign_files import fitting_files, is_pattern
from pgwatch_tests.junit.report_files import STDIN, given_files, read_report_files
from pgwatch_tests.junit.splitting import (
    NO_FILE,
    SplitPlan,
    SplitRunner,
    file_times,
    plan_document,
    plan_split,
)
from pgwatch_tests.text.durations import in_words
from pgwatch_tests.text.numbers import plural

# `  [chrome] › a.spec.ts:3:1 › title`, as `playwright test --list` prints it.
_LISTED = re.compile(
    r"\s*(?:\[[^]]*\]\s+\u203a\s+)?(?P<file>[^\u203a]+?\.[cm]?[jt]sx?)(?::[0-9]+:[0-9]+)?(?:\s+\u203a.*)?"
)


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """What was asked for."""

    files: tuple[Path, ...]
    split: int
    shard: int
    runner: SplitRunner
    history: Path
    plan: Path | None = None


def split(request: SplitRequest) -> tuple[str, SplitPlan]:
    """Returns the lines for the runner, and the plan. Raises ConfigurationError if there is no file."""
    if request.shard > request.split:
        raise ConfigurationError(f"--shard {request.shard} is none of {request.split}")
    files = list(dict.fromkeys(_test_files(request.files)))
    if not files:
        raise ConfigurationError(f"no test file matches {', '.join(map(str, request.files))}")
    reports = []
    if request.history.exists():
        given, _ = given_files([request.history])
        reports = read_report_files((one.path, False) for one in given)
    times = file_times(one for one in reports if one.cases)
    plan = plan_split(files, times, request.split, request.shard, request.runner)
    if request.plan is not None:
        options.emit(plan_document(plan), request.plan)
    options.narrate(_words(plan, request.history))
    # Vitest takes a relative path for a part of any path, an absolute one for the beginning of one.
    is_absolute = request.runner == "vitest"
    own = [str(Path(one).absolute()) if is_absolute else one for one in plan.files]
    return "\n".join(own or [NO_FILE]), plan


def _words(plan: SplitPlan, history: Path) -> str:
    number = plural(len(plan.files), "file")
    whole = f"shard {plan.shard} of {plan.split}: {number} of {len(plan.all_files):,}"
    if not plan.known:
        return f"{whole}, by their number: no times in {history}; digest {plan.digest}"
    unknown = len(plan.all_files) - plan.known
    rest = f", {unknown:,} without a time" if unknown else ""
    return (
        f"{whole}, about {in_words(plan.expected_s)} (ideal: {in_words(plan.ideal_s)}){rest}; "
        f"digest {plan.digest}"
    )


def _test_files(arguments: Sequence[Path]) -> Iterator[str]:
    for argument in arguments:
        if argument == STDIN:
            yield from _listed(sys.stdin)
        elif is_pattern(argument):
            yield from (path.as_posix() for path in fitting_files(argument))
        elif argument.is_file():
            yield argument.as_posix()
        else:
            raise ConfigurationError(f"no test file is {argument}")


def _listed(lines: Iterable[str]) -> Iterator[str]:
    """Files that `vitest list --filesOnly` or `playwright test --list` prints, or any list of them."""
    for line in lines:
        match = _LISTED.fullmatch(line.rstrip())
        if match is not None:
            yield match["file"].strip()
