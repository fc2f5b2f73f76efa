"""`pgwatch-tests lint` as people and pipelines run it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_tests.lint.rules import RULES
from pgwatch_tests.lint.syntax import typescript_tree
from tests.cli.running import held_by_file_modes, pgwatch
from tests.lint.suites import write
from tests.servers.sessions import Connect, Database

SUITE = {
    "tests/test_a.py": "import time\ndef test_a(cur):\n    time.sleep(1)\n"
    "    cur.execute('INSERT INTO users (email) VALUES (%s)', ('a@b.example',))\n",
    "tests/test_b.py": "def test_b(cur):\n    cur.execute('DELETE FROM users')\n",
}


def test_the_exit_codes_of_a_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, SUITE)
    found = pgwatch(tmp_path, "lint", "--fail")
    assert (found.returncode, found.stderr) == (1, "")
    assert "tests/test_a.py:3:10: warning [sleep] Pauses for 1 s" in found.stdout
    assert "0 errors, 3 warnings in 2 files" in found.stdout
    assert pgwatch(tmp_path, "lint").returncode == 0
    quiet = pgwatch(tmp_path, "lint", "--fail", "--ignore", "sleep,wiped-rows", "--ignore", "static-identity")
    assert (quiet.returncode, quiet.stdout) == (0, "nothing found in 2 files\n")
    write(tmp_path, {"a.test.ts": "test('a', () => {})"})
    monkeypatch.setattr(typescript_tree, "is_installed", lambda: False)
    incomplete = pgwatch(tmp_path, "lint", "--fail", "--select", "order-dependence")
    assert incomplete.returncode == 4
    assert "not read: a.test.ts: needs the extra lint" in incomplete.stdout
    assert pgwatch(tmp_path, "lint", "--fail").returncode == 1
    for wrong, words in (
        (["--select", "nap"], "there is no rule 'nap'"),
        (["nowhere"], "no such file"),
        (["--explain", "nap"], "there is no rule 'nap'"),
        (["--select", "sleep", "--ignore", "sleep"], "no rule is left"),
        (["--leaks", "nowhere.json"], "cannot read the leaks"),
    ):
        refused = pgwatch(tmp_path, "lint", *wrong)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr


def test_the_formats(tmp_path: Path) -> None:
    write(tmp_path, {**SUITE, "tests/test_c.py": "import time\n" + "def test_c():\n    time.sleep(1)\n" * 12})
    document = json.loads(pgwatch(tmp_path, "lint", "--format", "json").stdout)
    assert document["schema"] == "pgwatch-tests.lint/1"
    assert (document["files"], document["complete"], document["not_read"]) == (3, True, [])
    first = document["findings"][0]
    assert {key: first[key] for key in ("rule", "path", "line", "severity", "test")} == {
        "rule": "sleep",
        "path": "tests/test_a.py",
        "line": 3,
        "severity": "warning",
        "test": "test_a",
    }
    assert first["help"]
    assert first["message"]
    lines = pgwatch(tmp_path, "lint", "--format", "github").stdout.splitlines()
    assert lines[0].startswith("::warning file=tests/test_a.py,line=3,title=sleep::Pauses")
    assert sum(line.startswith("::warning") for line in lines) == 10
    assert "title=wiped-rows" in "".join(lines)
    assert lines[-2:] == ["… and 5 more warnings", "0 errors, 15 warnings in 3 files"]


def test_each_rule_is_listed_and_explained(tmp_path: Path) -> None:
    listed = pgwatch(tmp_path, "lint", "--rules").stdout
    for rule in RULES.values():
        assert f"{rule.id} " in listed
        assert max(map(len, rule.summary.splitlines())) <= 110
        explained = pgwatch(tmp_path, "lint", "--explain", rule.id).stdout
        assert explained.startswith(f"{rule.id}: ")
        assert "found" in explained
        assert explained.endswith(f"→ {rule.help}\n")


def test_accepted_findings_pass_wherever_their_line_moves(tmp_path: Path) -> None:
    write(tmp_path, SUITE)
    written = pgwatch(tmp_path, "lint", "--fail", "--write-accept", "lint.json")
    assert (written.returncode, written.stderr) == (
        0,
        "pgwatch-tests: 3 accepted findings of lint written to lint.json\n",
    )
    moved = "\n\n" + SUITE["tests/test_a.py"] + "def test_new():\n    time.sleep(2)\n"
    write(tmp_path, {"tests/test_a.py": moved, "tests/test_b.py": "def test_b(): ...\n"})
    done = pgwatch(tmp_path, "lint", "--fail", "--accept", "lint.json")
    assert done.returncode == 1
    assert "tests/test_a.py:8:10: warning [sleep] Pauses for 2 s" in done.stdout
    assert "0 errors, 1 warning in 2 files, 2 accepted" in done.stdout
    assert "accepted, but there no more: wiped-rows in tests/test_b.py" in done.stdout


def test_the_keys_of_a_database_decide(database: Database, connect: Connect, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "tests/test_a.py": "def test_a(cur):\n"
            '    cur.execute("INSERT INTO users (email, login, '
            "username) VALUES ('a@b.example', 'a', "
            "'b')\")\n"
            "    cur.execute(\"INSERT INTO profiles (email) VALUES ('a@b.example')\")\n"
            "def test_b(cur):\n    cur.execute('DELETE FROM users')\n"
        },
    )
    admin = connect(autocommit=True)
    admin.execute("CREATE TABLE users (id int PRIMARY KEY, email text, login text UNIQUE, username text)")
    admin.execute("CREATE UNIQUE INDEX ON users (lower(email)) WHERE id > 0")
    admin.execute("CREATE UNIQUE INDEX ON users (username, login)")
    admin.execute("CREATE TABLE profiles (user_id int REFERENCES users, email text)")
    done = pgwatch(tmp_path, "lint", "--dsn", database.dsn, "--format", "json", "--fail")
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)["findings"]
    assert [(one["line"], one["severity"], one["message"].split(" ")[0]) for one in found] == [
        (2, "error", "users.email"),
        (2, "error", "users.login"),
        (2, "info", "users.username"),
        (3, "info", "profiles.email"),
        (5, "error", "DELETE"),
    ]
    assert "profiles refers to it" in found[-1]["message"]
    assert admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgwatch-tests'"
    ).fetchone() == (0,)


def test_a_role_that_may_only_read_is_enough(database: Database, connect: Connect, tmp_path: Path) -> None:
    write(tmp_path, SUITE)
    role = f"reader_{uuid.uuid4().hex[:12]}"
    admin = connect(autocommit=True)
    admin.execute("CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE)")
    admin.execute("CREATE TABLE bookings (user_id int REFERENCES users)")
    admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
    try:
        dsn = make_conninfo(database.dsn, user=role)
        done = pgwatch(tmp_path, "lint", "--dsn", dsn, "--select", "static-identity,wiped-rows", "--fail")
    finally:
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    assert (done.returncode, done.stderr) == (1, "")
    assert "error [static-identity] users.email" in done.stdout
    assert "error [wiped-rows] DELETE without WHERE" in done.stdout
    assert "bookings refers to it" in done.stdout


def test_without_the_database_nothing_is_checked(tmp_path: Path) -> None:
    write(tmp_path, SUITE)
    gone = pgwatch(tmp_path, "lint", "--dsn", "postgresql://u:hunter2@127.0.0.1:1/d", "--fail")
    assert (gone.returncode, gone.stdout, "hunter2" in gone.stderr) == (3, "", False)
    assert gone.stderr.startswith("not checked: the keys")


def test_files_that_cannot_be_read_do_not_sound_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typescript_tree, "is_installed", lambda: False)
    write(tmp_path, {f"{name}.test.ts": "test('a', () => {})" for name in "abcd"})
    none = pgwatch(tmp_path, "lint", "--fail")
    assert none.returncode == 4
    assert none.stdout.endswith("\n\nnothing checked: of 4 files, none could be read\n")
    github = pgwatch(tmp_path, "lint", "--format", "github").stdout
    assert github.endswith("\nnothing checked: of 4 files, none could be read\n")
    write(tmp_path, {"test_a.py": "def test_a(): ...\n"})
    some = pgwatch(tmp_path, "lint", "--fail")
    assert (some.returncode, some.stdout.splitlines()[-1]) == (
        4,
        "nothing found in 1 of 5 files, 4 files not read",
    )
    document = json.loads(pgwatch(tmp_path, "lint", "--format", "json").stdout)
    assert (document["files"], document["unread"], document["complete"]) == (5, 4, False)
    (tmp_path / "empty").mkdir()
    empty = pgwatch(tmp_path, "lint", "empty")
    assert empty.stdout == "nothing checked: there is no file of tests here\n"


def test_a_file_that_is_read_in_part_is_counted(tmp_path: Path) -> None:
    whole = "test('a', async () => {\n  await sleep(500)\n})\n"
    write(tmp_path, {"a.test.ts": f"{whole}test('b', async () => {{\n  await sleep(500)\n }}}}}} ((\n"})
    done = pgwatch(tmp_path, "lint", "--fail", "--select", "sleep")
    assert "1 file read in part" in done.stdout


def test_the_rule_on_comments_is_chosen_as_any_other(tmp_path: Path) -> None:
    line = "    time.sleep(1)  # pgwatch-lint: ignore[sleep]\n"
    write(tmp_path, {"test_a.py": f"import time\ndef test_a():\n{line}"})
    only = pgwatch(tmp_path, "lint", "--select", "ignore-without-reason").stdout
    assert "test_a.py:3:20: warning [ignore-without-reason] Gives no reason" in only
    assert "1 warning in 1 file" in only
    without = pgwatch(tmp_path, "lint", "--ignore", "ignore-without-reason").stdout
    assert "ignore-without-reason" not in without


def test_what_is_closed_is_told_where_tests_may_be(tmp_path: Path) -> None:
    code = "import time\ndef test_a():\n    time.sleep(1)\n"
    (tmp_path / "test_a.py").write_text(code)
    with held_by_file_modes():
        (tmp_path / "test_a.py").write_text(code)
        closed = [tmp_path / "pgdata", tmp_path / "tests" / "db", tmp_path / "test_b.py"]
        for path in closed[:2]:
            path.mkdir(parents=True)
        closed[2].write_text(code)
        for path in closed:
            path.chmod(0)
        try:
            whole = pgwatch(tmp_path, "lint", "--fail")
            named = [
                pgwatch(tmp_path, "lint", path, "--fail")
                for path in ("pgdata", "test_b.py", "pgdata/test_c.py")
            ]
        finally:
            for path in closed:
                path.chmod(0o700)
    assert whole.returncode == 1
    assert [line for line in whole.stdout.splitlines() if line.startswith("not read")] == [
        "not read: test_b.py: Permission denied",
        "not read: tests/db: Permission denied",
    ]
    assert [one.returncode for one in named] == [4, 4, 2]
    assert "cannot read pgdata/test_c.py: Permission denied" in named[2].stderr
