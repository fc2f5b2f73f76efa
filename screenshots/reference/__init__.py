"""The parts of docs/reference, and of two guides, that are made of the code: commands, settings, keys …"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from screenshots.reference import commands, diagnoses, documents, findings, keys, limits, settings

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
SECTIONS: Mapping[str, Callable[[], str]] = {
    "commands": commands.text,
    "settings": settings.table,
    "job-keys": settings.job_table,
    "leftovers": findings.leftovers,
    "words": findings.words,
    "kept": findings.kept,
    "shard-findings": findings.of_shards,
    "session-settings": limits.session_settings,
    "session-limits": limits.session_limits,
    "keys": keys.keys,
    "tab-keys": keys.of_tabs,
    "replay-keys": keys.of_replay,
    "diagnoses": diagnoses.text,
    "documents": documents.text,
}
_SECTION = re.compile(r"(<!-- output: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> Iterator[tuple[Path, str]]:
    """Yields each page, with its sections made anew. Raises KeyError for an unknown section."""
    others = (FOLDER.parent / name for name in ("dashboard.md", "safety.md"))
    for path in (*sorted(FOLDER.glob("*.md")), *others):
        yield path, filled(path.read_text(encoding="utf-8"))


def filled(text: str) -> str:
    """`text` with its sections made anew. Raises KeyError for an unknown one."""
    return _SECTION.sub(lambda match: f"{match[1]}\n{SECTIONS[match['name']]().strip()}\n\n{match[3]}", text)


def write() -> None:
    """Writes the pages."""
    for path, text in pages():
        path.write_text(text, encoding="utf-8")
