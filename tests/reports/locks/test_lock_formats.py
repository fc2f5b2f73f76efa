"""The locks for machines: valid whatever the text in them is, and nothing in it gets out of its place."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pgwatch_tests.cli.formats import LOCKS, Format, render_locks
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot
from pgwatch_tests.reports.locks.formats import lock_csv, lock_github, lock_junit, lock_markdown
from pgwatch_tests.reports.render.ci_text import log_line
from pgwatch_tests.reports.render.markdown_text import block, code, grid
from tests.locks.snapshots import edge, session, snapshot

HOSTILE = (
    "=1+1 | `a` ``` <img src=x onerror=alert(1)> [x](http://evil.example) www.evil.example a@evil.example "
    "::error::x %0A, \\| \x1b[31m \x00 \n::warning::y\r\n```\n## h \u202e \udcff \ufffe ]]> &amp;"
)


def waiting(text: str, wait_s: float = 5.0) -> LockSnapshot:
    """One session behind another; `text` is the name, query, target and database."""
    root = session(1, text, "idle in transaction", query=text)
    shown = snapshot((edge(2, 1, wait_s=wait_s, target=text),), (root, session(2, text, query=text)))
    return settle(None, replace(shown, database=text))


def html(markdown: str) -> str:
    return str(MarkdownIt("gfm-like").render(markdown))


def cells(markdown: str) -> list[list[str]]:
    """The body of a table as it is rendered, tags left in."""
    body = html(markdown).partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in body.split("</tr>")[:-1]]


texts = st.text(alphabet=st.sampled_from("ab `|\\<>&[]()*_~:,%=+-@\n\r\t\0\x1b\u202e\ud800\uffff#.!;'\"ä界"))


@given(texts | st.text())
def test_every_form_is_valid_whatever_the_text_is(text: str) -> None:
    shown = waiting(text)
    header, line = csv.reader(io.StringIO(lock_csv.document(shown)))
    assert len(header) == len(line) == len(lock_csv.COLUMNS)
    suite = ElementTree.fromstring(lock_junit.document(shown, 1.0).encode())
    assert len(suite.findall(".//testcase/failure")) == 1
    verdict, annotation = lock_github.document(shown, 1.0).splitlines()
    assert not verdict.lstrip().startswith("::")
    assert re.fullmatch(r"::error title=[^:,\r\n]*::[^\r\n]*", annotation)
    markdown = lock_markdown.document(shown, 1.0)
    [row] = cells(markdown)
    assert len(row) == 6
    assert row[3:5] == ["1", "<strong>5.0 s</strong>"]
    page = html(markdown)
    assert set(re.findall(r"<(\w+)", page)) <= {
        *("h2", "p", "code", "table", "thead", "tbody", "tr", "th", "td", "strong", "pre")
    }
    assert page.count("<pre>") == 1
    assert page.rstrip().endswith("</code></pre>")
    for form in LOCKS:
        document = render_locks(form, shown, 1.0)
        assert not set(document) & set("\x00\x1b\r\u202e\ufffe")
        document.encode()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", " =1", "＝1", "\r\n-1"])
def test_a_spreadsheet_runs_no_cell(text: str) -> None:
    line = dict(zip(*csv.reader(io.StringIO(lock_csv.document(waiting(text)))), strict=True))
    assert line["waiter_pid"] == "2"
    for column in ("waiter_application", "blocker_application", "waiter_query", "target"):
        assert line[column].lstrip()[0] in "'␉␍", line[column]


def test_csv_is_one_line_an_edge() -> None:
    root = session(1, "pytest:gw0 t.py::test_root", "idle in transaction", query='SELECT "a",\n 1')
    shown = settle(None, snapshot((edge(2, 1, wait_s=1.25), edge(3, 1, "soft", 0.5)), (root,)))
    first, second = csv.DictReader(io.StringIO(lock_csv.document(shown)))
    assert first["blocker_test"] == "t.py::test_root"
    assert first["blocker_query"] == 'SELECT "a", 1'
    assert (first["waiter_pid"], first["blocker_pid"], first["kind"]) == ("2", "1", "hard")
    assert (first["wait_s"], first["mode"], first["held_mode"]) == ("1.250", "ExclusiveLock", "ExclusiveLock")
    assert (second["waiter_pid"], second["kind"], second["held_mode"]) == ("3", "soft", "")


def test_markdown_as_people_read_it() -> None:
    root = session(1, "pytest:gw0 t.py::test_root", "idle in transaction")
    markdown = lock_markdown.document(settle(None, snapshot((edge(2, 1, wait_s=5.0),), (root,))), 1.0)
    assert markdown.startswith("## Locks: 1 blocked, longest wait 5.0 s (database `test_app`)\n")
    assert (
        "| `gw0 t.py::test_root` | `pid 1` | `idle in transaction` for 2.0 s | 1 | **5.0 s** "
        "| `idle_in_transaction` |\n" in markdown
    )
    assert "\n`test_root blocks 1 test for 5.0 s (row of t (id=1))`\n" in markdown
    assert "\n```text\ndatabase test_app · PostgreSQL 18.1" in markdown
    assert lock_markdown.document(snapshot(), 1.0) == "## Locks: nothing is blocked (database `test_app`)\n"
    still = snapshot((), tuple(replace(session(one), state="idle", state_age_s=30.0) for one in (1, 2)))
    assert lock_markdown.document(still, 1.0) == (
        "## Locks: nothing is blocked (database `test_app`)\n\n`Nothing is blocked, all 2 sessions idle "
        "for 30 s: if the suite hangs, the cause is outside of the database`\n"
    )


@pytest.mark.parametrize(
    "text", ["a|b", "a`b", "``", "a``|`b", "|", "*a* <b>", "http://e.example", "a@b.example"]
)
def test_a_cell_shows_the_text_as_it_is(text: str) -> None:
    [[shown]] = cells(grid(["h"], "l", [[code(text)]]))
    expected = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert shown == f"<code>{expected}</code>"
    # Outside of a table nothing is escaped.
    assert html(code(text)) == f"<p><code>{expected}</code></p>\n"


@pytest.mark.parametrize("backslashes", range(5))
def test_backslashes_before_a_pipe_dont_split_a_cell(backslashes: int) -> None:
    table = grid(["h", "i"], "ll", [[code("a" + "\\" * backslashes + "|b"), "c"]])
    # As GitHub reads a row: a pipe with an odd number of backslashes before it is none.
    before = re.search(r"a(\\*)\|b", table)
    assert before is not None
    assert len(before[1]) % 2 == 1
    assert len(cells(table)[0]) == 2


def test_a_fence_is_longer_than_any_in_its_text() -> None:
    assert block("a\n`````\nb").startswith("``````text\n")
    assert html(block("a\n```\n<b>")) == '<pre><code class="language-text">a\n```\n&lt;b&gt;\n</code></pre>\n'


def test_annotations_are_escaped_as_the_toolkit_does() -> None:
    _, line, _ = lock_github.document(waiting("50%, a::b"), 1.0).split("\n")
    assert line.startswith(
        "::error title=50%25%2C a%3A%3Ab (pid 1%2C database test_app) blocks 1%2C "
        "longest wait 5.0 s::50%25, a::b"
    )
    assert "%0A→ Commit, roll back or close it" in line
    assert lock_github.document(waiting("x", 0.5), 1.0).splitlines()[1].startswith("::warning title=")
    assert lock_github.document(snapshot(), 1.0) == "Nothing is blocked\n"


@pytest.mark.parametrize("text", ["::error::x", " ::stop-commands::x", "##[error]x", "a ##[group]x"])
def test_a_line_of_a_log_is_no_command(text: str) -> None:
    line = log_line(text)
    assert not line.lstrip().startswith("::")
    assert "##[" not in line
    assert log_line("test_a blocks 1 test :: ##") == "test_a blocks 1 test :: ##"


def test_junit_has_a_case_for_each_root_and_one_if_there_is_none() -> None:
    edges = (edge(2, 1, wait_s=5.0), edge(4, 3, wait_s=0.5))
    shown = settle(None, snapshot(edges))
    suite = ElementTree.fromstring(lock_junit.document(shown, 1.0).encode()).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    failed, passed = suite.findall("testcase")
    failure = failed.find("failure")
    assert failure is not None
    assert failure.text is not None
    assert failed.get("name") == "test_1 (gw1, pid 1) blocks nobody for long"
    assert failed.get("time") == "5.000"
    assert failure.get("type") == "same_row"
    assert "└─ pid 2" in failure.text
    assert passed.find("failure") is None
    assert passed.find("system-out") is not None
    nothing = ElementTree.fromstring(lock_junit.document(snapshot(), 1.0).encode())
    assert [case.get("name") for case in nothing.iter("testcase")] == ["Nothing is blocked."]
    assert nothing.find(".//failure") is None


def test_what_a_deadlock_left_undecided_is_skipped_not_passed() -> None:
    edges = (edge(1, 2, wait_s=None), edge(2, 1, wait_s=None), edge(4, 3, wait_s=None))
    shown = settle(settle(None, snapshot(edges)), snapshot(edges, after_s=0.15))
    document = ElementTree.fromstring(lock_junit.document(shown, 1.0).encode())
    deadlock, other = document.iter("testcase")
    assert deadlock.find("failure") is not None
    assert other.find("skipped") is not None


@pytest.mark.parametrize("form", LOCKS)
def test_hostile_text_is_harmless_in_every_form(form: Format) -> None:
    document = render_locks(form, waiting(HOSTILE), 1.0)
    assert not set(document) & set("\x00\x1b\r\u202e\udcff\ufffe")
    assert not any(line.startswith(("::warning", "## h")) for line in document.splitlines())
