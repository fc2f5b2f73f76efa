"""Shards of a CI run: names, attempts, runs, and what is found about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.identity.junit_cases import JUnitCase, Suite, Trouble
from pgwatch_tests.junit.database_facts import with_database
from pgwatch_tests.junit.findings import findings_of
from pgwatch_tests.junit.report_files import GivenFile, ReportFile
from pgwatch_tests.junit.shard_names import names_of, parse_expected
from pgwatch_tests.junit.shards import shards_of
from pgwatch_tests.junit.summary import JUnitFinding, ShardReport, ShardRun
from pgwatch_tests.record.merging.merged import LastPicture, LastSession, RecordedRun
from pgwatch_tests.record.model import LeakEvent, TestSighting
from tests.record import made_events
from tests.record.made_events import at, deadlock, facts, server, side, wait

HOME = Path("/ci")
NO = (Trouble("failure", "expected 1 to be 2", ""),)


def given(*names: str) -> list[GivenFile]:
    return [GivenFile(HOME / name, HOME, "pattern") for name in names]


def case(name: str, troubles: tuple[Trouble, ...] = (), *, time_s: float | None = 1.0) -> JUnitCase:
    suite = Suite("a.test.ts", "host", at(5).isoformat(), "vitest")
    return JUnitCase(name, "a.test.ts", "", suite, time_s, troubles)


def report(name: str, *cases: JUnitCase, began: float | None = 5.0, trouble: str = "") -> ReportFile:
    moment = None if began is None else at(began)
    kind: Literal["", "torn"] = "torn" if trouble else ""
    return ReportFile(
        HOME / name, cases, trouble, kind, "vitest", None, 1, (), moment, moment, size=len(cases)
    )


def run_of(shard: str, code: int | None = 0, **changes: object) -> ShardRun:
    """A run in `<shard>/results`, which began at 0."""
    of = replace(facts(shard, exit_code=code), command_exit_code=code, began=at(0))
    of = replace(of, **{key: value for key, value in changes.items() if hasattr(of, key)})  # type: ignore[arg-type]
    rest = {key: value for key, value in changes.items() if not hasattr(of, key)}
    recorded = RecordedRun(str(HOME / shard / "results"), of, servers=(server(),))
    return ShardRun(replace(recorded, **rest))  # type: ignore[arg-type]


def shards(
    reports: Sequence[ReportFile], runs: Sequence[ShardRun] = (), expected: str = ""
) -> tuple[list[ShardReport], list[JUnitFinding]]:
    kinds = parse_expected(expected) if expected else ()
    found = shards_of(given(*(str(one.path.relative_to(HOME)) for one in reports)), reports, runs, kinds)
    return found, list(findings_of(found, kinds))


def told(findings: Sequence[JUnitFinding]) -> dict[str, str]:
    return {one.kind: one.text for one in findings if one.kind != "exit_code_unknown"}


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["junit-e2e-1/junit.xml", "junit-e2e-2/junit.xml"], ["e2e-1", "e2e-2"]),
        (["integration-1.xml", "integration-2.xml"], ["integration-1", "integration-2"]),
        (["test-results-unit-1/reports/junit.xml", "e2e/output/results.xml"], ["unit-1", "e2e"]),
        (["a/target/surefire-reports/TEST-x.xml", "a/target/surefire-reports/TEST-y.xml"], ["a", "a"]),
        (["e2e-2-attempt-2/junit.xml", "e2e-2/junit.xml"], ["e2e-2", "e2e-2"]),
        (["vitest/1/junit.xml", "vitest/2/junit.xml", "pw/1/junit.xml"], ["vitest/1", "vitest/2", "pw/1"]),
        (["only/junit.xml"], ["only"]),
        (["junit.xml"], ["ci"]),
        (["unit.xml"], ["unit"]),
    ],
)
def test_paths_name_shards(paths: list[str], names: list[str]) -> None:
    files = given(*paths)
    assert [names_of(files)[one.path].name for one in files] == names


def test_each_of_several_directories_is_a_shard() -> None:
    def names(*paths: str) -> list[str]:
        files = [GivenFile(HOME / path, HOME / path.partition("/")[0], "directory") for path in paths]
        return [names_of(files)[one.path].name for one in files]

    assert names("unit-1/junit.xml", "unit-2/junit.xml") == ["unit-1", "unit-2"]
    assert names("unit-1/r/junit.xml", "e2e/junit.xml") == ["unit-1/r", "e2e"]
    assert names("unit-1/junit.xml") == ["unit-1"]
    assert names("unit-1/TEST-a.xml", "unit-1/TEST-b.xml") == ["unit-1", "unit-1"]
    assert names("reports/junit.xml") == ["junit"]


def test_expected_shards_are_known_by_any_name() -> None:
    names = ("vitest-integration-shard-1", "e2e_2of4", "unit", "api-integration-2", "other")
    reports = [report(f"{name}/junit.xml", case(name)) for name in names]
    found, findings = shards(reports, expected="integration:2,e2e:2,unit,api-integration:2")
    assert {shard.name for shard in found if shard.files} == {
        "integration-1",
        "e2e-2",
        "unit",
        "api-integration-2",
        "other",
    }
    assert sorted(one.shard for one in findings if one.kind == "missing") == [
        "api-integration-1",
        "e2e-1",
        "integration-2",
    ]
    assert [one.shard for one in findings if one.kind == "unexpected"] == ["other"]
    found, _ = shards([report(f"e2e-{n}/junit.xml", case("a")) for n in (0, 1)], expected="e2e:2")
    assert [bool(shard.files) for shard in found] == [True, True]
    for wrong in ("", "a:0", "a:b", "a:2,a:3", "a:2,,b"):
        with pytest.raises(ConfigurationError):
            parse_expected(wrong)


def test_a_killed_shard_is_told_with_where_it_was() -> None:
    running = side(4, "a.test.ts > four")
    last = LastPicture(at(9), (LastSession(running),))
    seen = tuple(
        TestSighting(f"a.test.ts > {name}", "vitest", "1", 1, at(n), at(n), 3, at(n))
        for n, name in enumerate(("one", "two", "three", "four", "five"))
    )
    run = run_of("integration-3", 137, signal=9, last=last, tests=seen)
    torn = report("integration-3/junit.xml", case("one"), case("two"), trouble="it is damaged at line 9")
    _, findings = shards([torn, report("integration-4/junit.xml", case("x"))], [run])
    assert told(findings) == {
        "killed": "integration-3: ended by signal 9; 2 of about 5 tests reported; junit.xml: it is damaged "
        "at line 9; last seen running: a.test.ts > four"
    }
    collected = replace(run, collected=7)
    _, findings = shards([torn], [collected])
    assert "2 of 7 tests reported" in told(findings)["killed"]
    _, findings = shards([], [run])
    assert told(findings)["killed"].startswith(
        "integration-3: ended by signal 9; 0 of about 5 tests reported"
    )


@pytest.mark.parametrize(
    ("run", "cases", "kind", "level"),
    [
        (run_of("s", 1), (case("a"),), "contradiction", "error"),
        (run_of("s", 0), (case("a", NO),), "contradiction", "warning"),
        (run_of("s", 1), (case("a", NO),), "", ""),
        (run_of("s", 0), (case("a"),), "", ""),
        (run_of("s", None, ended=None, ending="killed"), (case("a"),), "killed", "error"),
        (run_of("s", None, ended=None, ending="running"), (case("a"),), "running", "error"),
        (run_of("s", 0, began=at(60)), (case("a"),), "stale", "error"),
        (run_of("s", 0), (), "no_tests", "error"),
        (run_of("s", 0), (case("a", time_s=0.0),), "doubtful_pass", "warning"),
        (run_of("s", 2), (JUnitCase("", ""),), "contradiction", "error"),
        (None, (case("a"), JUnitCase("", "")), "stopped", "error"),
    ],
)
def test_reports_that_cannot_be_believed(
    run: ShardRun | None, cases: tuple[JUnitCase, ...], kind: str, level: str
) -> None:
    _, findings = shards([report("s/junit.xml", *cases)], [] if run is None else [run])
    levels = {one.kind: one.level for one in findings if one.kind != "exit_code_unknown"}
    assert levels.get(kind, "") == level if kind else levels == {}  # type: ignore[call-overload]


def test_a_run_without_a_report_is_told() -> None:
    _, findings = shards([], [run_of("unit", 1)])
    assert told(findings) == {"no_report": "unit: wrote no JUnit file, exit code 1; 0 tests reported"}
    _, findings = shards([], [run_of("unit", 0, junit_files=("r/junit.xml",))])
    words = "unit: its JUnit files aren't among these, exit code 0; 0 tests reported"
    assert told(findings) == {"no_report": words}


def test_the_newest_attempt_of_a_shard_counts() -> None:
    first, second = (
        replace(
            run_of("e2e-1", code),
            recorded=replace(
                run_of("e2e-1", code, attempt=attempt, ci_run="77", began=at(attempt)).recorded,
                name=str(HOME / f"{attempt}" / "results"),
            ),
        )
        for attempt, code in ((1, 1), (2, 0))
    )
    reports = [
        report("1/junit.xml", case("a", NO), case("b")),
        report("2/junit.xml", case("a"), case("b"), began=6.0),
    ]
    ((shard,), findings) = shards(reports, [first, second])
    assert (shard.attempt, shard.totals.passed, shard.totals.failed) == (2, 2, 0)
    assert told(findings) == {"attempts": "e2e-1: attempt 2 counts; 1 test that had failed passed then"}
    # Without results, by the names of artifacts.
    reports = [
        replace(one, path=HOME / name / "junit.xml")
        for one, name in zip(reports, ("e2e-1", "e2e-1-attempt-2"), strict=True)
    ]
    ((shard,), findings) = shards(reports)
    assert (shard.attempt, shard.totals.failed, list(told(findings))) == (2, 0, ["attempts"])


def test_the_same_shard_twice() -> None:
    twice = [
        report("down1/e2e-1/junit.xml", case("a", NO)),
        report("down2/e2e-1/junit.xml", case("a"), began=9.0),
    ]
    found, findings = shards(twice, expected="e2e:1")
    assert (len(found), found[0].totals.failed) == (1, 0)
    assert told(findings) == {
        "attempts": "e2e-1: it is there twice, the newest counts; 1 test that had failed passed then"
    }
    copies = [report(f"e2e-{n}/junit.xml", case("a")) for n in (1, 2)]
    _, findings = shards(copies, expected="e2e:2")
    assert "its own report is missing" in told(findings)["copy"]
    assert "1 test ran in two shards" in told(findings)["ran_twice"]
    _, findings = shards([report(f"e2e-{n}/junit.xml", case("a")) for n in (1, 2, 3)])
    assert [one.shard for one in findings if one.kind == "copy"] == ["e2e-2", "e2e-3"]  # not each pair
    _, findings = shards([replace(copies[0], cases=(case("b"),)), copies[1]], expected="e2e:2")
    assert told(findings) == {}


def test_results_of_another_run_are_told() -> None:
    runs = [run_of("a", ci_run="1"), run_of("b", ci_run="2", began=at(3))]
    reports = [report("a/junit.xml", case("x")), report("b/junit.xml", case("y"))]
    _, findings = shards(reports, runs)
    assert told(findings) == {"other_run": "a: it is of the CI's run 1, not of 2"}
    days = [report("a/junit.xml", case("x"), began=0.0), report("b/junit.xml", case("y"), began=100_000.0)]
    _, findings = shards(days)
    assert told(findings)["stale"].startswith("a: its tests began 28 h before")
    assert timedelta(hours=24).total_seconds() < 100_000


def test_beside_a_failure_stands_what_the_database_knew() -> None:
    long = "a.test.ts > a name that is so long that a session has no room for it, but for its end and a hash"
    victim = side(1, f"..its end and a hash #{digest(long)}")
    victim = replace(victim, name=f"vitest:1 #{digest(long)} ..its end and a hash")
    other = side(2, "b.test.ts > blocks")
    recorded = replace(
        made_events.run("r", [wait(1, 2.5, victim, other)]),
        deadlocks=(deadlock(3.0, victim, other, victim=victim.who),),
        leaks=(
            LeakEvent("rows", "public.users", 3, long, "marker"),
            LeakEvent("rows", "public.bookings", 1, "", "1 of N", (long, other.test)),
        ),
    )
    name = long.partition(" > ")[2]
    cases = (
        case(name, NO),
        case("passes"),
        case("other", NO)._replace(
            properties=(("pgwatch.interference", "1 of 2: tests/b.py::test_b, tests/c.py::test_c"),)
        ),
    )
    found, _ = shards([report("s/junit.xml", *cases)])
    (shard,) = with_database(found, [recorded])
    first, passed, third = shard.tests
    assert (first.id, passed.database) == (long, ())
    assert first.database == (
        "waited 2.5 s for gw2 b.test.ts > blocks: row of bookings (id=42). "
        "End the transaction of the test before it waits for something else.",
        "in a deadlock with gw2 b.test.ts > blocks over row of bookings (id=1); the server ended it",
        "left 3 rows of public.users (its values bear its hash)",
        "1 row of public.bookings left by 1 of 2 tests, of which it is one",
    )
    assert third.database == (
        "tables that it had read were written to while it ran, perhaps by 1 of 2: tests/b.py::test_b, "
        "tests/c.py::test_c",
    )
