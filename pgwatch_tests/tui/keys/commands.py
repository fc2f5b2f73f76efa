"""Commands: what keys do, from their bindings, for the help and for the list of all (`ctrl+p`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from textual.app import App
from textual.binding import Binding, BindingsMap
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode


@dataclass(frozen=True, slots=True)
class Command:
    """What a key does. `place` is the tab whose key it is; empty for keys of the whole dashboard."""

    key: str
    name: str
    does: str
    place: str
    refused: str
    """Why it does nothing now; empty if it would do something."""
    run: Callable[[], None]

    @property
    def sentence(self) -> str:
        """What it does, and why not now."""
        place = f"{self.place}: " if self.place else ""
        return f"{place}{self.does}" if not self.refused else f"Not now: {self.refused}"


class CommandSource(Protocol):
    """A dashboard with commands and themes."""

    theme: str

    def commands(self) -> Sequence[Command]:
        """All commands, those of the open tab first."""

    def extra_commands(self) -> Sequence[Command]:
        """Commands without a key."""


def told_bindings(node: DOMNode, keymap: Mapping[str, str]) -> list[tuple[str, Binding]]:
    """The bindings of a widget, or the app, that say what they do, with their keys by `keymap`."""
    found: list[Binding] = []
    for cls in type(node).__mro__:
        # Those that Textual's own widgets have say nothing, or what is said elsewhere.
        if cls.__module__.startswith("textual."):
            break
        found += [one for _, one in BindingsMap(cls.__dict__.get("BINDINGS", ()))]
    bindings = BindingsMap(found)
    bindings.apply_keymap(dict(keymap))
    return [(key, one) for key, one in bindings if one.tooltip]


class KeyCommands(Provider):
    """Lists all commands with their keys, and the themes."""

    @property
    def _commands(self) -> Iterator[Command]:
        source = cast(CommandSource, self.app)
        yield from source.commands()
        yield from source.extra_commands()
        for name in sorted(self.app.available_themes):
            now = " (now)" if name == self.app.theme else ""
            does = f"Use these colours, from now on{now}"
            yield Command("", f"Theme: {name}", does, "", "", partial(use_theme, self.app, name))

    async def discover(self) -> Hits:
        """Yields all commands."""
        for one in self._commands:
            yield DiscoveryHit(_display(one, Content(one.name)), one.run, one.name, one.sentence)

    async def search(self, query: str) -> Hits:
        """Yields the commands whose name or sentence fits what is typed."""
        matcher = self.matcher(query)
        for one in self._commands:
            score = max(matcher.match(one.name), 0.8 * matcher.match(one.does), 2.0 * (query == one.key))
            if score > 0:
                yield Hit(score, _display(one, matcher.highlight(one.name)), one.run, one.name, one.sentence)


def use_theme(app: App[object], name: str) -> None:
    """Switches to another theme."""
    app.theme = name


def _display(command: Command, name: Content) -> Content:
    return name if not command.key else Content.assemble(name, "  ", (command.key, "bold"))
