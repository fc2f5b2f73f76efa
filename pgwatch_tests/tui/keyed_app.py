"""The keys of a dashboard with tabs: all commands, the help, the names of keys, and why one does nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from textual.actions import parse
from textual.binding import ActiveBinding, Binding, BindingsMap, BindingType
from textual.dom import DOMNode

from pgwatch_tests.text.toned_text import MARKS
from pgwatch_tests.tui.keys.commands import Command, told_bindings
from pgwatch_tests.tui.keys.key_bindings import DETAIL_KEY
from pgwatch_tests.tui.keys.tab_keys import OF_SOME_ROWS, OWN_KEYS
from pgwatch_tests.tui.keys.typed_keys import STOPPING
from pgwatch_tests.tui.later_tabs import AppWithLaterTabs
from pgwatch_tests.tui.screens.help import HelpScreen
from pgwatch_tests.tui.tabs.tab import TAB_ACTIONS, DashboardTab
from pgwatch_tests.tui.tabs.tab_place import TabPlace
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable

_OF_TABS = ("next_root", "next_deadlock", "fold", "group")
"""Actions about which the open tab knows best, besides TAB_ACTIONS."""
_AT_LEAST = "A number with a plus (3 Leaks 28+) is at least that: something wasn't checked."
_MARKS = (
    f"Marks stand for colours: {MARKS['trouble']} is trouble, {MARKS['warning']} a warning, "
    f"{MARKS['notice']} worth a look, {MARKS['good']} all well, or a row that you marked."
)
_IN_WORDS = {"⏎": "enter", "esc": "escape"}
"""How texts write keys that the footer has signs for."""


def parse_action(action: str) -> tuple[str, tuple[object, ...]]:
    """The name of an action and its parameters: of `app.act('cancel')`, `act` and `('cancel',)`."""
    _, name, parameters = parse(action)
    return name, parameters


class KeyedApp(AppWithLaterTabs):
    """Knows what each key does in the open tab, by the bindings and the keymap."""

    def __init__(self, first: DashboardTab, later: Sequence[TabPlace]) -> None:
        super().__init__(first, later)
        self.keymap: Mapping[str, str] = {}
        """The keys that somebody prefers, by the ids of their commands."""
        self._bound: dict[str, list[Binding]] = {}
        """The bindings of each tab, and of the dashboard under an empty title, with these keys."""

    def use_keymap(self, keymap: Mapping[str, str]) -> None:
        """Uses these keys, by the ids of their commands, from now on."""
        self.keymap = keymap
        self._bound = {}
        self.set_keymap(dict(keymap))

    @property
    def _tab(self) -> DashboardTab:
        """The open tab."""
        return self._tabs[self._active]

    # Names of keys.

    def key_name(self, id_: str, title: str = "") -> str:
        """The key of a command, by its id, as texts write it: `p`, `enter`; here, or in that tab.

        Where that tab has another use for it, the way over the list of all commands: `^p Pause`.
        """
        title = title or self._tab.TITLE
        own, everywhere = self._bound_in(title), self._bound_in("")
        if found := next((one for one in own if one.id == id_), None):
            return self._written(found)
        if found := next((one for one in everywhere if one.id == id_), None):
            others_use = [one for one in own if one.key == found.key and one.id != id_]
            hidden = any(
                (title, one.id) not in OF_SOME_ROWS and self._does_something(one) for one in others_use
            )
            return f"^p {found.description}" if hidden else self._written(found)
        others = map(self._bound_in, self._titles.values())
        return next((self._written(one) for group in others for one in group if one.id == id_), "")

    def _bound_in(self, title: str) -> list[Binding]:
        if title not in self._bound:
            bindings: Iterable[BindingType] = OWN_KEYS[title] if title else self.BINDINGS
            found = BindingsMap(bindings)
            found.apply_keymap(dict(self.keymap))
            self._bound[title] = [one for _, one in found]
        return self._bound[title]

    def _written(self, binding: Binding) -> str:
        display = self.get_key_display(binding)
        return _IN_WORDS.get(display, display)

    def _does_something(self, binding: Binding) -> bool:
        return self._tab.check_action(*parse_action(binding.action)) is not False

    # What keys do, and why not.

    def why_not(self, action: str, _: tuple[object, ...] = ()) -> str:
        """Why an action does nothing now, as a sentence; empty if it would do something."""
        of_tab = action in (*TAB_ACTIONS, *_OF_TABS)
        return self._tab.why_not(action) if of_tab and self._tab.is_mounted else ""

    def never(self, action: str, parameters: tuple[object, ...]) -> str:
        """Why this dashboard never does an action, whatever it shows; empty if it can."""
        return ""

    def reading(self) -> Sequence[str]:
        """How to read the open tab, in paragraphs."""
        return self._tab.reading()

    def commands(self) -> list[Command]:
        """All commands, those of the open tab first."""
        found: list[Command] = []
        open_tab = self._tab
        of_table = self._commands_of(open_tab.table, "")
        taken = self._keys_of_tab
        found += self._commands_of(open_tab, "")
        # What each row does, before the keys that move in the table.
        found += [one for one in of_table if one.does == DETAIL_KEY.tooltip]
        found += [one for one in self._commands_of(self, "") if one.key not in taken]
        found += [one for one in of_table if one.does != DETAIL_KEY.tooltip]
        for tab in self._tabs.values():
            if tab is not open_tab:
                found += self._commands_of(tab, tab.TITLE)
        return found

    def extra_commands(self) -> list[Command]:
        """Commands without a key."""
        shadowed = [one for one in self._commands_of(self, "") if one.key in self._keys_of_tab]
        names = {one.name for one in self.commands()}
        picture = Command(
            *("", "Save a picture", "Write the screen to an SVG file beside the exports", "", ""),
            self._save_picture,
        )
        return [*(replace(one, key="") for one in shadowed if one.name not in names), picture]

    @property
    def _keys_of_tab(self) -> set[str]:
        """The keys that mean something else in the open tab than elsewhere."""
        return {
            self.get_key_display(replace(binding, key=key))
            for node in (self._tab.table, self._tab)
            for key, binding in told_bindings(node, self.keymap)
            if node.check_action(*parse_action(binding.action)) is not False
        }

    def _save_picture(self) -> None:
        # Once the list of commands is closed.
        self.set_timer(0.1, self.deliver_screenshot)

    def _commands_of(self, node: LiveTable | DashboardTab | KeyedApp, place: str) -> list[Command]:
        found = []
        for key, binding in told_bindings(node, self.keymap):
            name, parameters = parse_action(binding.action)
            owner = node if isinstance(node, DashboardTab) else self
            if owner.never(name, parameters):
                continue
            refused = "" if place else owner.why_not(name, parameters)
            run = partial(self._run_command, node, binding.action, place, refused)
            display = self.get_key_display(replace(binding, key=key))
            found.append(Command(display, binding.description, binding.tooltip, place, refused, run))
        return found

    def _run_command(self, node: DOMNode, action: str, place: str, refused: str) -> None:
        if place:
            self.call_later(self.open_tab, next(one for one, tab in self._tabs.items() if place == tab.TITLE))
        if refused:
            self.notify_refusal(refused)
        else:
            self.call_later(self.run_action, action, node)

    @abstractmethod
    async def open_tab(self, tab: str) -> None:
        """Opens the tab of that pane."""

    def action_help(self) -> None:
        """Shows what the keys do here."""
        reading = (*self.reading(), _AT_LEAST, *([_MARKS] if self.no_color else []))
        self.push_screen(HelpScreen(self._tab.TITLE, self.commands(), reading))

    def refuse(self, key: str, bound: ActiveBinding | None) -> None:
        """Says why a key does nothing."""
        if bound is None:
            reason = self.unbound(key)
        elif isinstance(bound.node, KeyedApp | DashboardTab):
            reason = bound.node.why_not(*parse_action(bound.binding.action))
        elif isinstance(bound.node, LiveTable) or bound.binding.action.startswith("app."):
            reason = self.why_not(*parse_action(bound.binding.action))
        else:
            reason = ""
        if reason:
            self.notify_refusal(reason)

    def unbound(self, key: str) -> str:
        """Why a key that isn't bound here does nothing: it may be of another tab. Empty for other keys."""
        if key == STOPPING:
            return "A stopped dashboard could stand in a suite's way, so it isn't stopped: Ctrl+C leaves it."
        for pane_id, title in self._titles.items():
            tab = self._tabs.get(pane_id)
            for bound, binding in () if tab is None else told_bindings(tab, self.keymap):
                if bound != key:
                    continue
                opens = self.key_name(title.lower())
                return f"{self.get_key_display(binding)} is for {title} ({opens}): {binding.tooltip}."
        return ""
