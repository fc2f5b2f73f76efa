"""A witness in our process group: it says on its standard output which signals went to the whole group.

What a terminal, a shell or `timeout` sends to the group has reached the command already; what only we get has
to be forwarded. It runs as a plain script under `python -I -S`, starts with these signals blocked, and ends
with its standard input, a pipe to whoever started it.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys


def _listen(numbers: set[int]) -> None:
    while True:
        os.write(1, bytes([signal.sigwait(numbers)]))


if __name__ == "__main__":
    _thread.start_new_thread(_listen, ({*map(int, sys.argv[1:])},))
    try:
        while os.read(0, 1):
            pass
    finally:
        os._exit(0)
