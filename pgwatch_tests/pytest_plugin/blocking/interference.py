"""Interference: which tests wrote to tables that a failed test had read. Candidates, never facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pgwatch_tests.pytest_plugin.blocking.words import clock_time
from pgwatch_tests.pytest_plugin.blocking.write_log import LoggedWrite
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

_MOST_CANDIDATES = 5
_MOST_FAILURES = 10
_MOST_TABLES = 5


def candidates(
    writes: Sequence[LoggedWrite], failed: LoggedWrite, began: float
) -> dict[tuple[str, str], LoggedWrite]:
    """Returns the last write of each test that committed to what the failed test had read, while it ran."""
    found: dict[tuple[str, str], LoggedWrite] = {}
    for one in writes:
        if (
            not one.failed
            and began <= one.at <= failed.at
            and one.database == failed.database
            and one.tables & failed.tables
            and (one.owner, one.worker) != (failed.owner, failed.worker)
        ):
            found[one.owner, one.worker] = one
    return found


def lines_of(found: Mapping[tuple[str, str], LoggedWrite], failed: LoggedWrite) -> list[str]:
    """Returns what a failure's section tells of the candidates; empty without any."""
    if not found:
        return []
    number = len(found)
    tests = f"{plural(number, 'other')} committed writes to tables that it had read"
    lines = [f"While it ran, {tests}. What it saw may be the work of 1 of {number}; that is no proof:"]
    for one in list(found.values())[:_MOST_CANDIDATES]:
        shared = ", ".join(sorted(one.tables & failed.tables)[:_MOST_TABLES])
        lines.append(plain(f"  {_who(one)} wrote to {shared}, last at {clock_time(one.at)}"))
    if number > _MOST_CANDIDATES:
        lines.append(f"  … and {number - _MOST_CANDIDATES:,} more")
    return lines


def order_lines(logged: Sequence[LoggedWrite], left: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns what can be said of the order of the tests: who left what a failed test read, who wrote later.

    `left`: the tables in which each test has left rows, by its id.
    """
    writes = [one for one in logged if not one.failed]
    lines: list[str] = []
    told = 0
    for failed in (one for one in logged if one.failed):
        of_test = list(_of_failure(writes, failed, left))
        if of_test and told < _MOST_FAILURES:
            told += 1
            lines += [plain(f"{_who(failed)} failed:"), *(plain(f"  {line}") for line in of_test)]
    return lines


def _of_failure(
    writes: Sequence[LoggedWrite], failed: LoggedWrite, left: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    there = [one for one in writes if one.database == failed.database]
    for table in sorted(failed.tables):
        of_table = [one for one in there if table in one.tables]
        before = [one for one in of_table if one.at <= failed.at]
        others = {
            _who(one): one
            for one in before
            if one.owner != failed.owner
            and any(name.rpartition(".")[2] == table for name in left.get(one.owner, ()))
        }
        if others:
            yield f"it read {table}: {_list(list(others))} had committed to it by then, and left rows there"
        if not before and of_table:
            later = list(dict.fromkeys(_who(one) for one in of_table if one.owner != failed.owner))
            if later:
                yield (
                    f"it read {table}, to which nobody had committed anything in this run by then; "
                    f"{_list(later)} did so later: does it need rows of a test that has to run first?"
                )


def _list(names: Sequence[str]) -> str:
    more = len(names) - 2
    return f"{', '.join(names[:2])}{f' and {more:,} more' if more > 0 else ''}"


def _who(one: LoggedWrite) -> str:
    return f"{one.owner} [{one.worker}]" if one.worker else one.owner
