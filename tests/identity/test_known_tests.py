"""Lists of tests as runners print them, and what a hash is worth with one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.identity.application_name import compose, digest, parse
from pgwatch_tests.identity.known_tests import KnownTests, read_test_list

SUITE = """
import pytest

def test_one(): ...

@pytest.mark.parametrize("value", ["a.b", "c::d", "e/f", "g h"])
def test_values(value): ...

class TestOuter:
    class TestInner:
        def test_deep(self): ...
"""
IDS = (
    "unit/test_deep.py::test_one",
    *(f"unit/test_deep.py::test_values[{value}]" for value in ("a.b", "c::d", "e/f", "g h")),
    "unit/test_deep.py::TestOuter::TestInner::test_deep",
)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "test_deep.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def run_pytest(python: str, suite: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=suite, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("colour", ["--color=no", "--color=yes"])
def test_what_pytest_collects(python: str, suite: Path, tmp_path: Path, colour: str) -> None:
    listed = tmp_path / "tests.txt"
    listed.write_text(run_pytest(python, suite, "--collect-only", "-q", colour))
    assert read_test_list(listed) == IDS
    assert "6 tests collected" in listed.read_text()


@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_a_junit_report_of_pytest(python: str, suite: Path, tmp_path: Path, family: str) -> None:
    report = tmp_path / "junit.xml"
    run_pytest(python, suite, f"--junit-xml={report}", "-o", f"junit_family={family}")
    known = KnownTests(read_test_list(report))
    assert [list(known.with_digest(digest(test))) for test in IDS] == [[test] for test in IDS]


def test_junit_reports_of_other_runners(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(
        """<?xml version="1.0"?><testsuites>
        <testsuite name="src/a.test.ts" hostname="ci-7">
          <testcase classname="src/a.test.ts" name="booking &gt; books &lt;one&gt;"/>
        </testsuite>
        <testsuite name="b.spec.ts" hostname="chromium">
          <testcase classname="b.spec.ts" name="booking \u203a cancels"><failure>&amp;</failure></testcase>
        </testsuite></testsuites>"""
    )
    known = KnownTests(read_test_list(report))
    for test in ("src/a.test.ts > booking > books <one>", "[chromium] b.spec.ts > booking > cancels"):
        assert list(known.with_digest(digest(test))) == [test]


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]><testsuite><testcase name="&a;"/></testsuite>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite/>',
        "<testsuite><testcase",
        "<Dir unit>\n  <Module test_deep.py>",
    ],
)
def test_what_is_no_safe_report_is_refused(text: str, tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text(text)
    with pytest.raises(ConfigurationError, match=r"junit\.xml"):
        read_test_list(report)


@pytest.mark.parametrize(
    "last",
    [
        "26 tests collected in 0.05s",
        "1 test collected in 0.05s",
        "3/26 tests collected (23 deselected) in 0.05s",
        "no tests collected in 0.00s",
        "========= 26 tests collected, 1 error in 61.05s (0:01:01) =========",
    ],
)
def test_a_summary_is_no_test(last: str, tmp_path: Path) -> None:
    listed = tmp_path / "tests.txt"
    odd = "a.py::test_12 tests collected in 1s"
    listed.write_bytes(f"\ufeffa.py::test_a\r\n{odd}\r\n\r\n{last}\r\n".encode())
    assert read_test_list(listed) == ("a.py::test_a", odd)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=40, max_size=120))
def test_a_shortened_name_is_told_by_its_hash(test: str) -> None:
    short, only_hash = parse(compose("pytest", "gw0", test)), parse(f"pytest:gw0 #{digest(test)}")
    assert short is not None
    assert only_hash is not None
    known = KnownTests([test, "another"])
    assert known.full_id(only_hash) == test
    assert known.full_id(short) == (None if short.digest is None else test)
    assert KnownTests(["another"]).full_id(only_hash) is None


def test_a_hash_that_belongs_to_another_name_tells_nothing() -> None:
    other = parse(f"pytest:gw0 #{digest('t.py::test_a')} ..test_b")
    assert other is not None
    assert KnownTests(["t.py::test_a"]).full_id(other) is None


def test_two_tests_with_one_hash_are_not_told_apart() -> None:
    # Found by trying: 32 bits collide among some 100,000 names.
    one, other = "test_35347", "test_63784"
    assert digest(one) == digest(other)
    only_hash = parse(f"pytest:gw0 #{digest(one)}")
    assert only_hash is not None
    assert KnownTests([one]).full_id(only_hash) == one
    assert KnownTests([one, other]).full_id(only_hash) is None
