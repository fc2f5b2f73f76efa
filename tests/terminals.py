"""A real terminal: a tmux server of a test's own, with one program in it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.servers.server_places import SHORT

needs_tmux = pytest.mark.skipif(
    shutil.which("tmux") is None, reason="needs a real terminal: install tmux (apt-get install tmux)"
)
_DRAWN_WITHIN_S = 60.0


class Terminal:
    """What is typed into one, and what it shows."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def tmux(self, *arguments: str) -> str:
        """What tmux says to a command of its own."""
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), "-f", "/dev/null", *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def type(self, keys: str) -> None:
        """All of `keys` in one go."""
        self.tmux("send-keys", "-l", keys)

    def press(self, key: str) -> None:
        """One key, by its name in tmux: `Escape`, `Enter`."""
        self.tmux("send-keys", key)

    @property
    def screen(self) -> str:
        """All that is shown."""
        return self.tmux("capture-pane", "-p")

    @property
    def is_running(self) -> bool:
        """Whether the program runs still."""
        return self.tmux("display-message", "-p", "#{pane_dead}").strip() == "0"

    def until(self, condition: Callable[[str], bool]) -> str:
        """The screen, once `condition` is true of it."""
        deadline_s = time.monotonic() + _DRAWN_WITHIN_S
        while not condition(screen := self.screen):
            assert time.monotonic() < deadline_s, screen
            time.sleep(0.02)
        return screen

    def shows(self, *words: str) -> str:
        """The screen, once it shows one of `words`."""
        return self.until(lambda screen: any(one in screen for one in words))


@contextmanager
def terminal(
    program: Sequence[str], environment: Mapping[str, str], size: tuple[int, int] = (140, 40)
) -> Iterator[Terminal]:
    """A terminal in which `program` runs."""
    columns, lines = map(str, size)
    known = {**environment, "COLUMNS": columns, "LINES": lines}
    variables = [part for name, value in known.items() for part in ("-e", f"{name}={value}")]
    with TemporaryDirectory(dir=SHORT, prefix="pgwatch-tmux-") as folder:
        opened = Terminal(Path(folder) / "socket")
        # The first command starts the server. Its option is set in the same breath: a program may end early.
        opened.tmux(
            *("new-session", "-d", "-x", columns, "-y", lines, *variables, *program),
            *(";", "set-option", "-g", "remain-on-exit", "on"),
        )
        try:
            yield opened
        finally:
            opened.tmux("kill-server")
