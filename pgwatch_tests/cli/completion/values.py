"""Values that a shell completes: words of comma lists, a command with its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem[str]]"]


def comma_list(words: Iterable[str] | Callable[[], Iterable[str]]) -> Complete:
    """The `shell_complete` of an option that takes a comma list; no word is offered twice.

    A function is called when words are wanted: for those whose import takes time.
    """

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",")
        known = words() if callable(words) else words
        return [
            CompletionItem(f"{before}{comma}{word}")
            for word in known
            if word.startswith(last) and word not in taken
        ]

    return complete


def one_of(words: Callable[[], Iterable[str]]) -> Complete:
    """The `shell_complete` of an option that takes one of these words, which are asked for when wanted."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return [CompletionItem(word) for word in words() if word.startswith(incomplete)]

    return complete


def format_and_file(forms: Iterable[str]) -> Complete:
    """The `shell_complete` of FORMAT[=FILE]."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        form, equals, file = incomplete.partition("=")
        if equals:
            return [CompletionItem(file, type="file")]
        return [CompletionItem(one) for one in forms if one.startswith(form)]

    return complete


def command_line(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The `shell_complete` of a command line of somebody else's: a command, then files."""
    begun = bool(param.name and ctx.params.get(param.name))
    return [CompletionItem(incomplete, type="file" if begun else "command")]
