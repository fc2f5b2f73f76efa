"""An outbox, as applications have one: whoever fills it goes on at once."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Outbox:
    """Messages are sent by threads, when `send` says so."""

    def __init__(self) -> None:
        self._may_send = threading.Event()
        self._threads: list[threading.Thread] = []

    def put(self, message: Callable[[], None]) -> None:
        """Takes a message, and returns at once."""

        def deliver() -> None:
            may_send.wait()
            message()

        may_send = self._may_send
        thread = threading.Thread(target=deliver, name="outbox")
        thread.start()
        self._threads.append(thread)

    def send(self) -> None:
        """Sends all messages, and returns when they are sent."""
        self._may_send.set()
        for thread in self._threads:
            thread.join()
        self._may_send, self._threads = threading.Event(), []
