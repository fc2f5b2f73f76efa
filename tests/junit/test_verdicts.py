"""Reports that real runners wrote (in reports/), and what is in them: truth.json."""

from __future__ import annotations

import io
import json
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
