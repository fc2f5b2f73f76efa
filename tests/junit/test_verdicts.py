"""Reports that real runners wrote (in reports/), and what is in them: truth.json."""

from __future__ import annotations

import io
import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from pgwatch_tests.identity.junit_reader import CaseReader, read_cases
from pgwatch_tests.junit.verdicts import JUnitTest, judged_tests

REPORTS = Path(__file__).parent / "reports"
TRUTH = json.loads((REPORTS / "truth.json").read_text(encoding="utf-8"))


def content_of(name: str) -> bytes:
    """The report; U+FFFE, which Playwright passes through, isn't in the repository."""
    if name == "playwright-zoo-fffe.xml":
        return (REPORTS / "playwright-zoo.xml").read_bytes().replace(b"out ", b"out \xef\xbf\xbe", 1)
    return (REPORTS / name).read_bytes()


def identity(test: JUnitTest) -> list[str]:
    return [test.project or test.case.suite.name, test.case.classname, test.case.name]


def test_each_report_has_its_truth() -> None:
    reports = {path.name for path in REPORTS.glob("*.xml")}
    assert reports | {"playwright-zoo-fffe.xml"} == set(TRUTH)
    assert all(TRUTH[name].keys() >= {"cases", "verdicts", "failing", "flaky", "anomalies"} for name in TRUTH)


@pytest.mark.parametrize("name", TRUTH)
def test_cases_attempts_and_verdicts(name: str) -> None:
    truth = TRUTH[name]
    read = read_cases(content_of(name))
    tests = judged_tests(read.cases)
    assert len(read.cases) == truth["cases"]
    assert Counter({key: number for key, number in truth["verdicts"].items() if number}) == Counter(
        test.verdict for test in tests
    )
    assert sorted([*identity(test), test.verdict] for test in tests if test.has_failed) == sorted(
        truth["failing"]
    )
    assert [identity(test) for test in tests if test.verdict == "flaky"] == truth["flaky"]


@pytest.mark.parametrize("name", TRUTH)
def test_what_is_odd_about_a_file_is_said(name: str) -> None:
    reader = CaseReader()
    list(reader.cases(io.BytesIO(content_of(name))))
    codes = {"wrong-count", "forbidden-characters", "encoding", "bad-number"}
    assert {one.code for one in reader.anomalies} == codes & set(TRUTH[name]["anomalies"])
    kinds = {"empty-file": "empty", "torn": "torn", "doctype": "refused", "not-junit": "refused"}
    told = [kind for code, kind in kinds.items() if code in TRUTH[name]["anomalies"]]
    assert reader.trouble_kind == (told[0] if told else "")


PLAIN = """<testsuites name="vitest tests"><testsuite name="s" hostname="h" tests="2">
<testcase name="a" classname="c"/>
<testcase name="b" classname="c"><failure message="no">why</failure><system-out>out</system-out></testcase>
<error message="set-up">trace</error></testsuite></testsuites>"""


def prefixed(document: str, prefix: str) -> str:
    return re.sub(r"<(/?)(?=[a-z])", rf"<\1{prefix}:", document).replace(
        f"<{prefix}:testsuites", f'<{prefix}:testsuites xmlns:{prefix}="urn:x"', 1
    )


def test_elements_of_a_namespace_are_those_without_one() -> None:
    plain = read_cases(PLAIN.encode())
    assert plain.trouble == ""
    for document in (
        prefixed(PLAIN, "j"),
        PLAIN.replace("<testsuites", '<testsuites xmlns="urn:x"'),
        PLAIN.replace("<error", '<j:error xmlns:j="urn:x"').replace("</error", "</j:error"),
        PLAIN.replace("<failure", "<j:failure").replace("</failure", "</j:failure"),
    ):
        assert read_cases(document.encode()) == plain
    surefire = (REPORTS / "surefire-booking.xml").read_text(encoding="utf-8")
    again = prefixed(surefire, "s").replace("<s:testsuite ", '<s:testsuite xmlns:s="urn:s" ', 1)
    assert read_cases(again.encode()) == read_cases(surefire.encode())


def test_a_failure_of_a_suite_itself_counts_once() -> None:
    suite = '<testsuite name="s">{}<failure message="one"/><error message="two">trace</error></testsuite>'
    for inside, number in (("", 1), ('<testcase name="a"/><testcase name="s"/>', 3)):
        tests = judged_tests(read_cases(suite.format(inside).encode()).cases)
        assert len(tests) == number
        [test] = [one for one in tests if one.stands_for == "suite"]
        assert (test.verdict, test.attempts) == ("errored", 1)
        assert [one.message for one in test.troubles] == ["one", "two"]
    for document in (
        "<testsuites><error/></testsuites>",
        '<testsuite><testcase name="a"/><error/></testsuite>',
        '<testsuite><testcase name="a"/><error/>',
        "<testsuite><failure><testcase/></failure><error/></testsuite>",
    ):
        assert any(test.has_failed for test in judged_tests(read_cases(document.encode()).cases)), document


def test_attempts_without_end_are_counted() -> None:
    cases = 30_000 * '<testcase name="a"><failure message="no"/></testcase>'
    began = time.process_time()
    [test] = judged_tests(read_cases(f"<testsuite>{cases}</testsuite>".encode()).cases)
    assert (test.attempts, test.failed_attempts, len(test.earlier)) == (30_000, 29_999, 50)
    assert time.process_time() - began < 2  # 4 s where each took all before it along


def test_a_case_within_a_failure_takes_nothing_from_the_next_one() -> None:
    inside = '<failure><testcase name="x"/></failure>'
    for begin in (f'<testcase name="a">{inside}</testcase>', inside):
        document = f'<testsuite>{begin}<testcase name="b"><failure message="no"/></testcase></testsuite>'
        tests = {test.case.name: test for test in judged_tests(read_cases(document.encode()).cases)}
        assert tests["b"].verdict == "failed", begin
        assert tests["b"].case.message == "no"
