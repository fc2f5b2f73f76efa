"""Command lines that pages show: the command that each names takes its options."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from pathlib import Path

import click
import pytest

from pgwatch_tests import cli
from pgwatch_tests.errors import ConfigurationError
from tests.docs.test_links import READ, ROOT

_FENCE = re.compile(r"^[ ]*```(?:sh|console|yaml|text|bash)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
_ENDS = {"|", "||", "&&", ";", ">", ">>", "&"}


def lines(path: Path) -> list[tuple[str, ...]]:
    """The arguments of each command line of ours in the blocks for a shell."""
    found = []
    for block in _FENCE.findall(path.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            text = line.strip().removeprefix("$ ")
            match = re.match(r"(?:\w+=\S+ |uvx |exec |\S+/)*pgwatch-tests(?P<arguments>(?: .*)?)$", text)
            if match:
                found.append(arguments_of(match["arguments"]))
    return found


def arguments_of(text: str) -> tuple[str, ...]:
    """What a shell would pass: up to a comment, a pipe or another command."""
    words = shlex.shlex(re.sub(r"\$\(\(.*?\)\)", "1", text), posix=True, punctuation_chars="|&;>")
    words.whitespace_split = True
    taken = []
    for word in words:
        if word in _ENDS:
            break
        taken.append(word)
    return tuple(taken)


SHOWN = [(path, line) for path in READ for line in dict.fromkeys(lines(path))]


@pytest.mark.parametrize(
    ("path", "line"), SHOWN, ids=[f"{path.relative_to(ROOT)}: {' '.join(line)}" for path, line in SHOWN]
)
def test_a_command_line_is_taken(
    path: Path, line: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = list(line)
    # Examples name files that aren't here.
    for name in line:
        if re.fullmatch(r"[\w./-]+\.(?:json|xml|txt|pgwatch|html|log)|[\w.-]+/|pgwatch-results", name):
            place = tmp_path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.mkdir(exist_ok=True) if name.endswith("/") or "." not in name else place.touch()
    if not given or given[0].startswith("-"):
        given = ["dashboard", *given]
    parse(cli.group, given)


def parse(group: click.Group, given: list[str]) -> None:
    """Parses a command line as the command does. Raises click.UsageError for one that it doesn't take."""
    context = group.make_context("pgwatch-tests", given[:1])
    name, *rest = given
    command = group.get_command(context, name)
    assert command is not None, name
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        name, *rest = rest
        command = command.commands[name]
    # What a known option names isn't here.
    with suppress(ConfigurationError):
        command.make_context(name, rest)


def test_there_are_many() -> None:
    assert len(SHOWN) > 120


def test_an_unknown_option_is_found() -> None:
    assert arguments_of(" leaks --fail > x # y") == ("leaks", "--fail")
    with pytest.raises(click.UsageError):
        parse(cli.group, ["leaks", "--fial"])
