"""Processes that tests kill: `python -m tests.embedded.owners server|demo [progress line to stop at]`."""

from __future__ import annotations

import json
import sys
import time

from pgwatch_tests.demo.run import running_demo
from pgwatch_tests.embedded.server import EmbeddedServer, find_programs, free_directory


def say(**what: str) -> None:
    """One line for the test."""
    print(json.dumps(what), flush=True)


def own_server() -> None:
    """Owns a server until killed."""
    server = EmbeddedServer(find_programs(), free_directory("pgwatch-owned-"))
    say(directory=str(server.directory))
    server.start()
    say(dsn=server.dsn())
    time.sleep(600)


def own_demo(stop_at: int) -> None:
    """Owns a demo until killed; with `stop_at`, goes no further than that line of progress."""
    lines: list[str] = []

    def progress(line: str) -> None:
        lines.append(line)
        if len(lines) == stop_at:
            say(line=line)
            time.sleep(600)

    with running_demo(progress) as demo:
        demo.suite.wait_until_interesting()
        say(dsn=demo.dsn)
        time.sleep(600)


if __name__ == "__main__":
    if sys.argv[1] == "server":
        own_server()
    else:
        own_demo(int(sys.argv[2]))
