"""Settings and flags that nobody means: a plain line names what can't be used, or all goes well."""

from __future__ import annotations

import subprocess
from pathlib import Path
from unicodedata import category

import click
import pytest

from pgwatch_tests import cli
from pgwatch_tests.settings.load import SETTINGS
from pgwatch_tests.text.plain_text import plain
from tests.cli.running import pgwatch
from tests.servers.sessions import Database

# Bytes that aren't UTF-8 (as Python has them), commands of terminals, numbers that are none, and too much.
VALUES = (
    *("\udcff\udcfe", "%;$(x)\x1b[2J\u202e'\"\\", "\n\r\n\t", "nan", "inf", "-1", "1e999d"),
    *("9" * 5000, "x" * 100_000, "postgresql://[::1/x?%zz"),
)
# What a message calls a setting whose value it shows.
THINGS = {
    "ignore": "can't ignore",
    "markers": "the marker",
    "tests": "the tests in",
    "transactions": "the transaction logs in",
    "history": "the history in",
}
SPLIT = ["--split", "2", "--shard", "1", "--for", "vitest"]
# What a command needs besides, so that it comes to look at the value.
BESIDES = {
    ("leaks", "index"): ["--list"],
    ("schedule", "now"): ["nightly"],
    ("replay",): ["none.pgwatch"],
    # It would serve until it is ended.
    ("serve",): ["--replay", "none.pgwatch"],
    ("record",): ["--for", "10ms", "-o", "a.pgwatch", "--replace"],
    ("run",): ["--no-record"],
    ("junit",): ["a.xml"],
    "--plan": [*SPLIT, "--history", "."],
    "--history": SPLIT,
    "--rollback-prepared": ["--yes"],
    "--cancel": ["--yes"],
    "--terminate": ["--yes"],
}
OPTIONAL = {"--alone", "--lane", "--sweep"}
# For each setting, a command that uses it.
USING = {"history": ["sweep", "--history"], "min_age": ["sweep"], "tests": ["locks"], "refresh": ["locks"]}
KEYS = [setting.key for setting in SETTINGS]
VARIABLES = ["database_url", *(f"pgwatch_{key}" for key in KEYS if key != "schedule")]
# In pyproject.toml's words; a NUL can be in there only.
TOML = (
    *("nan", "-inf", "-1", "0", "1e400", "[]", "{}", '""', '"\\u0000"', '["\\u0000", "\\u001b[2J"]', "true"),
    *("9" * 5000, "1979-05-27", f'"{"x" * 100_000}"', "[[[1]], 2, {}]", '{ "\\u0000" = "\\u0000" }'),
)


def check(done: subprocess.CompletedProcess[str], *names: str) -> None:
    """It did its work, or its last line names one of `names` and says why, as plain text of some length."""
    what = (done.args, done.returncode, done.stdout[-500:], done.stderr[-3000:])
    assert done.returncode in (0, 2, 3) or (done.returncode == 4 and "no part of" in done.stderr), what
    if done.returncode:
        assert done.stdout == "", what
        assert any(name in done.stderr.splitlines()[-1] for name in names), what
        assert len(done.stderr) < 3000, what
    written = {one for one in done.stdout + done.stderr if category(one) in ("Cc", "Cf", "Cs")}
    assert written <= {"\n"}, what


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable(variable: str, database: Database, home: Path) -> None:
    key = variable.removeprefix("pgwatch_")
    for value in VALUES:
        extra = {"PGWATCH_DSN": database.dsn, "PGWATCH_HISTORY": str(home / "history")}
        if key in ("dsn", "database_url"):
            del extra["PGWATCH_DSN"]
        done = pgwatch(home, *USING.get(key, ["leaks"]), extra={**extra, variable.upper(): value})
        check(done, variable.upper(), THINGS.get(key, variable.upper()))


@pytest.mark.parametrize("key", KEYS)
def test_every_setting_of_a_project(key: str, database: Database, home: Path) -> None:
    command = ["schedule", "list"] if key == "schedule" else USING.get(key, ["leaks"])
    for value in TOML:
        text = f"[tool.pgwatch-tests]\n{key} = {value}\n"
        (home / "pyproject.toml").write_text(text, encoding="utf-8")
        extra = {} if key == "dsn" else {"PGWATCH_DSN": database.dsn}
        if key != "history":
            extra["PGWATCH_HISTORY"] = str(home / "history")
        check(pgwatch(home, *command, extra=extra), key, "pyproject.toml", THINGS.get(key, key))


@pytest.mark.parametrize(
    "content",
    [
        b"\0",
        b"\xff\xfe",
        b"[tool.pgwatch-tests]\nmarkers = ['a\0']",
        b"a = " + b"[" * 100_000,
        b"[a" * 100_000,
        b"tool = 1",
        b"tool.pgwatch-tests = 1",
        b'[tool.pgwatch-tests]\n"\\u0000\\u001b[2J" = 1',
    ],
    ids=range(8),
)
def test_a_file_that_is_no_toml(content: bytes, home: Path) -> None:
    (home / "pyproject.toml").write_bytes(content)

    done = pgwatch(home, "locks", extra={"PGWATCH_DSN": "postgresql://nobody@127.0.0.1:1/x"})

    check(done, "pyproject.toml", "127.0.0.1")
    assert done.returncode == (3 if content == b"tool = 1" else 2)


def _flags() -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    waiting: list[tuple[tuple[str, ...], click.Command]] = [((), cli.group)]
    while waiting:
        path, command = waiting.pop()
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                waiting.append(((*path, name), inner))
        for parameter in command.params:
            if path and path != ("demo",) and isinstance(parameter, click.Option) and not parameter.is_flag:
                found.append((path, parameter.opts[-1]))
    return found


@pytest.mark.parametrize(("path", "flag"), _flags(), ids=str)
def test_every_flag(path: tuple[str, ...], flag: str, database: Database, home: Path) -> None:
    is_run = path == ("run",)
    (home / "a.xml").write_text("<testsuite><testcase classname='a' name='b'/></testsuite>")
    # Half of them for each flag, the others for the next one.
    for value in VALUES[len(flag) % 2 :: 2]:
        extra = {"PGWATCH_DSN": database.dsn, "PGWATCH_HISTORY": str(home / "history")}
        # With a sign of equality where a flag may be without a value.
        given = [f"{flag}={value}"] if flag in OPTIONAL else [flag, value]
        besides = (*BESIDES.get(path, []), *BESIDES.get(flag, []))
        command = ("--", "true") if is_run else ()
        done = pgwatch(home, *path, *besides, *given, *command, extra=extra)
        nothing_there = "there are no jobs", "there is no job", "nothing to report", "none.pgwatch", "0 polls"
        check(done, flag, plain(value)[:5], repr(value)[1:5], *nothing_there)
