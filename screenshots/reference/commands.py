"""Every command with its options and exit codes, as click knows them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from pgwatch_tests import cli
from screenshots.reference.cells import table
from screenshots.reference.cells import text as plain

_GATES = {"fail", "fail_on"}
_SERVERS = {"dsn", "servers"}
# Commands that try again until the server is there.
_WAITING = {"serve"}
# Options that write a verdict of their own, without --fail.
_CHECKS = {"check": "1 with `--check`, if files are missing or older"}


def text() -> str:
    """A list of the commands, then a section for each: what it does, its options, its exit codes."""
    return "\n\n".join((_overview(), *(section for _, section in sections())))


def _overview() -> str:
    rows = ((f"[`{name}`](#{name})", plain(one.get_short_help_str(200))) for name, one, _ in _commands())
    return table(("command", "does"), rows)


def sections() -> Iterator[tuple[str, str]]:
    """Yields the name of each command and its section; a command's own commands follow it."""
    for name, command, context in _commands():
        yield from _sections(name, command, context)


def _commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    context = cli.group.make_context("pgwatch-tests", ["dashboard"])
    for name in cli.COMMANDS:
        command = cli.group.get_command(context, name)
        assert command is not None
        yield name, command, context


def _sections(name: str, command: click.Command, parent: click.Context) -> Iterator[tuple[str, str]]:
    own = {**command.context_settings, "info_name": name.rpartition(" ")[2], "parent": parent}
    context = click.Context(command, **own)
    yield name, _section(name, command, context)
    if isinstance(command, click.Group):
        for inner, one in command.commands.items():
            yield from _sections(f"{name} {inner}", one, context)


def _section(name: str, command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [f"### {name}", f"`pgwatch-tests {name} {usage}`", *_described(command)]
    rows = [
        (f"`{record[0]}`", plain(record[1]))
        for option in command.params
        if isinstance(option, click.Option) and (record := option.get_help_record(context))
    ]
    parts += [table(("option", "meaning"), rows)] if rows else []
    parts += [f"Exit codes: {'; '.join(_exit_codes(name, command))}."]
    return "\n\n".join(parts)


def _described(command: click.Command) -> Iterator[str]:
    """Yields paragraphs of the help, without its option texts; examples as code."""
    for text in (command.help, command.epilog):
        for paragraph in inspect.cleandoc(text or "").split("\n\n"):
            lines = paragraph.replace("\b", "").strip().splitlines()
            head, _, example = " ".join(lines).partition(": ")
            if not lines:
                continue
            if lines[0].startswith("Example") and lines[0].endswith(":"):
                yield "```sh\n" + "\n".join(line.strip() for line in lines[1:]) + "\n```"
            elif head == "Example":
                yield f"```sh\n{example}\n```"
            else:
                yield plain(" ".join(line.strip() for line in lines))


def _exit_codes(name: str, command: click.Command) -> Iterator[str]:
    """Yields what a command can end with, by its options: each error has its code (pgwatch_tests.errors)."""
    options = {one.name for one in command.params}
    yield "0"
    if options & _GATES:
        flags = [f"`--{one.replace('_', '-')}`" for one in sorted(options & _GATES)]
        yield f"1 with {' or '.join(flags)}, 4 if something wasn't checked then"
    for option, meaning in _CHECKS.items():
        if option in options:
            yield meaning
    if "cancel" in options:
        yield "4 for an action that isn't seen to have worked"
    yield "2"
    if (options & _SERVERS or name == "demo") and name not in _WAITING:
        yield "3 without a connection"
    if name == "run":
        yield "those of its command"
