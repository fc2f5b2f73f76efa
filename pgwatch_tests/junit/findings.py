"""Findings about shards: killed, missing, empty, torn, stale, contradicting reports. A rule each. Pure.

"No failure in the file" doesn't mean that the runner ended with 0: a killed Vitest leaves 0 bytes, Playwright
nothing or tests that are `skipped`, pytest a case without a name. Only the runner's exit code tells, which
`run.json` has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import chain

from pgwatch_tests.identity.test_ids import likely_id
from pgwatch_tests.junit.report_files import ReportFile
from pgwatch_tests.junit.shard_names import ExpectedShards
from pgwatch_tests.junit.split_findings import split_findings
from pgwatch_tests.junit.summary import FindingKind, JUnitFinding, Level, ShardReport
from pgwatch_tests.junit.verdicts import JUnitTest, is_nameless
from pgwatch_tests.record.merging.merged import RecordedRun
from pgwatch_tests.record.run_summary import RunFacts
from pgwatch_tests.text.numbers import named, plural
from pgwatch_tests.text.plain_text import shortened_middle

_MOST_NAMED = 3
_CLOCK_SLACK = timedelta(seconds=2)
_OTHER_DAY = timedelta(hours=24)
_SIGNALLED = 128
_ON_PURPOSE = frozenset({"skip", "fixme"})
_LEVELS: dict[Level, int] = {"error": 0, "warning": 1, "notice": 2}

Findings = Iterator[JUnitFinding]


def findings_of(
    shards: Sequence[ShardReport], expected: Sequence[ExpectedShards] = (), number: int | None = None
) -> tuple[JUnitFinding, ...]:
    """Returns all findings, errors first; `expected` and `number` say which shards there have to be."""
    reported = frozenset(test.id for shard in shards for test in shard.tests) if _has_runs(shards) else ()
    found = list(chain(_missing(shards, number), *(_ended(shard, reported) for shard in shards)))
    found += chain.from_iterable(map(_of_shard, shards))
    found += chain(_copies(shards), _ran_twice(shards, expected), _other_runs(shards), _other_days(shards))
    found += chain(split_findings(shards), _unknown_exit_codes(shards))
    return tuple(sorted(found, key=lambda one: _LEVELS[one.level]))


def _of_shard(shard: ShardReport) -> Findings:
    for rule in _RULES:
        yield from rule(shard)


def _finding(
    kind: FindingKind, level: Level, shard: ShardReport, words: str, files: Iterable[ReportFile] = ()
) -> JUnitFinding:
    text = f"{shard.name}: {words}" if shard.name else words
    return JUnitFinding(kind, level, text, shard.name, tuple(str(one.path) for one in files))


def _missing(shards: Sequence[ShardReport], number: int | None) -> Findings:
    absent = [shard for shard in shards if not shard.files and shard.run is None]
    for shard in absent:
        yield _finding("missing", "error", shard, "missing: no report and no run of it is there")
    there = len(shards) - len(absent)
    if number is not None and there < number:
        names = ", ".join(shard.name for shard in shards if shard not in absent)
        yield JUnitFinding(
            "missing",
            "error",
            f"{number - there:,} of {plural(number, 'shard')} missing; there: {names or 'none'}",
        )
    elif number is not None and there > number:
        yield JUnitFinding("unexpected", "warning", f"{plural(there, 'shard')} instead of {number:,}")


def _has_runs(shards: Sequence[ShardReport]) -> bool:
    return any(shard.run is not None for shard in shards)


def _ended(shard: ShardReport, reported: Collection[str]) -> Findings:
    """How the shard's command ended, and what of it is reported, in one sentence."""
    kind, words = _ending(shard)
    if kind is None:
        return
    yield _finding(
        kind,
        "error",
        shard,
        "; ".join((words, *_reported(shard), *_file_words(shard), *_last_seen(shard, reported))),
        shard.files,
    )


def _ending(shard: ShardReport) -> tuple[FindingKind | None, str]:
    run, facts = shard.run, None if shard.run is None else shard.run.facts
    if run is not None and facts is not None:
        code = facts.command_exit_code
        signal = facts.signal or (code - _SIGNALLED if code is not None and 128 < code <= 192 else None)
        if signal:
            return "killed", f"ended by signal {signal}"
        if run.recorded.ending == "killed":
            return "killed", "killed before it could say how it ended"
        if run.recorded.ending == "running":
            return "running", "still at work"
        if not shard.files:
            wrote = "its JUnit files aren't among these" if facts.junit_files else "wrote no JUnit file"
            return "no_report", f"{wrote}, {_exit_words(code)}"
        if code and not shard.totals.not_ok:
            return "contradiction", f"{_exit_words(code)}, though no test of it failed"
    if any(is_nameless(case) for one in shard.files for case in one.cases):
        return "stopped", "the run was stopped"
    silent = _silent_skips(shard)
    if silent:
        return (
            "stopped",
            f"the run was stopped: {plural(len(silent), 'test')} unfinished or not begun",
        )
    broken = [one for one in shard.files if one.trouble_kind in ("empty", "torn")]
    if broken:
        kind: FindingKind = "empty" if broken[0].trouble_kind == "empty" else "torn"
        return kind, "the runner seems to have been killed" if kind == "empty" else "the report is torn"
    return None, ""


def _exit_words(code: int | None) -> str:
    return "its exit code isn't known" if code is None else f"exit code {code}"


def _silent_skips(shard: ShardReport) -> list[JUnitTest]:
    """Tests of Playwright that are skipped for no reason: running or not begun as the run was stopped."""
    return [
        test
        for test in shard.tests
        if test.verdict == "skipped"
        and test.case.runner == "playwright"
        and test.case.duration_s is None
        and not test.case.message
        and not any(name in _ON_PURPOSE for name, _ in test.case.properties)
    ]


def _reported(shard: ShardReport) -> Iterator[str]:
    done = len(shard.tests) - len(_silent_skips(shard))
    listed = shard.run.collected if shard.run is not None else 0
    known = max(
        [listed, sum(one.declared or 0 for one in shard.files if one.trouble_kind == "torn")]
        + [len(one.tests) for one in shard.earlier]
        + [len({test.test for test in shard.run.recorded.tests}) if shard.run is not None else 0]
        + [len(shard.tests)]
    )
    if known > done:
        yield f"{done:,} of {'' if listed == known else 'about '}{plural(known, 'test')} reported"
    else:
        yield f"{plural(done, 'test')} reported"


def _file_words(shard: ShardReport) -> Iterator[str]:
    for one in shard.files:
        if one.trouble_kind == "empty":
            yield f"{one.path.name} is empty"
        elif one.trouble_kind == "torn":
            yield (
                f"{one.path.name} ends early"
                if "no element" in one.trouble
                else f"{one.path.name}: {one.trouble}"
            )


def _last_seen(shard: ShardReport, reported: Collection[str]) -> Iterator[str]:
    if shard.run is not None and (names := last_seen(shard.run.recorded, reported)):
        yield f"last seen running: {', '.join(names)}"


def last_seen(run: RecordedRun, reported: Collection[str]) -> list[str]:
    """Returns the tests that a run was at when it ended, at most three; none that any shard has reported.

    A recording is of a server: it has the tests of other shards, too.
    """
    at_work = [] if run.last is None else [one.side.test for one in run.last.sessions if one.side.test]
    names = [test for test in dict.fromkeys(at_work) if test not in reported]
    if not names:
        seen = [one for one in run.tests if one.test not in reported]
        seen.sort(key=lambda one: one.last_active or one.last_seen, reverse=True)
        names = [one.test for one in seen[:1]]
    return names[:_MOST_NAMED]


def _unreadable(shard: ShardReport) -> Findings:
    for one in shard.files:
        if one.trouble_kind in ("refused", "unreadable"):
            yield _finding("unreadable", "error", shard, f"{one.path} can't be read: {one.trouble}", [one])
        elif one.trouble_kind == "growing":
            yield _finding("growing", "error", shard, f"{one.path} is still being written", [one])


def _nothing_ran(shard: ShardReport) -> Findings:
    whole = [one for one in shard.files if not one.trouble]
    if whole and len(whole) == len(shard.files) and not shard.tests:
        yield _finding("no_tests", "error", shard, "its report has no test: nothing ran", whole)
    elif shard.tests and all(test.stands_for == "file" for test in shard.tests):
        number = plural(len(shard.tests), "file")
        yield _finding(
            "no_tests", "warning", shard, f"none of the tests of {number} ran: they can't be loaded"
        )


def _failed_suites(shard: ShardReport) -> Findings:
    """What is in a suite and in no test of it has no name that a reader would look for."""
    names = [test.case.name for test in shard.tests if test.stands_for == "suite"]
    if names:
        yield _finding(
            "suite_failed", "warning", shard, f"failed outside of their tests: {named(names)}", shard.files
        )


def _passed_though_failed(shard: ShardReport) -> Findings:
    if (
        shard.exit_code == 0
        and shard.totals.not_ok
        and shard.run is not None
        and shard.run.recorded.ending == "ended"
    ):
        number = plural(shard.totals.not_ok, "test")
        yield _finding("contradiction", "warning", shard, f"exit code 0, though {number} failed")


def _doubtful_passes(shard: ShardReport) -> Findings:
    """Vitest shows a test whose worker died as passed in 0 s, in a suite of 0 s."""
    spent: defaultdict[str, float] = defaultdict(float)
    for test in shard.tests:
        spent[test.case.suite.name] += test.case.duration_s or 0.0
    doubtful = [
        test
        for test in shard.tests
        if test.verdict == "passed" and test.case.runner == "vitest" and not spent[test.case.suite.name]
    ]
    if doubtful:
        names = named([likely_id(test.case) for test in doubtful])
        text = f"passed in 0 s, as a test does whose worker died: {names}"
        yield _finding("doubtful_pass", "warning", shard, text)


def _stale(shard: ShardReport) -> Findings:
    facts = _facts(shard)
    if facts is None:
        return
    for one in shard.files:
        written = one.last_began or one.modified
        if written is not None and written < facts.began - _CLOCK_SLACK:
            ago = (facts.began - written).total_seconds()
            yield _finding(
                "stale",
                "error",
                shard,
                f"{one.path} is {ago:,.0f} s older than the run's start: it is of another run",
                [one],
            )


def _facts(shard: ShardReport) -> RunFacts | None:
    return None if shard.run is None else shard.run.facts


def _too_few(shard: ShardReport) -> Findings:
    """A run that ended by itself has reported fewer tests than it collected."""
    if shard.run is None or _ending(shard)[0] is not None:
        return
    listed, done = shard.run.collected, len(shard.tests)
    if shard.files and listed > done:
        yield _finding(
            "too_few", "warning", shard, f"{done:,} of {plural(listed, 'collected test')} reported"
        )


def _unexpected(shard: ShardReport) -> Findings:
    if not shard.is_expected:
        yield _finding("unexpected", "warning", shard, "not among the shards that were expected", shard.files)


def _attempts(shard: ShardReport) -> Findings:
    if not shard.earlier:
        return
    verdicts = {_key(test): test.verdict for test in shard.tests}
    failed = {_key(test) for one in shard.earlier for test in one.tests if test.has_failed}
    mended = sum(verdicts.get(key) in ("passed", "flaky") for key in failed)
    is_attempt = shard.attempt > shard.earlier[-1].attempt
    which = f"attempt {shard.attempt} counts" if is_attempt else "it is there twice, the newest counts"
    rest = f"; {plural(mended, 'test')} that had failed passed then" if mended else ""
    lost = [one for one in shard.earlier if len(one.tests) > len(shard.tests)]
    fewer = (
        f"; an earlier one has {len(lost[-1].tests):,} tests, this one {len(shard.tests):,}" if lost else ""
    )
    level: Level = "notice" if is_attempt and not lost else "warning"
    yield _finding("attempts", level, shard, f"{which}{rest}{fewer}", shard.files)


def _key(test: JUnitTest) -> tuple[str, str, str, str]:
    return test.project, test.case.suite.name, test.case.classname, test.case.name


def _second_documents(shard: ShardReport) -> Findings:
    for one in shard.files:
        if any(anomaly.code == "second-document" for anomaly in one.anomalies):
            text = f"{one.path} holds several reports, one after the other: all of them count"
            yield _finding("second_document", "warning", shard, text, [one])


def _copies(shards: Sequence[ShardReport]) -> Findings:
    """The same report in two shards: one of them isn't there."""
    seen: list[tuple[ShardReport, ReportFile]] = []
    for shard in shards:
        for one in shard.files:
            same = (entry for entry in seen if one.is_copy_of(entry[1]) and one.first_began is not None)
            other, before = next(same, (shard, one))
            if other is shard:
                seen.append((shard, one))
                continue
            text = f"{one.path} is a copy of {before.path}, of {other.name}: its own report is missing"
            yield _finding("copy", "error", shard, text, [one, before])


def _ran_twice(shards: Sequence[ShardReport], expected: Sequence[ExpectedShards]) -> Findings:
    """Shards of one kind have to be disjoint; which are of one kind, only `--shards` tells."""
    for kind in expected:
        where: dict[tuple[str, str, str, str], ShardReport] = {}
        twice: list[tuple[JUnitTest, ShardReport]] = []
        for shard in (one for one in shards if one.name in kind.names):
            for test in shard.tests:
                if test.verdict != "skipped" and where.setdefault(_key(test), shard) is not shard:
                    twice.append((test, shard))
        if twice:
            test, shard = twice[0]
            text = (
                f"{plural(len(twice), 'test')} ran in two shards, such as "
                f"{shortened_middle(test.id, 200)} in {where[_key(test)].name} and {shard.name}"
            )
            yield JUnitFinding("ran_twice", "error", f"{kind.kind}: {text}", kind.kind)


def _other_runs(shards: Sequence[ShardReport]) -> Findings:
    """Results of another run of the CI, or of another commit, among those of the newest."""
    of_run = [(shard, facts) for shard in shards if (facts := _facts(shard)) is not None and facts.ci_run]
    if not of_run:
        return
    _, newest = max(of_run, key=lambda one: one[1].began)
    for shard, facts in of_run:
        if facts.ci_run != newest.ci_run:
            text = f"it is of the CI's run {facts.ci_run}, not of {newest.ci_run}"
            yield _finding("other_run", "error", shard, text, shard.files)


def _other_days(shards: Sequence[ShardReport]) -> Findings:
    """Without a run to compare with: tests that began a day before all others did."""
    began = {
        shard.name: max(filter(None, (one.last_began for one in shard.files)), default=None)
        for shard in shards
    }
    newest = max(filter(None, began.values()), default=None)
    for shard in shards:
        moment = began[shard.name]
        if (
            moment is not None
            and newest is not None
            and _facts(shard) is None
            and newest - moment > _OTHER_DAY
        ):
            hours = (newest - moment).total_seconds() / 3600
            text = f"its tests began {hours:,.0f} h before those of other shards: is it of another run?"
            yield _finding("stale", "warning", shard, text, shard.files)


def _unknown_exit_codes(shards: Sequence[ShardReport]) -> Findings:
    unknown = [shard for shard in shards if shard.files and shard.exit_code is None and shard.run is None]
    if unknown:
        whose = f"of {plural(len(unknown), 'shard')}" if len(shards) > 1 else "of the runner"
        text = f"exit codes {whose} aren't known: a crash that its report doesn't show isn't seen"
        yield JUnitFinding("exit_code_unknown", "notice", f"{text} (`pgwatch-tests run` keeps them)")


_RULES: Sequence[Callable[[ShardReport], Findings]] = (
    _unreadable,
    _nothing_ran,
    _failed_suites,
    _passed_though_failed,
    _doubtful_passes,
    _stale,
    _too_few,
    _unexpected,
    _attempts,
    _second_documents,
)
