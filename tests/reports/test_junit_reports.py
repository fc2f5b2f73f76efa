"""Reports on JUnit files whose every text is hostile, and on very many tests."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from pgwatch_tests.cli.formats import JUNIT, render_junit
from pgwatch_tests.identity.junit_cases import JUnitCase, Suite, Trouble
from pgwatch_tests.junit.summary import JUnitFinding, JUnitSummary, ShardReport
from pgwatch_tests.junit.verdicts import judged_tests
from pgwatch_tests.reports.junit.summary_github import document as github
from pgwatch_tests.reports.junit.summary_markdown import document as markdown
from pgwatch_tests.reports.render.markdown_text import MOST_BYTES
from tests.reports.runs.made_report import HOSTILE

SECRET = "postgresql://app:hunter2@db/shop"


def summary(cases: list[JUnitCase], shard: str = "unit-1") -> JUnitSummary:
    facts = (f"waited 1 s for {shard}",)
    tests = [
        test._replace(database=facts) if test.has_failed else test for test in judged_tests(cases, shard)
    ]
    finding = JUnitFinding("killed", "error", f"{shard}: ended by signal 9", shard)
    return JUnitSummary((ShardReport(shard, tests=tuple(tests)),), (finding,))


def failed(name: str, text: str = "") -> JUnitCase:
    trouble = Trouble("failure", f"no {SECRET} {name}", text or name, name)
    return JUnitCase(
        name, name, name, Suite("suite", name, "", "playwright"), 1.0, (trouble,), ((name, name),), name
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text(text: str) -> None:
    hostile = summary([failed(text), failed(f"{text} @octocat")], shard=text)
    documents = {form: render_junit(form, hostile) for form in JUNIT}
    for form, document in documents.items():
        assert "hunter2" not in document, form
        assert not set("\x00\x07\x1b\u202e\u2028\r") & set(document), form
        document.encode()  # no surrogate is left
    assert len(json.loads(documents["json"])["tests"]) == 2
    assert len(ElementTree.fromstring(documents["junit"]).findall(".//testcase")) == 3
    assert all(line.startswith("::") for line in documents["github"].splitlines())
    html = MarkdownIt("gfm-like").render(documents["markdown"])
    for harm in ("<script", "<img", "<svg", "<a ", "<strong>"):
        assert harm not in html
    # What GitHub makes of a name is decided where it isn't code.
    outside = "".join(part.partition("</code>")[2] for part in f"</code>{html}".split("<code"))
    assert "@octocat" not in outside


def test_a_job_summary_is_cut_between_parts() -> None:
    many = summary([failed(f"test {number}", f"{'line of a failure ' * 5}\n" * 60) for number in range(320)])
    document = markdown(many)
    assert MOST_BYTES - 4_000 < len(document.encode()) <= MOST_BYTES
    assert document.count("<details>") == document.count("</details>")
    assert "more parts of this report would not fit" in document
    lines = github(many).splitlines()
    assert len(lines) == 10
    assert "312 more errors" in lines[-1]


def test_a_secret_in_a_parameter_is_shown_to_nobody_who_reads() -> None:
    secret = summary([failed("a.test.ts")._replace(name=f"test_a[{SECRET}]")])
    for form in ("table", "markdown", "github"):
        document = render_junit(form, secret)
        assert ("hunter2" in document, "***" in document) == (False, True), form


def test_a_name_of_a_megabyte_fills_no_line() -> None:
    long = summary([failed("x" * 1_000_000)])
    for form in ("table", "markdown", "github"):
        assert max(map(len, render_junit(form, long).splitlines())) < 12_000, form


def test_a_hundred_thousand_tests() -> None:
    suite = Suite("a.test.ts", "", "", "vitest")
    cases = [JUnitCase(f"test {number}", "a.test.ts", "", suite, 0.25) for number in range(99_999)]
    whole = summary([*cases, failed("x > y")])
    totals = whole.totals
    assert (totals.tests, totals.passed, totals.failed) == (100_000, 99_999, 1)
    assert "1 of 100,000 tests failed" in render_junit("table", whole)
