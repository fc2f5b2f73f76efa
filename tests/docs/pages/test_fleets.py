"""docs/fleets.md shows commands that are parsed, settings that are taken, and metrics that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from pgwatch_tests import cli
from pgwatch_tests.settings.load import Flags, load

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "fleets.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (pgwatch-tests .+)$", TEXT, re.MULTILINE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_parsed(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = cli.group.get_command(cli.group.make_context("pgwatch-tests", [name]), name)
    assert command is not None
    if isinstance(command, click.Group) and arguments[0] in command.commands:
        name, *arguments = arguments
        command = command.commands[name]

    context = command.make_context(name, arguments)

    assert context.params


def test_settings_are_taken(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("\n".join(blocks("toml")), encoding="utf-8")

    servers = load(Flags(), {}, tmp_path).servers

    assert [(one.name, one.databases) for one in servers] == [("ci-1", ()), ("ci-2", ("test_*", "app_ci"))]


def test_metrics_exist() -> None:
    package = Path(cli.__file__).parent.parent / "reports" / "openmetrics"
    source = "".join(file.read_text(encoding="utf-8") for file in package.glob("*.py"))
    names = set(re.findall(r"pgwatch_tests_(\w+)", TEXT))

    assert len(names) > 12
    assert {name for name in names if f'"{name}"' not in source} == set()
