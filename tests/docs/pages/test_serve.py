"""docs/serve.md shows commands that are parsed, what is printed, and refusals that happen."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from pgwatch_tests import cli
from pgwatch_tests.web.admission import TOKEN_VARIABLE, token
from pgwatch_tests.web.listen_address import DEFAULT_PORT, tunnel
from tests.servers.sessions import Database
from tests.web.served import served

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "serve.md").read_text(encoding="utf-8")
COMMANDS = "".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).splitlines()


def test_commands_are_parsed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    (home / "pgwatch-results").mkdir()
    lines = [line.partition("#")[0] for line in COMMANDS if line.startswith("pgwatch-tests ")]
    assert len(lines) == 6
    group = cli.group.make_context("pgwatch-tests", ["serve"])
    command = cli.group.get_command(group, "serve")
    assert command is not None
    named = {name for line in lines for name in re.findall(r"--[a-z-]+", line)}
    assert named == {"--listen", "--replay", "--allow-actions", "--tabs", "--tests", "--refresh"}
    for line in lines:
        assert command.make_context("serve", shlex.split(line)[2:]).params


def test_the_tunnel_is_the_one_that_is_told() -> None:
    assert tunnel(DEFAULT_PORT) in COMMANDS


def test_the_token_that_it_makes_is_one(python: str) -> None:
    (line,) = [one for one in COMMANDS if one.startswith("export ")]
    code = re.findall(r"python3 -c '(.+)'", line)
    made = subprocess.run([python, "-c", *code], capture_output=True, text=True, check=True).stdout
    assert line.startswith(f"export {TOKEN_VARIABLE}=")
    assert token({TOKEN_VARIABLE: made.strip()}) == made.strip()


def test_it_prints_what_the_page_shows(database: Database, home: Path) -> None:
    with served(home, extra={"PGWATCH_DSN": database.dsn}) as running:
        said = running.stderr + running.link
        assert running.stop() == 0
    shown = re.findall(r"<!-- output: serve -->\n```text\n(.*?)\n```", TEXT, re.DOTALL)
    said = said.replace(str(running.port), str(DEFAULT_PORT))
    assert [re.sub(r"8080/.+/", "8080/3sZ0aV…/", said)] == shown
