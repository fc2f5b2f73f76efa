"""Everything about one session: what `enter` opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from pgwatch_tests import durations
from pgwatch_tests.locks.model import Party, Session
from pgwatch_tests.locks.picture import LockPicture
from pgwatch_tests.reports.lock_tree import lock_facts
from pgwatch_tests.reports.plain_text import plain, plain_lines

_MOST_CHARACTERS = 100_000


class TextScreen(ModalScreen[None]):
    """Lines of plain text in a scrollable box."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,question_mark", "dismiss", "Close"),
        # A modal screen hides the app's own keys.
        Binding("q", "app.quit", "Quit"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = self._title
            box.border_subtitle = "escape closes"
            yield Static("\n".join(self._lines), markup=False)

    async def action_dismiss(self, result: None = None) -> None:
        self.dismiss(result)

    def action_scroll(self, lines: int) -> None:
        """Scrolls by `lines`."""
        self.query_one("#box").scroll_relative(y=lines, animate=False)


def detail_screen(picture: LockPicture, party: Party) -> TextScreen:
    """The screen for a session or prepared transaction of `picture`."""
    session = picture.sessions.get(party)
    prepared = picture.prepared.get(party)
    lines: list[str] = []
    if session is not None:
        lines += [f"{name:<12} {value}" for name, value in _facts(session)]
    elif prepared is not None:
        lines += [
            f"{'gid':<12} {plain(prepared.gid)}",
            f"{'database':<12} {plain(prepared.database or '?')}",
            f"{'owner':<12} {plain(prepared.user or '?')}",
            f"{'prepared':<12} {durations.in_words(prepared.age_s)} ago",
        ]
    else:
        lines.append("This session has ended.")
    facts = lock_facts(picture, party)
    if facts:
        lines += ["", *facts]
    if picture.blocks(party):
        lines += ["", f"blocks {picture.blocks(party)} ({picture.blocks_directly(party)} directly)"]
    if session is not None and session.query:
        lines += ["", *plain_lines(session.query[:_MOST_CHARACTERS])]
        if len(session.query) > _MOST_CHARACTERS:
            lines.append(f"… cut: {len(session.query):,} characters in all (y copies them)")
    return TextScreen(str(party) if party.pid else "prepared transaction", lines)


def _facts(session: Session) -> list[tuple[str, str]]:
    state = "hidden: needs pg_monitor" if session.hidden else plain(session.state or "")
    waits = f"{session.wait_event_type}: {session.wait_event}" if session.wait_event_type else ""
    found = [
        ("application", plain(session.application_name)),
        ("database", plain(session.database or "")),
        ("user", plain(session.user or "")),
        ("client", plain(session.client)),
        (
            "state",
            f"{state}, {durations.in_words(session.state_age_s)}"
            if session.state_age_s is not None
            else state,
        ),
        ("transaction", durations.in_words(session.xact_age_s) if session.xact_age_s is not None else ""),
        ("wait event", plain(waits)),
    ]
    return [(name, value) for name, value in found if value]
