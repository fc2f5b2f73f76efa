"""A driver that sleeps until there is input; Textual's own looks ten times a second."""

from __future__ import annotations

import os
import selectors
import threading
from codecs import getincrementaldecoder
from contextlib import suppress

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.constants import DRIVER
from textual.drivers.linux_driver import LinuxDriver

from pgwatch_tests.tui.terminal.stream import drawn_on

_LOOK_AGAIN_S = 0.1
_LOOKS = 3
"""So often it looks again after input: an escape alone is one only when nothing has followed for a while."""


class _WakingEvent(threading.Event):
    """An event that can be waited for together with input: `readable` can be read once it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.readable, self._writable = os.pipe()

    def set(self) -> None:
        super().set()
        os.write(self._writable, b"\0")

    def clear(self) -> None:
        os.read(self.readable, 1)
        super().clear()


class QuietDriver(LinuxDriver):
    """Textual's driver for a terminal, but for how it waits for input, and what it leaves if it fails."""

    def __init__(
        self,
        app: App[object],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._file = drawn_on()
        self._ended = _WakingEvent()
        self.exit_event = self._ended

    def start_application_mode(self) -> None:
        """Takes the terminal; gives it back if it can't be had in all its modes."""
        try:
            super().start_application_mode()  # type: ignore[no-untyped-call]
        except BaseException:
            # Before there is a writer, nothing was written.
            if self._writer_thread is not None:
                self.stop_application_mode()
                self.close()
            raise

    def run_input_thread(self) -> None:
        """Waits for input and dispatches it, until the exit event is set."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")("replace").decode
        looks = 0
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            selector.register(self._ended.readable, selectors.EVENT_READ)
            while True:
                ready = selector.select(_LOOK_AGAIN_S if looks else None)
                if self._ended.is_set():
                    break
                looks = _LOOKS if ready else looks - 1
                if any(key.fd == self.fileno for key, _ in ready):
                    content = os.read(self.fileno, 4096)
                    if not content:
                        selector.unregister(self.fileno)  # the terminal is gone: nothing comes any more
                    # Half a letter is no text yet, and an empty text would be the parser's end.
                    elif text := decode(content):
                        for event in parser.feed(text):
                            self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)
        with suppress(EOFError, ParseError):
            list(parser.feed(""))


def sleep_until_input(app: App[int]) -> None:
    """Gives an app that draws on a terminal this driver, unless it has one of its kind."""
    if DRIVER is None and app.driver_class is LinuxDriver:
        app.driver_class = QuietDriver
