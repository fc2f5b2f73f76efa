"""Completion: what a shell asks over the environment, and bash itself, with the script that it is given."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pgwatch_tests import cli
from pgwatch_tests.leaks.gate import ALL_KINDS
from pgwatch_tests.lint.rules import RULES
from tests.cli.running import environment

pytestmark = pytest.mark.usefixtures("python")

HEAVY = ("textual", "rich", "sqlalchemy", "psycopg", "tabulate", "apscheduler")
ASK = f"""
import sys
from pgwatch_tests.cli import main
try:
    main()
finally:
    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""


def answers(line: str, cwd: Path, shell: str = "fish") -> list[list[str]]:
    """Type, value and help of what completes a line, asked as a shell does."""
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment({"_PGWATCH_TESTS_COMPLETE": f"{shell}_complete", "COMP_LINE": line}),
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stderr == "[]\n", done.stderr
    # Without an answer, there is an empty line.
    return [answer.split("\t") for answer in done.stdout.splitlines() if answer]


def values(line: str, cwd: Path) -> list[str]:
    return [value for _, value, _ in answers(line, cwd)]


def test_commands_have_their_lines_of_the_help(tmp_path: Path) -> None:
    expected = [["plain", name, line] for name, (_, line) in cli.COMMANDS.items()]
    assert answers("pgwatch-tests ", tmp_path) == expected
    assert "," in cli.COMMANDS["dashboard"][1]
    assert values("pgwatch-tests re", tmp_path) == ["record", "report", "replay"]


def test_options_without_a_command_are_the_dashboards_too(tmp_path: Path) -> None:
    found = values("pgwatch-tests --", tmp_path)
    assert {"--dsn", "--once", "--version", "--debug"} <= {*found}
    assert found.count("--help") == 1
    assert values("pgwatch-tests --dsn postgresql://h/x --onc", tmp_path) == ["--once"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pgwatch-tests locks --format ", ["table", "json", "csv", "markdown", "github", "junit"]),
        ("pgwatch-tests locks --format=j", ["json", "junit"]),
        ("PGWATCH_DSN=x /usr/bin/pgwatch-tests locks --format j", ["json", "junit"]),
        ("pgwatch-tests locks -d 'host=h dbname=x' --format js", ["json"]),
        ("pgwatch-tests locks -d \"it's open", []),
        ("pgwatch-tests locks --dsn a\\", []),
        ("pgwatch-tests leaks --kinds rep", ["replication_slot"]),
        ("pgwatch-tests leaks --kinds ", ["all", "default", "none", *ALL_KINDS]),
        ("pgwatch-tests leaks --fail-on rows,unr", ["rows,unread"]),
        ("pgwatch-tests leaks --fail-on rows,ro", []),
        ("pgwatch-tests leaks --also ju", ["junit"]),
        ("pgwatch-tests sweep --only sc", ["schemas"]),
        ("pgwatch-tests run --fail-on hang,dead", ["hang,deadlock"]),
        ("pgwatch-tests report --fail-on bl", ["blocked"]),
        ("pgwatch-tests schedule ", ["list", "now", "run"]),
        ("pgwatch-tests lint --explain ", [*RULES]),
        ("pgwatch-tests lint --select all,wip", ["all,wiped-rows"]),
    ],
)
def test_values(line: str, expected: list[str], tmp_path: Path) -> None:
    assert values(line, tmp_path) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pgwatch-tests locks -o dis", ["file", "dis"]),
        ("pgwatch-tests locks --output=dis", ["file", "dis"]),
        ("pgwatch-tests leaks --also json=dis", ["file", "dis"]),
        ("pgwatch-tests run -- py", ["command", "py"]),
        ("pgwatch-tests run -- pytest te", ["file", "te"]),
    ],
)
def test_files_and_commands_are_the_shells(line: str, expected: list[str], tmp_path: Path) -> None:
    assert [answer[:2] for answer in answers(line, tmp_path)] == [expected]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_settings_that_are_wrong_disturb_no_completion(shell: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pgwatch-tests\n")
    assert answers("pgwatch-tests locks --form", tmp_path, shell)[0][:2] == ["plain", "--format"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_asks_by_the_name_that_is_answered(shell: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pgwatch_tests"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment({"_PGWATCH_TESTS_COMPLETE": f"{shell}_source"}),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"_PGWATCH_TESTS_COMPLETE={shell}_complete" in done.stdout
    assert "%(" not in done.stdout
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=done.stdout, capture_output=True, text=True, timeout=60)
        assert (checked.returncode, checked.stderr) == (0, "")


BASH = """
eval "$(_PGWATCH_TESTS_COMPLETE=bash_source pgwatch-tests)"
compopt() { printf 'compopt %s\\n' "$*"; }
complete -p pgwatch-tests
while IFS= read -r line; do
    COMP_LINE=$line COMP_POINT=${#line}
    _pgwatch_tests_completion pgwatch-tests
    printf '%s: %s\\n' "$line" "${COMPREPLY[*]}"
done
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash is installed")
def test_bash_takes_the_script(tmp_path: Path) -> None:
    command = tmp_path / "pgwatch-tests"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pgwatch_tests "$@"\n')
    command.chmod(0o755)
    (tmp_path / "pgwatch-own").write_text("#!/bin/sh\n")
    (tmp_path / "pgwatch-own").chmod(0o755)
    lines = [
        "pgwatch-tests lo",
        "pgwatch-tests locks --format=js",
        "pgwatch-tests -d postgresql://h/x --onc",
        "pgwatch-tests run -- pgwatch-o",
        "pgwatch-tests locks -o x",
    ]
    path = f"{tmp_path}:{environment()['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment({"PATH": path}),
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert re.search(r"-F _pgwatch_tests_completion pgwatch-tests$", said[0])
    assert said[1:] == [
        "pgwatch-tests lo: locks",
        "pgwatch-tests locks --format=js: json",
        "pgwatch-tests -d postgresql://h/x --onc: --once",
        "pgwatch-tests run -- pgwatch-o: pgwatch-own",
        "compopt -o default",
        "pgwatch-tests locks -o x: ",
    ]
