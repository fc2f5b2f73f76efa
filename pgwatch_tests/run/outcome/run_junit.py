"""The findings of a run as a JUnit report: waits, deadlocks and hangs, and the cases of `leaks`."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from pgwatch_tests.record.results import RunFinding
from pgwatch_tests.reports.leaks import leak_junit
from pgwatch_tests.reports.render import ci_text
from pgwatch_tests.reports.render.ci_text import Case
from pgwatch_tests.run.checks.fail_on import Evidence, FailOn, Judgement
from pgwatch_tests.text.durations import in_words
from pgwatch_tests.text.numbers import plural

_CLASS = "pgwatch-tests.run"


def document(fail_on: FailOn, known: Evidence, judgement: Judgement) -> str:
    """A case each for waits, deadlocks and hangs, and the cases of `leaks`; a case of what nobody asked to
    fail on passes, with what was seen in it."""
    suites: list[Element] = [
        ci_text.suite(_CLASS, _cases(fail_on, known, judgement), name="pgwatch-tests run")
    ]
    if known.leaks is not None:
        suites += leak_junit.suites(known.leaks, fail_on.leaks)
    return ci_text.junit(suites)


def _cases(fail_on: FailOn, known: Evidence, judgement: Judgement) -> list[Case]:
    limit_s = fail_on.blocked_s
    long = "for long" if limit_s is None else f"for {in_words(limit_s)}"
    recorded = known.waits is not None
    cases = [
        _case(f"no test waits {long}", "blocked", "wait", judgement, recorded or limit_s is None),
        _case("no deadlock", "deadlock", "deadlock", judgement, recorded or not fail_on.deadlock),
    ]
    if fail_on.hang or known.hangs is not None:
        cases.append(_case("no hang", "hang", "hang", judgement, known.hangs is not None))
    return cases


def _case(name: str, kind: str, noun: str, judgement: Judgement, is_known: bool) -> Case:
    those: list[RunFinding] = [one for one in judgement.findings if one.kind == kind]
    if those:
        return Case(name, "failure", plural(len(those), noun), [one.text for one in those], kind)
    if not is_known:
        return Case(name, "skipped", "not checked: nothing was recorded")
    return Case(name, "passed")
