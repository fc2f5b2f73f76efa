"""Reports for a CI: Markdown, JUnit, annotations; what a team ignores or accepts doesn't count."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from tests.pytest_plugin.suites import told

pytest_plugins = ["pytester"]

SUITE = """
    import pytest
    from pgwatch_tests.testing import current
    from pgwatch_tests.testing.findings import Finding, tell

    def leave(table, reason="left 2 rows", **more):
        tell(Finding("rows", current(), f"{reason} in {table}", "delete <b>them</b>", (table,), **more))

    def test_leaves():
        leave("public.users", "left `2` rows | <script>alert(1)</script> ![x](http://x) @someone")

    class TestInside:
        def test_warns(self):
            leave("public.users", fails=False)

    def test_accepted():
        leave("public.accepted")

    def test_ignored_table():
        leave("audit.log")

    @pytest.mark.pgwatch_ignore("known", "late")
    def test_told_later():
        pass
"""
CONFTEST = """
    import pytest
    from pgwatch_tests.testing import Owner
    from pgwatch_tests.testing.findings import Finding, tell

    def pytest_sessionfinish(session):
        if not hasattr(session.config, "workerinput"):
            tell(Finding("rows", Owner("test", "test_it.py::test_told_later"), "left", "", ("public.late",)))
            tell(Finding("lost_rows", None, "all rows of public.x are gone, by one of 2: a, b", "", ()))
"""


def test_reports(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=SUITE)
    pytester.makepyprojecttoml("[tool.pgwatch-tests]\nignore = ['audit.*']\n")
    accepted = {
        "schema": "pgwatch-tests.accepted/1",
        "findings": [
            {
                "gate": "leaks",
                "kind": "rows",
                "place": "public.accepted",
                "test": "test_it.py::test_accepted",
                "reason": "ticket 4711",
            }
        ],
    }
    (pytester.path / "accepted.json").write_text(json.dumps(accepted))
    monkeypatch = pytester._monkeypatch
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path.parent))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "step.md"))
    (pytester.path / "step.md").write_text("# before\n")
    done = pytester.runpytest_subprocess(
        *("-n", "2", "--pgwatch=fail", "--junitxml=suite.xml", "-p", "no:randomly"),
        *("--pgwatch-report=md,junit,github", "--pgwatch-report-dir=out", "--pgwatch-accept=accepted.json"),
    )
    done.assert_outcomes(passed=5, errors=1)
    found = told(done)
    assert {line.split()[0].rstrip(":") for line in found["ignored"]} == {
        "test_accepted",
        "test_ignored_table",
        "test_told_later",
    }

    text = (pytester.path / "out" / "pgwatch.md").read_text()
    assert (pytester.path / "step.md").read_text() == f"# before\n{text}"
    assert text.startswith("## pgwatch-tests: 3 findings in 2 tests\n")
    assert "`` left `2` rows \\| <script>alert(1)</script> ![x](http://x) @someone in public.users ``" in text
    assert "`delete <b>them</b>`" in text
    assert "3 findings ignored or accepted." in text

    own = ElementTree.parse(pytester.path / "out" / "pgwatch.xml").getroot()
    assert [(one.get("tests"), one.get("failures")) for one in own.iter("testsuite")] == [("3", "2")]
    suite = ElementTree.parse(pytester.path / "suite.xml").getroot()
    late = {one.get("name"): one.get("value") for one in suite.findall("testsuite/properties/property")}
    assert late == {"pgwatch.lost_rows": "all rows of public.x are gone, by one of 2: a, b"}

    folder = pytester.path.name
    lines = sorted(line for line in done.outlines if line.startswith("::"))
    place = f"file={folder}/test_it.py,line="
    assert [line.partition(" [gw")[0] for line in lines] == [
        f"::error {place}8,title=pgwatch%3A test_it.py%3A%3Atest_leaves",
        "::error title=pgwatch%3A nobody known for a fact::all rows of public.x are gone, by one of 2: a, b",
        f"::warning {place}12,title=pgwatch%3A test_it.py%3A%3ATestInside%3A%3Atest_warns",
    ]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--pgwatch-report=html", "*--pgwatch-report takes md, junit, github, * not 'html'*"),
        ("--pgwatch-accept=none.json", "*cannot read the accepted findings in *none.json*"),
    ],
)
def test_errors_of_usage(option: str, message: str, pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_subprocess("--pgwatch=warn", option)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([message])
