"""docs/run.md and others: each command line that they show is one that `run` takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pgwatch_tests.cli.commands.runs.run import command

_ROOT = Path(__file__).resolve().parents[3]
_LINE = re.compile(r"pgwatch-tests run (?P<arguments>[^`#\n]*)")
_LINES = [
    match["arguments"].strip()
    for page in ("docs/run.md", "docs/index.md", "README.md")
    for match in _LINE.finditer((_ROOT / page).read_text(encoding="utf-8"))
    if " -- " in f" {match['arguments']}"
]


@pytest.mark.parametrize("line", dict.fromkeys(_LINES))
def test_a_command_line_is_taken(line: str) -> None:
    options, _, program = line.partition("-- ")
    context = command.make_context("run", [*shlex.split(options), "--", *shlex.split(program)])
    assert context.params["command"] == tuple(shlex.split(program))


def test_there_are_such_lines() -> None:
    assert len(_LINES) >= 8
