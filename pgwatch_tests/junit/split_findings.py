"""Findings about shards that `junit --split` has planned: files that ran twice, or never. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pgwatch_tests.junit.splitting import SplitPlan, file_of
from pgwatch_tests.junit.summary import JUnitFinding, ShardReport
from pgwatch_tests.text.numbers import named, plural

_MOST_NAMED = 3


def split_findings(shards: Sequence[ShardReport]) -> Iterator[JUnitFinding]:
    """Yields what is wrong with each set of shards that were planned together."""
    sets: defaultdict[tuple[str, int], list[tuple[ShardReport, SplitPlan]]] = defaultdict(list)
    for shard in shards:
        if shard.plan is not None:
            sets[shard.plan.runner, shard.plan.split].append((shard, shard.plan))
    for planned in sets.values():
        yield from _other_histories(planned)
        yield from _ran_twice(planned)
        yield from _never_ran(planned)


def _other_histories(planned: Sequence[tuple[ShardReport, SplitPlan]]) -> Iterator[JUnitFinding]:
    digests: defaultdict[str, list[str]] = defaultdict(list)
    for shard, plan in planned:
        digests[plan.digest].append(shard.name)
    if len(digests) > 1:
        each = "; ".join(f"{', '.join(names)} by {digest}" for digest, names in digests.items())
        text = (
            f"shards were split by different histories or files ({each}): files may have run twice or never"
        )
        yield JUnitFinding("other_history", "error", text, "", ())


def _ran_twice(planned: Sequence[tuple[ShardReport, SplitPlan]]) -> Iterator[JUnitFinding]:
    where: defaultdict[str, list[str]] = defaultdict(list)
    for shard, plan in planned:
        for file in plan.files:
            where[file].append(shard.name)
    twice = {file: names for file, names in where.items() if len(names) > 1}
    if twice:
        file, names = next(iter(twice.items()))
        text = (
            f"{plural(len(twice), 'file')} ran twice, such as {file} in {' and '.join(names[:_MOST_NAMED])}"
        )
        yield JUnitFinding("ran_twice", "error", text)


def _never_ran(planned: Sequence[tuple[ShardReport, SplitPlan]]) -> Iterator[JUnitFinding]:
    is_complete = {plan.shard for _, plan in planned} == set(range(1, planned[0][1].split + 1))
    if is_complete:  # else what is missing is told as a shard
        given = {file for _, plan in planned for file in plan.files}
        without = sorted({file for _, plan in planned for file in plan.all_files} - given)
        if without:
            text = f"{plural(len(without), 'file')} ran in no shard: {named(without)}"
            yield JUnitFinding("never_ran", "error", text)
    for shard, plan in planned:
        reported = _reported(shard)
        silent = [file for file in plan.files if not _is_reported(file, reported)]
        if silent and all(not one.trouble for one in shard.files):
            text = f"{shard.name}: {plural(len(silent), 'file')} of its own not reported: {named(silent)}"
            yield JUnitFinding("never_ran", "error", text, shard.name)


def _reported(shard: ShardReport) -> Mapping[str, None]:
    names = {file_of(test.case): None for test in shard.tests}
    return names | {name: None for one in shard.files for name in one.empty_suites}


def _is_reported(file: str, reported: Mapping[str, None]) -> bool:
    parts = file.split("/")
    return any("/".join(parts[begin:]) in reported for begin in range(len(parts)))
