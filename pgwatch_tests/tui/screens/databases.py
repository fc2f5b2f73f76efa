"""The picker of databases, which `d` opens: whose sessions are shown, and whose leaks are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from pgwatch_tests.locks.model import LockSnapshot, Session
from pgwatch_tests.text.plain_text import plain, shortened_middle
from pgwatch_tests.tui.widgets.tables.column_widths import Column
from pgwatch_tests.tui.widgets.tables.live_table import LiveTable
from pgwatch_tests.tui.widgets.tables.table_rows import LiveRow

_COLUMNS = (
    Column("Database", least=12, cut=shortened_middle),
    Column("Sessions", right=True),
    Column("Blocked", right=True),
    Column("Idle in tx", right=True),
    Column("", rank=1),
)
_HINT = "enter shows only its sessions · a shows all · c counts and sweeps its leaks · escape closes"


@dataclass(frozen=True, slots=True)
class DatabaseChoice:
    """What was chosen: a database to show or to count, or to show all of them."""

    what: Literal["show", "count", "all"]
    database: str = ""


class DatabasesScreen(ModalScreen[DatabaseChoice | None]):
    """Returns the choice, or None. `names` are the databases of the server, `counted` is one of them.

    The figures are those of the moment it opened.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,d", "leave", "Close"),
        Binding("a", "all", show=False),
        Binding("c", "count", show=False),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]

    def __init__(self, names: Sequence[str], counted: str, snapshot: LockSnapshot | None) -> None:
        super().__init__()
        self._names = {f"database {name}": name for name in names}
        self._rows = database_rows(names, counted, snapshot)

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = "Databases of the server"
            yield _Choices(_COLUMNS, id="databases", hides=False)
            yield Static(_HINT, id="hint", markup=False)

    def on_mount(self) -> None:
        table = self.query_one(LiveTable)
        table.show(self._rows)
        self.set_focus(table)

    def action_move(self, rows: int) -> None:
        """Moves the cursor."""
        table = self.query_one(LiveTable)
        (table.action_cursor_down if rows > 0 else table.action_cursor_up)()

    def action_show(self) -> None:
        """Returns the selected database, to show only its sessions."""
        self._choose("show")

    def action_count(self) -> None:
        """Returns the selected database, to count its leaks."""
        self._choose("count")

    def action_all(self) -> None:
        """Returns that all databases are to be shown."""
        self.dismiss(DatabaseChoice("all"))

    def action_leave(self) -> None:
        """Returns None."""
        self.dismiss(None)

    def _choose(self, what: Literal["show", "count"]) -> None:
        name = self._names.get(self.query_one(LiveTable).current_key or "")
        if name is not None:
            self.dismiss(DatabaseChoice(what, name))


class _Choices(LiveTable):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "screen.show", show=False)]


def database_rows(names: Sequence[str], counted: str, snapshot: LockSnapshot | None) -> list[LiveRow]:
    """A row per database, those with blocked sessions first, then by their sessions. Pure."""
    clients: Sequence[Session] = () if snapshot is None else snapshot.clients
    waiters = {group.waiter.pid for group in snapshot.shown_groups} if snapshot is not None else set()
    sessions = Counter(one.database for one in clients)
    blocked = Counter(one.database for one in clients if one.pid in waiters)
    idle = Counter(one.database for one in clients if (one.state or "").startswith("idle in transaction"))
    ordered = sorted(names, key=lambda name: (-blocked[name], -sessions[name], name))
    return [
        LiveRow(
            f"database {name}",
            (
                plain(name),
                f"{sessions[name]:,}" if sessions[name] else "",
                f"{blocked[name]:,}" if blocked[name] else "",
                f"{idle[name]:,}" if idle[name] else "",
                "leaks counted here" if name == counted else "",
            ),
            "trouble" if blocked[name] else "" if sessions[name] else "quiet",
        )
        for name in ordered
    ]
