"""The matrix of versions: which release is taken, and that nothing which failed or is missing looks good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import matrix, server_facing
from tests.locks.scenarios.truth import Scenario, Truth
from tests.server_facing import Known
from tests.servers import server_versions

REPORT = """<testsuites><testsuite>
<testcase name="test_scenario[chain]"/>
<testcase name="test_scenario[fan]"><failure/></testcase>
<testcase name="test_scenario[torn]"/><testcase name="test_scenario[torn]"><error/></testcase>
<testcase name="test_scenario[shy]"><skipped/></testcase>
<testcase name="test_other"/><testcase name="test_bad"><failure/></testcase>
</testsuite></testsuites>"""


def scenario(name: str, since: int = 13) -> Scenario:
    return Scenario(name, lambda _: Truth(), since, "it isn't there", {})


def read(tmp_path: Path, content: str = REPORT, version: str = "13.23", exit_code: int = 1) -> matrix.Outcome:
    report = tmp_path / "report.xml"
    report.write_text(content, encoding="utf-8")
    return matrix.outcome(report, version, exit_code)


def test_the_newest_release_is_the_one_of_the_highest_number() -> None:
    versions = ["13.9.0-beta.16", "13.23.0-beta.9", "13.23.0-beta.16", "13.23.0-alpha.20", "18.4.0-beta.1"]
    assert server_versions.newest_of(versions) == {13: "13.23.0-beta.16", 18: "18.4.0-beta.1"}
    assert server_versions.newest_of([*versions, "18.4.0", "18.4.0-beta.30"])[18] == "18.4.0"


def test_an_old_minor_is_the_newest_that_there_is_up_to_it() -> None:
    versions = [
        "13.22.0-beta.9",
        "13.22.0-beta.15",
        "13.21.0-beta.15",
        "13.23.0-beta.16",
        "14.18.0",
        "18.0.0",
    ]
    assert server_versions.newest_of(versions, {13: 22, 14: 19, 15: 14}) == {
        13: "13.22.0-beta.15",
        14: "14.18.0",
    }


@pytest.mark.parametrize(("passed", "skipped", "exit_code", "good"), [(3, 0, 0, True), (3, 0, 1, False)])
def test_where_nothing_may_be_skipped_something_ran_and_passed(
    passed: int, skipped: int, exit_code: int, good: bool
) -> None:
    assert matrix.Outcome("13.22", {}, passed, 0, skipped, exit_code).all_passed is good
    assert not matrix.Outcome("13.22", {}, 0, 0, 3, 0).all_passed
    assert not matrix.Outcome("13.22", {}, 3, 0, 1, 0).all_passed
    assert not matrix.Outcome("13.22", {}, 0, 0, 0, 0).all_passed


@pytest.mark.parametrize(
    ("name", "mark"),
    [("chain", "✓"), ("fan", "✗"), ("torn", "✗"), ("shy", "?"), ("never ran", "?")],
)
def test_marks(name: str, mark: str, tmp_path: Path) -> None:
    assert read(tmp_path).mark(scenario(name)) == mark


def test_what_an_old_version_cannot_do_is_shown_with_its_reason(tmp_path: Path) -> None:
    new = scenario("new", since=14)
    old = read(tmp_path)
    assert old.mark(new) == "–"
    assert "– new: before 14, it isn't there" in matrix.text([old], [new])


def test_counts_of_the_other_tests(tmp_path: Path) -> None:
    one = read(tmp_path)
    assert (one.passed, one.failed, one.skipped) == (1, 1, 0)


def test_good_is_only_what_ran_and_passed(tmp_path: Path) -> None:
    chain = scenario("chain")
    assert read(tmp_path, exit_code=0).good([chain])
    assert not read(tmp_path, exit_code=1).good([chain])
    assert not read(tmp_path, exit_code=0).good([chain, scenario("never ran")])
    assert not matrix.outcome(tmp_path / "none.xml", "13.23", 0).good([chain])


def test_every_test_with_a_server_runs_on_every_version() -> None:
    """Whatever its file is called, unless that is told to know no version."""
    (left_out, *_) = server_facing.ELSEWHERE
    assert Known("tests/anywhere/test_new.py", starts_server=True).facing
    assert not Known("tests/locks/diagnosis/test_rules.py", starts_server=False).facing
    assert not Known(left_out, starts_server=True).facing


def test_a_file_is_left_out_only_as_long_as_it_has_a_server() -> None:
    (first, second, *_) = server_facing.ELSEWHERE
    collected = [Known(first, False), Known(first, True), Known(second, False), Known("test_new.py", False)]
    assert server_facing.superfluous(collected) == {second}


def test_what_is_told_of_tests_is_what_pytest_knows(request: pytest.FixtureRequest, server: object) -> None:
    del server
    assert server_facing._known(request.node) == Known("tests/test_matrix.py", starts_server=True)


def test_what_is_left_out_is_there_and_has_a_reason() -> None:
    for path, reason in server_facing.ELSEWHERE.items():
        assert (server_facing.ROOT / path).is_file(), path
        assert reason


def test_links_out_of_the_package_are_refused(tmp_path: Path) -> None:
    native = tmp_path / "package" / "native"
    (native / "lib").mkdir(parents=True)
    (native / "lib" / "liba.so.1").write_text("")
    links = [{"source": "native/lib/liba.so.1", "target": "native/lib/liba.so"}]
    (native / "pg-symlinks.json").write_text(json.dumps(links))
    server_versions.link(tmp_path / "package")
    assert (native / "lib" / "liba.so").readlink() == Path("liba.so.1")
    links = [{"source": "../elsewhere", "target": "native/lib/liba.so"}]
    (native / "pg-symlinks.json").write_text(json.dumps(links))
    with pytest.raises(ValueError, match="out of the package"):
        server_versions.link(tmp_path / "package")
