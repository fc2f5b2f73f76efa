"""What docs/blocked_time.md shows of interference is what a failure's section tells."""

from __future__ import annotations

import re

from pgwatch_tests.pytest_plugin.blocking.interference import candidates, lines_of
from pgwatch_tests.pytest_plugin.blocking.interference_watch import TITLE
from pgwatch_tests.pytest_plugin.blocking.write_log import LoggedWrite
from tests.docs.page import shows
from tests.docs.test_examples import DOCS


def write(owner: str, at: float, tables: set[str], worker: str, failed: bool = False) -> LoggedWrite:
    return LoggedWrite(at, owner, worker, frozenset(tables), "5432/app_test", failed)


def test_interference_is_told_so() -> None:
    text = (DOCS / "blocked_time.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"<!-- output: interference -->\n```text\n(.*?)```", text, re.DOTALL)
    failed = write("t.py::test_counts", 9.0, {"rooms", "prices"}, "gw0", failed=True)
    writes = [
        write("tests/test_rooms.py::test_adds_a_room", 4.5, {"rooms"}, "gw1"),
        write("fixture prices [module] of tests/test_prices.py", 4.9, {"prices"}, "gw3"),
    ]
    lines = lines_of(candidates(writes, failed, began=1.0), failed)
    heading = f" {TITLE} ".center(80, "-")
    assert shows(shown, "\n".join([heading, *lines]))
    assert shown.count("\n") == 5
