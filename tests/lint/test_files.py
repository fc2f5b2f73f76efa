"""Files as repositories have them: encodings, links, generated ones, other languages' mistakes."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.lint import files
from pgwatch_tests.lint.check import check
from pgwatch_tests.lint.syntax import typescript_tree
from tests.lint.suites import ALL, checked, places, write

SLEEP = "test('a', async () => {\n  await sleep(500)\n})\n"
PYTHON_SLEEP = "import time\ndef test_a():\n    time.sleep(1)\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.test.ts", codecs.BOM_UTF8 + SLEEP.encode()),
        ("a.test.ts", SLEEP.replace("\n", "\r\n").encode()),
        ("a.test.ts", SLEEP.encode("utf-16")),
        ("a.test.ts", "// caf\xe9\n".encode("latin-1") + SLEEP.encode()),
        (
            "a.spec.tsx",
            b"const id = <T,>(x: T) => x\nconst el = <div>{id<string>('x')}</div>\n" + SLEEP.encode(),
        ),
        ("a.test.ts", b"fn<typeof import('x')>()\n" + SLEEP.encode()),
        ("a.test.ts", b"test.each`\n a | b\n ${1} | ${2}\n`('x', () => {})\n" + SLEEP.encode()),
        ("a.test.js", b"const el = <div/>\n" + SLEEP.encode()),
        ("test_a.py", codecs.BOM_UTF8 + PYTHON_SLEEP.encode()),
        ("test_a.py", PYTHON_SLEEP.replace("\n", "\r\n").encode()),
        ("test_a.py", b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + PYTHON_SLEEP.encode()),
        ("test_a.py", b"# -*- coding: latin-1 -*-\n" + PYTHON_SLEEP.replace("_a", "_\xe9").encode("latin-1")),
        ("test_a.py", PYTHON_SLEEP.replace("def", "x = 'a\u2028b\x85c'\n\fdef").encode()),
        ("a.test.ts", SLEEP.replace("test(", "const x = 'a\u2028b\x0c'\ntest(").encode()),
    ],
)
def test_a_file_is_read_however_it_is_written(name: str, content: bytes, tmp_path: Path) -> None:
    report = checked(tmp_path, {name: content})
    [found] = report.findings
    assert (found.rule, "sleep(" in found.code) == ("sleep", True)
    assert report.not_read == ()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("test_a.py", b"import time\ndef test_a():\n    time.sleep(1\n", "line 3: '(' was never closed"),
        ("test_a.py", b"# caf\xe9\n" + PYTHON_SLEEP.encode(), "isn't in the encoding"),
        ("test_a.py", PYTHON_SLEEP.encode() + b"\0", "null"),
        ("a.test.ts", SLEEP.encode() + b"//" + b"x" * files.LARGEST, "larger than 5 MB"),
    ],
)
def test_what_cannot_be_read_is_told(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    report = checked(tmp_path, {name: content, "test_other.py": PYTHON_SLEEP})
    assert [one.rule for one in report.findings] == ["sleep"]
    [not_read] = report.not_read
    assert not_read.path.endswith(name)
    assert reason in not_read.reason


def test_a_test_that_is_lost_in_a_syntax_error_is_told_beside_the_rest(tmp_path: Path) -> None:
    report = checked(
        tmp_path, {"a.test.ts": SLEEP + "test('b', async () => {\n  await sleep(500)\n }}} ((\n"}
    )
    assert ("sleep", 2) in places(report.findings)
    assert [one.reason for one in report.not_read] == ["line 4: invalid syntax"]


def test_which_files_are_looked_at(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "app/sleeping.py": PYTHON_SLEEP,
            "app/test_here.py": PYTHON_SLEEP,
            "tests/helpers.py": PYTHON_SLEEP,
            "e2e/deep/er/login.ts": SLEEP,
            "src/a.test.ts": SLEEP,
            "src/a.ts": SLEEP,
            "node_modules/p/a.test.ts": SLEEP,
            "tests/types.d.ts": SLEEP,
            "type-tests/a.ts": SLEEP,
            ".cache/test_a.py": PYTHON_SLEEP,
            "mine/pyvenv.cfg": "",
            "mine/lib/test_a.py": PYTHON_SLEEP,
            "worktrees/b/.git": "gitdir: /repo/.git/worktrees/b\n",
            "worktrees/b/test_a.py": PYTHON_SLEEP,
            "module/.git": "gitdir: ../.git/modules/module\n",
            "module/test_a.py": PYTHON_SLEEP,
        },
    )
    (tmp_path / "tests" / "loop").symlink_to(tmp_path)
    (tmp_path / "tests" / "test_linked.py").symlink_to(tmp_path / "app" / "test_here.py")
    (tmp_path / "tests" / "test_gone.py").symlink_to(tmp_path / "nowhere")

    seen = [file.path.relative_to(tmp_path).as_posix() for file in files.find([tmp_path, tmp_path / "app"])]
    assert seen == [
        "app/test_here.py",
        "e2e/deep/er/login.ts",
        "module/test_a.py",
        "src/a.test.ts",
        "tests/helpers.py",
    ]
    assert [one.rule for one in check([tmp_path / "app" / "test_here.py"], ALL).findings] == ["sleep"]
    assert [file.path.name for file in files.find([tmp_path / "src" / "a.ts"])] == ["a.ts"]


def test_a_path_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        list(files.find([tmp_path / "nothing"]))
    (tmp_path / "a.txt").touch()
    with pytest.raises(ConfigurationError, match="no source that lint reads"):
        list(files.find([tmp_path / "a.txt"]))


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("test_pipe.py", "conftest.py"):
        os.mkfifo(tmp_path / name)
    write(tmp_path, {"test_a.py": "def test_a(session):\n    session.execute('TRUNCATE users')\n"})
    report = check([tmp_path / "test_pipe.py", tmp_path], ALL)
    assert [one.reason for one in report.not_read] == ["is no regular file"]
    assert [one.rule for one in report.findings] == ["wiped-rows"]


def test_no_secret_of_a_line_is_shown(tmp_path: Path) -> None:
    line = f"    connect('postgresql://app:hunter2@{'db' * 60}/shop'); time.sleep(1)\n"
    [found] = checked(tmp_path, {"test_a.py": f"import time\ndef test_a():\n{line}"}).findings
    assert ("hunter2" in found.code, found.code[:30]) == (False, "connect('postgresql://app:***@")


def test_a_generated_file_of_a_megabyte_is_checked(tmp_path: Path) -> None:
    rows = "\n".join(f"  {{ id: {number}, name: 'row {number}' }}," for number in range(25_000))
    report = checked(tmp_path, {"tests/rows.ts": f"export const rows = [\n{rows}\n]\n" + SLEEP})
    assert [(one.rule, one.line) for one in report.findings] == [("sleep", 25_004)]


def test_what_is_nested_deeply_ends_nothing(tmp_path: Path) -> None:
    python = "def test_a():\n    x = " + "(" * 150 + "sleep(1)" + ")" * 150 + "\n"
    chain = "sleep(1)" + ".then()" * 3_000
    report = checked(
        tmp_path,
        {"test_a.py": python + "    y = " + "-" * 5_000 + "1\n", "b.test.ts": chain, "c.test.ts": SLEEP},
    )
    assert "c.test.ts" in {Path(one.path).name for one in report.findings}
    assert {one.reason for one in report.not_read} <= {
        "nested too deeply",
        "line 2: too many nested parentheses",
    }


def test_without_the_extra_typescript_is_told_as_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typescript_tree, "is_installed", lambda: False)
    report = checked(tmp_path, {"a.test.ts": SLEEP, "test_a.py": PYTHON_SLEEP})
    assert [one.rule for one in report.findings] == ["sleep"]
    assert [one.reason for one in report.not_read] == [typescript_tree.MISSING]


IGNORED = {
    "d.test.ts": (
        "const x = 'a\u2028b'\ntest('a', async () => {\n"
        "  await sleep(500) // pgwatch-lint: ignore[sleep] limit\n})\n"
    ),
    "a.test.ts": (
        "test('a', async () => {\n  await sleep(500) // pgwatch-lint: ignore[sleep] the API's rate "
        "limit\n})\n"
    ),
    "b.test.ts": "test('a', async () => {\n  // pgwatch-lint: ignore[sleep, "
    "no-cleanup]: the API's rate "
    "limit\n"
    "  // which is documented\n  await sleep(500)\n})\n",
    "test_c.py": (
        "import time\ndef test_a():\n    time.sleep(1)  # pgwatch-lint: ignore[sleep] – rate limit\n"
    ),
}
NOT_IGNORED = {
    "test_a.py": "import time\ndef test_a():\n    time.sleep(1)  # pgwatch-lint: ignore[sleep]\n",
    "test_b.py": "import time\ndef test_a():\n    time.sleep(1)  # pgwatch-lint: ignore because\n",
    "test_c.py": "import time\ndef test_a():\n    time.sleep(1)  # pgwatch-lint: ignore[nap] because\n",
    "test_d.py": "x = 1  # pgwatch-lint: ignore[nap] because\n",
}
NO_COMMENTS = {
    "test_a.py": (
        "import time\ndef test_a():\n    time.sleep(1); x = '# pgwatch-lint: ignore[sleep] because'\n"
    ),
    "test_b.py": (
        'import time\ndef test_a():\n    x = """\n# pgwatch-lint: ignore[sleep] because\n"""; time.sleep(1)\n'
    ),
    "a.test.ts": (
        "test('a', async () => {\n  await sleep(500); f('// pgwatch-lint: ignore[sleep] because')\n})\n"
    ),
    "b.test.ts": (
        "test('a', async () => {\n  await sleep(500); f(`/* pgwatch-lint: ignore[sleep] because */`)\n})\n"
    ),
    ".github/workflows/ci.yml": (
        "- run: 'npx jrm all/**/junit.xml # pgwatch-lint: ignore[overwritten-report] because'\n"
    ),
}
IN_YAML = (
    "- run: npx jrm all/**/junit.xml  # pgwatch-lint: ignore[overwritten-report] kept elsewhere\n"
    "# pgwatch-lint: ignore[overwritten-report] kept elsewhere, too\n"
    "- run: npx jrm all/**/junit.xml\n"
)
IN_JSX = (
    "test('a', async () => {\n  const el = <div>\n    {/* pgwatch-lint: ignore[sleep] the API's limit */}\n"
    "    {await sleep(500)}\n  </div>\n})\n"
)


def test_words_in_a_string_ignore_nothing(tmp_path: Path) -> None:
    report = checked(tmp_path, NO_COMMENTS)
    found = sorted((Path(one.path).name, one.rule) for one in report.findings)
    assert found == [
        ("a.test.ts", "sleep"),
        ("b.test.ts", "sleep"),
        ("ci.yml", "overwritten-report"),
        ("test_a.py", "sleep"),
        ("test_b.py", "sleep"),
    ]
    assert report.ignored == 0


def test_comments_of_yaml_and_jsx_ignore(tmp_path: Path) -> None:
    report = checked(tmp_path, {".github/workflows/ci.yml": IN_YAML, "a.test.tsx": IN_JSX})
    assert (places(report.findings), report.ignored) == ([], 3)


def test_migrations_and_tests_of_types_are_no_tests(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "tests/migrations/001.ts": "export const down = (pgm) => pgm.sql('DELETE FROM users')\n",
            "tests/migrations/test_a.py": PYTHON_SLEEP,
            "tests/seeds/one.js": "exports.seed = (knex) => knex('users').del()\n",
            "tests/types/a.test-d.ts": SLEEP,
            "tests/a.bench.ts": SLEEP,
        },
    )
    found = [file.path.relative_to(tmp_path).as_posix() for file in files.find([tmp_path])]
    assert found == ["tests/migrations/test_a.py"]


def test_a_comment_with_a_reason_ignores_a_finding(tmp_path: Path) -> None:
    report = checked(tmp_path, IGNORED)
    assert (report.findings, report.ignored) == ((), 4)


def test_a_comment_without_a_reason_ignores_nothing(tmp_path: Path) -> None:
    report = checked(tmp_path, NOT_IGNORED)
    found = sorted((one.path[-9:], one.rule) for one in report.findings)
    assert found == [
        ("test_a.py", "ignore-without-reason"),
        ("test_a.py", "sleep"),
        ("test_b.py", "ignore-without-reason"),
        ("test_b.py", "sleep"),
        ("test_c.py", "ignore-without-reason"),
        ("test_c.py", "sleep"),
        ("test_d.py", "ignore-without-reason"),
    ]
    assert report.ignored == 0
