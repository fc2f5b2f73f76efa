"""Runs what the pages of docs/ show, as a user would: each page is one run of pytest, on a real database.

How a page is written:

- A fenced block whose first line is a comment that names a file (`# conftest.py`, `# test_booking.py`,
  `-- migrations/1.sql`, `# pytest.ini`) is that file; blocks of one name follow each other in it.
- A fenced `python` block without a name that has a test in it is part of `test_<page>.py`.
- Any other `python` block is a snippet. Snippets run in the page's order, in one namespace, inside one
  test; `await` at the outermost level is fine. `dsn` is there: the page's own database, empty at first.
- What only has to be there for the others is hidden: a line `<!-- python`, then code, then `-->`. It may
  name a file as well, and stands before or between the others as it does in the page.
- `<!-- pytest: --pgwatch=fail -n 2 -->` adds options of pytest. `<!-- fails: test_a test_b -->` names the
  tests that fail, in their set-up, call or tear-down; every other test has to pass.
- The suite has `asyncio_mode = auto` and turns warnings into errors, unless the page has a `# pytest.ini`.
  PGWATCH_DSN and DATABASE_URL name the page's database, and so does the fixture `pgwatch_dsn`.
- What stands between `<!-- output: pytest -->` and `<!-- end -->` is what the run prints; numbers may differ,
  and `…` is any text.
- What isn't to be run (output of others, a sketch) is fenced as `text` or `console`; no `python` block is
  skipped.

A traceback names the page's own lines. `pytest tests/docs -k isolation` runs one page.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import suites_plugins
from tests.docs.page import Page, read_page, shows
from tests.servers.sessions import Database

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [page for path in sorted(DOCS.glob("*.md")) if (page := read_page(path)).is_run]
INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
SNIPPETS = '''
import ast, asyncio, inspect, json, os, pathlib

def test_snippets():
    """Each is compiled at its place in the page."""
    names = {"__name__": "page", "dsn": os.environ["PGWATCH_DSN"]}
    for path, line, text in json.loads(pathlib.Path("snippets.json").read_text()):
        code = compile("\\n" * (line - 1) + text, path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(code, names))
        else:
            exec(code, names)
'''


def run_page(python: str, page: Page, dsn: str, directory: Path) -> tuple[set[str], set[str], str]:
    """Runs a page in an empty directory. Returns names of tests that passed, that failed, and the output."""
    files = {"pytest.ini": INI, **page.files}
    if page.snippets:
        files["test_snippets.py"] = SNIPPETS
        snippets = [(str(page.path), block.line, block.text) for block in page.snippets]
        files["snippets.json"] = json.dumps(snippets)
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PG"))}
    environment |= {"PGWATCH_DSN": dsn, "DATABASE_URL": dsn}
    plugins = suites_plugins(files.values())
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": plugins}
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml=junit.xml", *page.options],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    report = directory / "junit.xml"
    cases = ElementTree.parse(report).iter("testcase") if report.exists() else ()
    failed_of = {case: bool(case.findall("failure") + case.findall("error")) for case in cases}
    failed = {case.attrib["name"] for case, failed in failed_of.items() if failed}
    passed = {case.attrib["name"] for case in failed_of} - failed
    return passed, failed, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=[page.path.name for page in PAGES])
def test_a_page_does_what_it_says(page: Page, python: str, database: Database, tmp_path: Path) -> None:
    passed, failed, output = run_page(python, page, database.dsn, tmp_path)
    assert failed == page.fails, output
    assert passed | failed, output
    for shown in page.outputs:
        assert shows(shown, output), f"{shown}\nisn't in\n{output}"


WRONG = """
# A page

<!-- python
import asyncio
-->
    <!-- fails: not_a_comment_but_code -->

```python
await asyncio.sleep(0)
dsn = dsn.upper()
```

```python
# conftest.py
import pytest

@pytest.fixture
def one():
    return 1
```

<!-- fails: test_that_fails -->
```python
def test_that_fails(one):
    assert one == 2

def test_that_passes(one, pgwatch_dsn):
    assert one == 1
    assert pgwatch_dsn
```

- in a list:

  ```python
  assert dsn == "lower"
  ```
"""


def test_a_page_that_says_something_wrong_fails_at_its_line(python: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.md"
    path.write_text(WRONG)
    page = read_page(path)
    assert page.fails == {"test_that_fails"}
    suite = tmp_path / "suite"
    suite.mkdir()
    passed, failed, output = run_page(python, page, "host=nowhere", suite)
    assert (passed, failed) == ({"test_that_passes"}, {"test_snippets", "test_that_fails"}), output
    lines = WRONG.splitlines()
    for file, line in (("wrong.md", '  assert dsn == "lower"'), ("test_wrong.py", "    assert one == 2")):
        assert f"{file}:{lines.index(line) + 1}: AssertionError" in output


def test_what_a_page_shows_is_looked_for_in_what_was_printed() -> None:
    printed = "==== 3 findings\ntest_a waited 1.25 s for itself\n(pid 471),\n0.1 s before. → End it"
    assert shows("test_a waited 0.5 s for …\n(pid 9).\n  → End it", printed)
    assert not shows("test_a waited 0.5 s for others", printed)


def test_a_comment_that_says_nothing_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "unknown.md"
    path.write_text("<!-- skip: this -->\n")
    with pytest.raises(ValueError, match="line 1: a comment begins with"):
        read_page(path)
