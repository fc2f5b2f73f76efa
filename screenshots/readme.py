"""Output blocks of README and of pages of documentation, filled in from the recordings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pgwatch_tests.reports.leaks import leak_table
from pgwatch_tests.reports.locks import lock_tree
from pgwatch_tests.reports.sweeps import sweep_table
from pgwatch_tests.testing import Exploration
from screenshots.recording import Recording
from screenshots.zone import local_zone

PATH = Path(__file__).parent.parent / "README.md"
DOCS = PATH.parent / "docs"
PAGES = (
    PATH,
    *(DOCS / f"{name}.md" for name in ("while_it_hangs", "gate", "sweeps", "pytest", "races")),
)
"""The pages with such blocks."""
_BLOCK = re.compile(r"(<!-- output: (?P<name>[\w-]+) -->\n```\w*\n).*?(```\n<!-- end -->)", re.DOTALL)


def filled(text: str, recording: Recording, large: Recording, found: Exploration) -> str:
    """`text` with the content of its output blocks replaced, times in the recording's zone.

    `large` has a sweep of many tables; `found` is what `interleave` has found.

    Raises KeyError for an unknown block.
    """
    assert recording.leaks is not None
    assert recording.sweep is not None
    assert large.sweep is not None
    with local_zone(recording.zone):
        outputs = {
            "locks": lock_tree.text(recording.locks[-1]),
            "leaks": leak_table.table(recording.leaks),
            "sweep": sweep_table.table(recording.sweep),
            "large-sweep": sweep_table.table(large.sweep),
            "interleave": str(found),
            "replay": "$ pytest tests/test_booking.py::test_a_slot_is_booked_once "
            f"--pgwatch-replay {found.bad[0].id}",
        }
    return with_outputs(text, outputs)


def with_outputs(text: str, outputs: Mapping[str, str]) -> str:
    """`text` with these outputs in its blocks, by name. Raises KeyError for an unknown block."""
    return _BLOCK.sub(lambda match: match[1] + outputs[match["name"]].rstrip("\n") + "\n" + match[3], text)
