"""The ladder of attribution: which test left a row, by the first step of confidence that tells. Pure.

1. `marker`: the value carries the test's hash: `user-1717171717171-t1a2b3c4d-x7f3@test.example.com`,
   `booking_1717171717171_t1a2b3c4d_x7f3`. A `t` before the eight hex digits, right after the
   milliseconds: no random hex and no UUID looks so. Updates and other processes don't change it.
2. `transaction`: the test's transaction *inserted* the row. Its id alone doesn't say so: whoever updates
   a row leaves theirs. It does if the transaction changed no older row of the table. That `created_at` is
   its now() proves nothing: an update can set it.
3. `1 of N`: at most five tests that ran when the row came to be: when its value was stamped (by the
   client's clock), else `created_at` (by either clock), else when it was committed (by the server's),
   if rows of the table were only ever inserted. Who updated it is among them where it may have been they.
   Of these, tests that wrote nothing to the table are left out, as far as their statements say, if any did.
   Where rows were only ever inserted, a commit without a known id is known to be one of those tests' whose
   verdicts found the row's id among what may be theirs: these are the tests that the plugin names.
4. `unknown`, with the reason.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pgwatch_tests.identity.known_tests import KnownTests
from pgwatch_tests.identity.value_tokens import parse as parse_token
from pgwatch_tests.leaks.attribution.test_runs import (
    ClockOffset,
    DatabaseIdentity,
    TestRun,
    Written,
    why_unknown,
)
from pgwatch_tests.leaks.attribution.transaction_log import LogFile
from pgwatch_tests.leaks.model import Attribution, Confidence
from pgwatch_tests.text.numbers import plural

MOST_NAMED = 5
CHANGED = "changed a row that was there before"
"""The detail of a verdict on a row that isn't new."""
NO_LOG = "there is no transaction log"
NO_KNOWN_TEST = "a hash of no known test"
"""How the detail ends where a row carries a test's hash."""
# A stamp is cut to milliseconds, and need not be the same reading of the clock as the log's.
_STAMP_SLACK_US = 1_000
_SERVER_SLACK_US = 50_000
_UNMEASURED = ClockOffset(0, 2_000_000)
# A test whose worker was killed has no end: it counts as running for at most this long.
_LONGEST_RUN_US = 24 * 3600 * 1_000_000
_ORDER: Sequence[Confidence] = ("marker", "transaction", "1 of N", "unknown")


@dataclass(frozen=True, slots=True)
class RowOrigin:
    """The origin of a row, as the row itself tells it. Times are µs since 1970."""

    table_oid: int
    tokens: tuple[str, ...] = ()
    """The tokens in its marked values: milliseconds, perhaps with a hash."""
    created_us: int | None = None
    """`created_at`, if that is a point in time (without a time zone it isn't)."""
    xid: int | None = None
    """All 64 bits of its xmin; None if that doesn't tell the writer (in a materialised view)."""
    committed_us: int | None = None
    only_inserted: bool = False
    """Whether it is known that no row of its table was ever written anew."""


@dataclass(frozen=True, slots=True)
class RowVerdict:
    """The verdict on a row. `tests` are none, one, or the N of `1 of N`; `detail` says why it isn't surer."""

    confidence: Confidence
    tests: tuple[str, ...] = ()
    detail: str = ""


def full_xid(xmin: int, near: int) -> int | None:
    """Returns all 64 bits of a 32-bit transaction id; `near` is one of the same age, give or take 2^31.

    None for the ids that stand for no transaction (src/include/access/transam.h). Of a row that was frozen
    2^31 transactions ago, nothing says which epoch it is of.
    """
    if xmin < 3:
        return None
    widened = (near & ~0xFFFFFFFF) | xmin
    if widened - near >= 1 << 31:
        widened -= 1 << 32
    elif near - widened > 1 << 31:
        widened += 1 << 32
    return widened if widened >= 3 else None


class RunsByTime:
    """Test runs by time, for clocks that may differ."""

    def __init__(self, runs: Iterable[TestRun]) -> None:
        by_clock: defaultdict[ClockOffset | None, list[TestRun]] = defaultdict(list)
        for run in runs:
            by_clock[run.clock].append(run)
        self._windows = {clock: _Windows(some) for clock, some in by_clock.items()}

    def at_client_time(self, first_us: int, last_us: int) -> frozenset[str]:
        """The tests that ran then, by the clock of their own machine."""
        return frozenset(test for windows in self._windows.values() for test in windows.at(first_us, last_us))

    def at_server_time(self, time_us: int) -> frozenset[str]:
        """The tests that ran then, by the server's clock."""
        return frozenset(
            test
            for clock, windows in self._windows.items()
            for test in windows.at(*_on_client(time_us, clock))
        )


class AttributionLadder:
    """Judges rows by the logs of transactions, for one database."""

    def __init__(
        self,
        logs: Sequence[LogFile],
        database: DatabaseIdentity | None,
        known: KnownTests,
        commit_times: Mapping[int, int] | None = None,
        since_us: int | None = None,
    ) -> None:
        """`database` is the one that rows are of (None: not known), `commit_times` those of logged xids.

        Where all new and changed rows count, one that came to be before `since_us` was changed: then the
        question is by whom.
        """
        self._since_us = since_us
        here = [
            run
            for log in logs
            if log.database is not None and database is not None and is_same(log.database, database)
            for run in log.runs
        ]
        self._known = known
        # A fixture runs beside all its tests: it is a candidate only if its rows can't be known by their ids.
        self._by_time = RunsByTime(run for run in here if not run.is_fixture or run.unknown)
        self._not_known = sum(run.unknown for run in here)
        self._unknown_ways = frozenset(way for run in here for way in run.unknown_ways)
        # Of a test that was killed, nobody has said what it may have written.
        self._untold = {run.test for run in here if run.may_write is None}
        self._runs: defaultdict[str, list[TestRun]] = defaultdict(list)
        self._perhaps: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
        for run in here:
            self._runs[run.test].append(run)
            for table_and_xid in run.perhaps:
                self._perhaps[table_and_xid].add(run.test)
        self._why_no_times = _why_no_times(logs, database, here)
        self._writers: defaultdict[int, list[tuple[TestRun, Written]]] = defaultdict(list)
        for run in here:
            for written in run.transactions:
                self._writers[written.xid].append((run, written))
        self._committed: defaultdict[int, list[int]] = defaultdict(list)
        for xid, time_us in (commit_times or {}).items():
            if xid in self._writers:
                self._committed[time_us].append(xid)

    def logged_inserts(self, table_oids: Collection[int]) -> list[int]:
        """The logged transactions that may have inserted into any of these tables."""
        return [
            xid
            for xid, writers in self._writers.items()
            if any(w.inserted is not None and not w.inserted.isdisjoint(table_oids) for _, w in writers)
        ]

    def judge(self, row: RowOrigin) -> RowVerdict:
        """Returns the verdict on a row, by the first step that tells."""
        digests, stamps = _parts(row.tokens)
        if self._was_there(row, stamps):
            return self._by_change(row)
        if digests:
            return self._by_marker(digests)
        writers = self._writers_of(row)
        inserters = {run.test for run, written in writers if _is_inserter(written, row.table_oid)}
        if len(inserters) == 1 and len({run.test for run, _ in writers}) == 1:
            return RowVerdict("transaction", tuple(inserters))
        possible = {run.test for run, written in writers if written.may_have_inserted_into(row.table_oid)}
        return self._by_time_of(row, stamps, possible)

    def _was_there(self, row: RowOrigin, stamps: frozenset[int]) -> bool:
        """Whether the row says that it is older than the baseline."""
        since_us = self._since_us
        if since_us is None:
            return False
        if stamps:
            return min(stamps) * 1000 < since_us
        return row.created_us is not None and row.created_us < since_us

    def _by_change(self, row: RowOrigin) -> RowVerdict:
        """Judges by the writer of the row's present version: its transaction id is that of the last
        change."""
        tests = {
            run.test
            for run, written in self._writers_of(row)
            if written.changed is not None and row.table_oid in written.changed
        }
        if len(tests) == 1:
            return RowVerdict("transaction", tuple(tests), CHANGED)
        return RowVerdict("unknown", (), f"{CHANGED}, by no logged transaction")

    def _by_marker(self, digests: frozenset[str]) -> RowVerdict:
        candidates = [self._known.with_digest(one) for one in sorted(digests)]
        unknown = [f"#{one}" for one, tests in zip(sorted(digests), candidates, strict=True) if not tests]
        if unknown:
            return RowVerdict("unknown", (), f"{' '.join(unknown)}: {NO_KNOWN_TEST}")
        tests = {test for some in candidates for test in some}
        if len(tests) == 1:
            return RowVerdict("marker", tuple(tests))
        return _one_of(tests, "carry its hashes")

    def _writers_of(self, row: RowOrigin) -> list[tuple[TestRun, Written]]:
        if row.xid is None:
            return []
        writers = self._writers.get(row.xid, [])
        if not writers and row.committed_us is not None:
            # A subtransaction has its top-level transaction's time, and an id that is later than its id.
            tops = [xid for xid in self._committed.get(row.committed_us, ()) if xid < row.xid]
            writers = self._writers[tops[0]] if len(tops) == 1 else []
            writers = [
                one for one in writers if one[1].inserted is not None and row.table_oid in one[1].inserted
            ]
        return [(run, written) for run, written in writers if _is_possible(written, row)]

    def _by_time_of(self, row: RowOrigin, stamps: frozenset[int], writers: Collection[str]) -> RowVerdict:
        perhaps = self._perhaps_of(row)
        if not stamps and row.created_us is None and (row.committed_us is None or not row.only_inserted):
            if perhaps:
                return self._one_of(perhaps | self._untold, perhaps)
            more = self._not_known
            why = why_unknown(self._unknown_ways)
            unknown = f" ({plural(more, 'commit')} didn't tell all ids{why and ': ' + why})" if more else ""
            return RowVerdict(
                "unknown",
                (),
                "its last writer may only have updated it, and the row has no time of creation"
                if writers
                else f"the row has no time of creation, and no logged transaction inserted it{unknown}",
            )
        if self._why_no_times:
            return RowVerdict("unknown", (), self._why_no_times)
        found: set[str] = set()
        if stamps:
            for stamp_ms in stamps:
                first_us = stamp_ms * 1000
                found |= self._by_time.at_client_time(
                    first_us - _STAMP_SLACK_US, first_us + 999 + _STAMP_SLACK_US
                )
        elif row.created_us is not None:
            # By the server's clock as a default, by the client's if a program filled it in.
            found |= self._by_time.at_server_time(row.created_us)
            found |= self._by_time.at_client_time(
                row.created_us - _STAMP_SLACK_US, row.created_us + _STAMP_SLACK_US
            )
        elif row.committed_us is not None:
            found |= self._by_time.at_server_time(row.committed_us)
        if perhaps:
            return self._one_of(perhaps | (self._untold & found), perhaps)
        if not found:
            return RowVerdict("unknown", (), "no logged test ran when it was created")
        return self._one_of(self._that_may_have_written(found, row.table_oid).union(writers))

    def _perhaps_of(self, row: RowOrigin) -> set[str]:
        """The tests that the row's transaction may be of, if it is the one that inserted the row."""
        if row.xid is None or not row.only_inserted:
            return set()
        return self._perhaps.get((row.table_oid, row.xid), set())

    def _that_may_have_written(self, tests: set[str], table_oid: int) -> set[str]:
        """Those of the tests that may have written to the table; all of them if none may: then it was another
        process of one of them."""
        wrote = {
            test for test in tests if any(run.may_have_written_to(table_oid) for run in self._runs[test])
        }
        return wrote or tests

    def _one_of(self, tests: Collection[str], likely: Collection[str] = ()) -> RowVerdict:
        """One of the tests: the likely ones first, and those with most commits without a known id."""
        unknown = {test: sum(run.unknown for run in self._runs[test]) for test in tests}
        ways = {way for test in tests for run in self._runs[test] for way in run.unknown_ways}
        judged = _one_of(tests, "ran when it was created", why_unknown(ways))
        ordered = sorted(judged.tests, key=lambda test: (test not in likely, -unknown[test], test))
        return replace(judged, tests=tuple(ordered))


def attribution(verdicts: Iterable[RowVerdict], rows: int, rest: str) -> tuple[Attribution, ...]:
    """The verdicts on a table's rows, counted: those known best first; they add up to `rows`.

    Rows without a verdict are unknown, and `rest` says why.
    """
    counts = Counter(verdicts)
    missing = rows - counts.total()
    if missing > 0:
        counts[RowVerdict("unknown", (), rest)] += missing
    ordered = sorted(
        counts.items(),
        key=lambda one: (_ORDER.index(one[0].confidence), -one[1], one[0].tests, one[0].detail),
    )
    return tuple(
        Attribution(
            verdict.tests[0] if verdict.confidence in ("marker", "transaction") else "",
            verdict.confidence,
            count,
            verdict.tests if verdict.confidence == "1 of N" else (),
            verdict.detail,
        )
        for verdict, count in ordered
    )


class _Windows:
    """Runs by one clock, ordered so that those at a time are found without looking at all of them."""

    def __init__(self, runs: Iterable[TestRun]) -> None:
        # If the clock was set back during the test, both readings count.
        windows = sorted((*_window(run), run.test) for run in runs)
        self._begins = [begin for begin, _, _ in windows]
        self._ends = [end for _, end, _ in windows]
        self._tests = [test for _, _, test in windows]
        self._latest_end: list[int] = []
        for end in self._ends:
            self._latest_end.append(max(end, self._latest_end[-1]) if self._latest_end else end)

    def at(self, first_us: int, last_us: int) -> Iterable[str]:
        """The tests of windows that overlap with this one."""
        position = bisect_right(self._begins, last_us) - 1
        while position >= 0 and self._latest_end[position] >= first_us:
            if self._ends[position] >= first_us:
                yield self._tests[position]
            position -= 1


def _window(run: TestRun) -> tuple[int, int]:
    if run.ended_us is None:
        return run.began_us, run.began_us + _LONGEST_RUN_US
    return min(run.began_us, run.ended_us), max(run.began_us, run.ended_us)


def _on_client(time_us: int, clock: ClockOffset | None) -> tuple[int, int]:
    offset = clock or _UNMEASURED
    middle, error = time_us - offset.ahead_us, offset.error_us + _SERVER_SLACK_US
    return middle - error, middle + error


def _parts(tokens: Iterable[str]) -> tuple[frozenset[str], frozenset[int]]:
    """Hashes, and milliseconds."""
    parsed = [token for token in map(parse_token, tokens) if token]
    return (
        frozenset(token.test for token in parsed if token.test),
        frozenset(token.milliseconds for token in parsed),
    )


def _is_possible(written: Written, row: RowOrigin) -> bool:
    """Whether the logged transaction can be the one of that id in this server's history."""
    return row.committed_us is None or written.started_us is None or written.started_us <= row.committed_us


def _is_inserter(written: Written, table_oid: int) -> bool:
    """Whether all that the transaction wrote into a table is new rows."""
    if written.inserted is None or written.changed is None:
        return False
    return table_oid in written.inserted and table_oid not in written.changed


def _one_of(tests: Collection[str], what: str, detail: str = "") -> RowVerdict:
    if len(tests) > MOST_NAMED:
        return RowVerdict("unknown", (), f"more than {MOST_NAMED:,} tests {what}")
    return RowVerdict("1 of N", tuple(sorted(tests)), detail)


def is_same(one: DatabaseIdentity, other: DatabaseIdentity) -> bool:
    """Whether two logs, or a log and a database, are of one database, whatever its name."""
    return (
        bool(one.system_identifier)
        and one.system_identifier == other.system_identifier
        and one.oid == other.oid
    )


def _why_no_times(logs: Sequence[LogFile], database: DatabaseIdentity | None, here: Sequence[TestRun]) -> str:
    """Returns why times can't be matched with tests; empty if they can."""
    if not logs:
        return NO_LOG
    if database is None:
        return "the transaction logs may belong to another database"
    if any(log.damaged and (log.database is None or is_same(log.database, database)) for log in logs):
        return "a transaction log is damaged and may lack tests"
    return "" if here else "the transaction logs belong to other databases"
