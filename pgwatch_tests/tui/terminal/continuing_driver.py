"""A driver that goes on where the first picture is shown: it enters no other screen, which would be empty."""

from __future__ import annotations

from typing import ClassVar

from pgwatch_tests.tui.terminal.quiet_driver import QuietDriver

_OTHER_SCREEN, _FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


class ContinuingDriver(QuietDriver):
    """Textual's driver for a terminal that shows its other screen already."""

    has_left: ClassVar[bool] = False
    """Whether the terminal of this process was given back: nobody else has to, then."""
    _has_begun = False

    def write(self, data: str) -> None:
        """Writes to the terminal; not what the terminal does already."""
        if data == _OTHER_SCREEN and not self._has_begun:
            self._has_begun = True
            return
        if data == _FIRST_SCREEN:
            ContinuingDriver.has_left = True
        super().write(data)
