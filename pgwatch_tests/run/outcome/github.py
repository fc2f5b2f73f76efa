"""What GitHub Actions shows of a run: the step's summary, and annotations.

Annotations are commands in the step's log, from either stream: they go to stderr, since stdout is the
command's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from pgwatch_tests.record.results import RunFinding
from pgwatch_tests.reports.render import ci_text
from pgwatch_tests.reports.render.markdown_text import MOST_BYTES
from pgwatch_tests.run.request import Notes

_MOST_ANNOTATIONS = 10
"""GitHub shows ten of each level per step."""
_CUT = "\n\n… cut short: the whole report is in the results.\n"


def is_there(environ: Mapping[str, str]) -> bool:
    """Whether this is a step of a workflow."""
    return environ.get("GITHUB_ACTIONS") == "true"


def tell(
    environ: Mapping[str, str], findings: Iterable[RunFinding], report: Path | None, notes: Notes
) -> None:
    """Writes annotations, and the report in Markdown if there is one. Raises nothing."""
    lines = annotation_lines(findings, notes.not_checked)
    sys.stderr.flush()
    # Past the text stream, which lets no command through.
    sys.stderr.buffer.write("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    sys.stderr.buffer.flush()
    if report is not None:
        with notes.spared("the step's summary wasn't written"):
            if not append_summary(environ, report.read_text(encoding="utf-8")):
                notes.notes.append("the step's summary has no room for the report")


def append_summary(environ: Mapping[str, str], markdown: str) -> bool:
    """Appends to the step's summary, if there is one; False if there is no room. Raises OSError."""
    name = environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return True
    path = Path(name)
    size = path.stat().st_size if path.exists() else 0
    text = f"\n{markdown}\n".encode(errors="backslashreplace")
    room = MOST_BYTES - size
    if len(text) > room:
        room -= len(_CUT.encode())
        if room <= 0:
            return False
        kept = text[:room].decode(errors="ignore")
        text = f"{kept[: kept.rfind(chr(10)) + 1]}{_CUT}".encode()
    with path.open("ab") as file:
        file.write(text)
    return True


def annotation_lines(findings: Iterable[RunFinding], not_checked: Iterable[str]) -> list[str]:
    """Lines for the step's log: an error per finding of the gate, a warning per thing not checked."""
    errors = [ci_text.annotation("error", f"pgwatch-tests: {one.kind}", one.text) for one in findings]
    warnings = [ci_text.annotation("warning", "pgwatch-tests: not checked", text) for text in not_checked]
    return [*errors[:_MOST_ANNOTATIONS], *warnings[:_MOST_ANNOTATIONS]]
