"""The output in the example's README: what a run said, from its findings on."""

from __future__ import annotations

import re

from tests.booking_example.run import EXAMPLE, Run

PATH = EXAMPLE / "README.md"
_BLOCK = re.compile(r"(?<=\n```text\n).*?(?=```\n<!-- end -->)", re.DOTALL)
_VARIES = re.compile(r"\btest_booking\b|\btest_\d+_\d+_[0-9a-f]+\b|\[gw\d+\]|\d+(?:\.\d+)?")


def excerpt(run: Run) -> str:
    """Returns the sections of the plugin, as the terminal had them."""
    lines = run.output.splitlines()
    begins = [place for place, line in enumerate(lines) if re.match("=+ pgwatch: ", line)]
    ends = [place for place, line in enumerate(lines) if "short test summary info" in line]
    return "".join(f"{line}\n" for line in lines[begins[0] : ends[-1]])


def filled(text: str, run: Run) -> str:
    """Returns the README with the output of a run."""
    return _BLOCK.sub(lambda _: excerpt(run), text)


def findings(text: str) -> list[str]:
    """Returns the lines of the findings, without what is another one in each run."""
    begin, _, _ = text.partition(" pgwatch: blocked time ")
    return [_VARIES.sub("…", line) for line in begin.splitlines() if not line.startswith("=")]


def shown(text: str) -> str:
    """Returns the output that the README shows."""
    match = _BLOCK.search(text)
    return "" if match is None else match[0]
