"""Findings of all processes come into one summary; `fail` turns them into errors and an exit status."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

pytest_plugins = ["pytester"]

SUITE = """
    import os, signal
    import pytest
    from pgwatch_tests.testing import current
    from pgwatch_tests.testing.findings import Finding, tell

    @pytest.fixture(scope="session", autouse=True)
    def wide():
        yield
        tell(Finding("rows", current(), "leaves 7 rows", fails=False))

    def test_leaves():
        reason = "leaves 2 rows in public.users\\x1b[2J"
        tell(Finding("rows", current(), reason, "delete them", ("public.users",)))

    def test_harmless():
        tell(Finding("blocked", current(), "waited 3 s", fails=False))

    @pytest.mark.pgwatch_ignore("known", "users")
    def test_ignored():
        tell(Finding("rows", current(), "leaves 5 rows", "", ("public.users",)))

    @pytest.mark.pgwatch_ignore("known", "bookings")
    def test_other_table():
        tell(Finding("rows", current(), "leaves 6 rows", "", ("public.users",)))

    def test_already_fails():
        tell(Finding("rows", current(), "leaves 8 rows"))
        assert False
"""
KILLED = """
    def test_killed(worker_id):
        tell(Finding("rows", current(), "leaves 9 rows"))
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_fail_makes_errors_of_findings(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE + KILLED)
    done = pytester.runpytest_subprocess("-n", "2", "--pgwatch=fail", "--junitxml=out.xml", "-rE")
    done.assert_outcomes(passed=4, failed=2, errors=3)
    done.stdout.fnmatch_lines(
        [
            "*= pgwatch: 6 findings in 5 tests =*",
            "fixture wide [[]session]* [[]gw?]",
            "  leaves 7 rows",
            "ERROR *test_leaves - Failed: leaves 2 rows in public.users␛[[]2J*",
        ]
    )
    for lines in (
        ["test_it.py::test_leaves [[]gw?]", "  leaves 2 rows in public.users␛[[]2J", "    → delete them"],
        ["test_it.py::test_harmless [[]gw?]", "  waited 3 s"],
        ["test_it.py::test_other_table [[]gw?]", "  leaves 6 rows"],
        ["test_it.py::test_already_fails [[]gw?]", "  leaves 8 rows"],
        ["test_it.py::test_killed [[]gw?]", "  leaves 9 rows"],
        ["ignored (known): test_it.py::test_ignored [[]gw?]: leaves 5 rows"],
    ):
        done.stdout.fnmatch_lines(lines, consecutive=True)
    properties = {
        case.get("name"): [(one.get("name"), one.get("value")) for one in case.iter("property")]
        for case in ElementTree.parse(pytester.path / "out.xml").iter("testcase")
    }
    assert properties["test_harmless"] == [("pgwatch.blocked", "waited 3 s")]
    assert properties["test_other_table"] == [("pgwatch.rows", "leaves 6 rows")]
    assert properties["test_ignored"] == []


def test_warn_changes_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE.partition("    def test_already_fails")[0])
    done = pytester.runpytest_subprocess("-n", "0", "--pgwatch=warn")
    done.assert_outcomes(passed=4)
    assert done.ret == 0
    done.stdout.fnmatch_lines(["*= pgwatch: 4 findings in 3 tests =*", "  leaves 2 rows*"])


@pytest.mark.parametrize(
    ("tell", "status"),
    [
        ("Finding('late_rows', None, 'one of test_a, test_b left 2 rows')", 1),
        ("Finding('not_checked', None, 'no connection')", 1),
        ("Finding('late_rows', None, 'left 2 rows', fails=False)", 0),
    ],
)
def test_what_is_found_too_late_fails_the_run_alone(
    tell: str, status: int, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_it="def test_it(): pass")
    pytester.makeconftest(
        f"""
        from pgwatch_tests.testing.findings import Finding, tell

        def pytest_sessionfinish():
            tell({tell})
        """
    )
    # Neither a terminal nor JUnit is needed for it.
    options = ["-p", "no:terminal", "-p", "no:junitxml", "-p", "no:xdist"]
    assert pytester.runpytest_subprocess("--pgwatch=fail", *options).ret == status


@pytest.mark.parametrize("options", [["-n", "2"], ["-p", "no:xdist"]])
def test_a_part_that_raises_is_told_and_nothing_else(options: list[str], pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it="def test_it(): pass")
    pytester.makeconftest(
        """
        from pgwatch_tests.pytest_plugin.reports.summary import Section

        def broken():
            raise ValueError("of ours")

        def pytest_sessionstart(session):
            sections = session.config.pluginmanager.getplugin("pgwatch-active").sections
            sections += [broken, lambda: Section("Blocked", ["3 s\\x1b"]), lambda: None]
        """
    )
    done = pytester.runpytest_subprocess("--pgwatch=warn", *options)
    done.assert_outcomes(passed=1)
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        [
            "*= pgwatch: 1 thing not checked =*",
            "not checked: an error of pgwatch-tests itself: ValueError('of ours')",
            "*= pgwatch: Blocked =*",
            "3 s␛",
        ]
    )


def test_nothing_of_the_summary_is_a_command_to_a_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        test_it="""
        from pgwatch_tests.testing import current
        from pgwatch_tests.testing.findings import Finding, tell

        def test_told():
            tell(Finding("rows", current(), "::add-mask::one ##[add-mask]two", fails=False))
        """
    )
    for value, line in (
        ("false", "  ::add-mask::one ##[add-mask]two"),
        ("true", "  \\u003a:add-mask::one \\u0023#[add-mask]two"),
    ):
        monkeypatch.setenv("GITHUB_ACTIONS", value)
        done = pytester.runpytest_subprocess("--pgwatch=warn", "-p", "no:cacheprovider")
        assert line in done.outlines
