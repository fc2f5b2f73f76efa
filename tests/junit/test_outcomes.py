"""Reports as runners wrote them (in reports/), and what others may put in their place."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.identity.application_name import digest
from pgwatch_tests.identity.junit_reader import read_cases
from pgwatch_tests.junit.outcomes import read_outcomes

REPORTS = Path(__file__).parent / "reports"


def ends(path: Path) -> dict[str, int]:
    """How many tests ended how."""
    tests = read_outcomes([path]).tests
    return Counter(
        "flaky" if one.outcome == "passed" and one.failed_attempts else one.outcome for one in tests
    )


@pytest.mark.parametrize(
    ("report", "passed", "failed", "error", "skipped", "flaky"),
    [
        ("pytest-plain", 8, 3, 2, 2, 0),
        ("pytest-out-dies-no-xdist", 0, 0, 1, 0, 0),
        ("pytest-slow-SIGINT", 1, 0, 0, 0, 0),
        ("vitest4-zoo", 9, 7, 3, 4, 0),
        ("vitest5-torn", 5, 1, 1, 0, 0),
        ("playwright-booking", 3, 0, 0, 0, 0),
        ("playwright-slow-SIGINT", 0, 0, 0, 4, 0),
        ("surefire-booking", 1, 0, 1, 1, 1),
        ("go-junit-report-booking", 1, 1, 0, 1, 0),
        ("jest-junit-default", 1, 0, 0, 0, 0),
        ("pgwatch-leaks", 0, 0, 0, 0, 0),
    ],
)
def test_each_runners_tests_are_counted_once(
    report: str, passed: int, failed: int, error: int, skipped: int, flaky: int
) -> None:
    told = {"passed": passed, "failed": failed, "error": error, "skipped": skipped, "flaky": flaky}
    assert ends(REPORTS / f"{report}.xml") == {end: number for end, number in told.items() if number}


def test_tests_have_the_ids_that_their_sessions_bear() -> None:
    names = ("pytest-plain", "vitest4-zoo", "playwright-booking", "surefire-booking", "jest-junit-default")
    tests = {one.test for one in read_outcomes([REPORTS / f"{name}.xml" for name in names]).tests}
    assert {
        "test_zoo.py::test_each[a/b::c[d]]",
        "test_zoo.py::TestIt::test_method",
        "zoo/zoo.test.ts > outer > inner > with gt > passes",
        "[chrome] booking.spec.ts > sign up > parent 1 signs up",
        "com.example.BookingTest > books",
        "Booking creates",
    } <= tests


def test_what_sessions_were_called_decides_between_ids(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(
        '<testsuites name="pytest tests"><testsuite name="pytest">'
        '<testcase classname="tests.Api.test_a" name="test_one"/>'
        '<testcase classname="tests.Api.test_a.TestB" name="test_two"/></testsuite></testsuites>'
    )
    first, second = "tests/Api/test_a.py::test_one", "tests/Api/test_a.py::TestB::test_two"
    assert [one.test for one in read_outcomes([report], [first, f"..test_two #{digest(second)}"]).tests] == [
        first,
        second,
    ]


def test_the_last_attempt_decides(tmp_path: Path) -> None:
    def case(name: str, inside: str = "") -> str:
        return f'<testcase classname="a.test.ts" name="{name}" time="0.5">{inside}</testcase>'

    failure = '<failure message="\u001b[31mno\u001b[0m password=hunter2&#10; there"/>'
    first, second = tmp_path / "1.xml", tmp_path / "2.xml"
    whole = "<testsuite>{}</testsuite>"
    first.write_text(
        whole.format(case("flaky", failure) + case("fails", failure) + case("fine") + case("off"))
    )
    second.write_text(whole.format(case("flaky") + case("fails", failure) + case("off", "<skipped/>")))

    tests = read_outcomes([first, second, first]).tests  # the same file again is no attempt
    told = [(one.test.removeprefix("a.test.ts > "), one.outcome, one.failed_attempts) for one in tests]
    assert told == [
        ("fails", "failed", 1),
        ("flaky", "passed", 1),
        ("fine", "passed", 0),
        ("off", "passed", 0),
    ]
    assert {one.message for one in tests} == {"no password=*** there", ""}
    assert {one.duration_s for one in tests} == {0.5}
    # Another suite's test of the same id is one more attempt.
    second.write_text(f'<testsuite name="other">{case("fails")}{case("flaky", "<skipped/>")}</testsuite>')
    again = {one.test.removeprefix("a.test.ts > "): one for one in read_outcomes([first, second]).tests}
    assert [(again[name].outcome, again[name].failed_attempts) for name in ("fails", "flaky")] == [
        ("passed", 1),
        ("failed", 0),
    ]


@pytest.mark.parametrize(
    ("content", "told", "tests"),
    [
        (b"", "isn't read: it is empty", 0),
        (
            b"<html><body>502 Bad Gateway</body></html>",
            "isn't read: it is no JUnit report: its root is <html>",
            0,
        ),
        (b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><testsuite/>', "it has a DOCTYPE", 0),
        (
            b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
            b'<testsuite><testcase name="&b;"/></testsuite>',
            "it has a DOCTYPE",
            0,
        ),
        (b'<testsuite><testcase name="&unknown;"/></testsuite>', "damaged at line 1: undefined entity", 0),
        (b'<testsuite><testcase name="a"/><testcase name="b"', "as a whole: it is damaged at line 1", 1),
        (b'<testsuite><testcase name="a"/></testsuite>and more', "junk after document element; 1 of", 1),
        (b"<testsuite>" * 100_000, "damaged at line 1: no element found", 0),
    ],
)
def test_what_cant_be_read_is_told(tmp_path: Path, content: bytes, told: str, tests: int) -> None:
    path = tmp_path / "junit.xml"
    path.write_bytes(content)
    outcomes = read_outcomes([path])
    (sentence,) = outcomes.not_read
    assert sentence.startswith(str(path))
    assert told in sentence
    assert len(outcomes.tests) == tests


def test_what_is_no_file_is_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    paths = [tmp_path / "pipe", tmp_path, tmp_path / "none.xml"]
    assert [sentence.partition(" can't be read: ")[2] for sentence in read_outcomes(paths).not_read] == [
        "it is a named pipe, not a file",
        "Is a directory",
        "No such file or directory",
    ]


@pytest.mark.parametrize(
    "content",
    [
        '\ufeff<?xml version="1.0" encoding="UTF-16"?><testsuite><testcase name="ä"/></testsuite>'.encode(
            "utf-16-le"
        ),
        '\ufeff<testsuite><testcase name="ä"/></testsuite>'.encode(),
        '<?xml version="1.0" encoding="latin-1"?><testsuite><testcase name="ä"/></testsuite>'.encode(
            "latin-1"
        ),
        '<?xml version="1.0" encoding="zlib"?>\n<testsuite><testcase name="ä"/></testsuite>'.encode(),
    ],
)
def test_encodings(content: bytes) -> None:
    (case,) = read_cases(content).cases
    assert case.name == "ä"


def test_characters_that_xml_forbids_are_replaced() -> None:
    failure = "<failure>\u001b[31mred</failure>"
    name = "x\0&#27;&#xFFFE;&#65;\ufffe"
    report = read_cases(f'<testsuite><testcase name="{name}">{failure}</testcase></testsuite>'.encode())
    assert report.trouble == ""
    assert report.cases[0].name == "x\ufffd\ufffd\ufffdA\ufffd"


@settings(max_examples=50)
@given(st.binary(max_size=40), st.text("<>&'/#;x10[]!\0\ufffe\ud800ä", max_size=40))
def test_any_bytes_are_read_or_refused(content: bytes, inside: str) -> None:
    report = f"<testsuite><testcase name='{inside}'>{inside}".encode("utf-8", "surrogatepass")
    for one in (content, report, report + content):
        read_cases(one)
