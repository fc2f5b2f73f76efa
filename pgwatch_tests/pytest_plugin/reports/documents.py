"""Reports of a session for a CI: Markdown, a JUnit document, and annotations of a GitHub workflow. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pgwatch_tests.pytest_plugin.reports.summary import Summary, by_owner, in_words, who
from pgwatch_tests.reports.render import ci_text
from pgwatch_tests.reports.render.ci_text import Case, annotation
from pgwatch_tests.reports.render.markdown_text import block, code, document, table
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a test is: a file below the repository, with `/`, and its line, counted from 1."""

    file: str
    line: int


def markdown(summary: Summary) -> str:
    """The summary as Markdown, for $GITHUB_STEP_SUMMARY and the like; foreign text can be no markup in it."""
    return document(_markdown(summary))


def _markdown(summary: Summary) -> Iterator[str]:
    yield f"## pgwatch-tests: {summary.title or 'nothing found'}"
    yield from table(
        ("Test", "Kind", "Finding", "What to do"),
        "llll",
        [
            (code(who(one.owner)), code(one.kind), code(one.reason), code(one.advice))
            for one in sorted(summary.told, key=lambda one: (one.owner is None, who(one.owner)))
        ],
        noun="findings",
    )
    yield from table(
        ("Not checked", "What to do"),
        "ll",
        [(code(_unchecked(one)), code(one.advice)) for one in summary.unchecked],
    )
    if summary.ignored:
        yield f"{plural(len(summary.ignored), 'finding')} ignored or accepted."
    for section in summary.sections:
        yield f"### {code(section.title)}"
        yield block("\n".join(map(plain, section.lines)))


def junit(summary: Summary) -> str:
    """The findings as a JUnit document: a failure for each that fails a gate, others passed with output."""
    cases = [
        Case(
            f"{one.kind}: {who(one.owner)}",
            "failure" if one.fails else "passed",
            one.reason,
            [one.reason, one.advice] if one.advice else [one.reason],
            one.kind,
            classname="pgwatch",
        )
        for one in summary.told
    ]
    cases += [
        Case(_unchecked(one), "failure" if one.fails else "skipped", "not checked", classname="pgwatch")
        for one in summary.unchecked
    ]
    return ci_text.junit([ci_text.suite("pgwatch", cases, name="pgwatch-tests")])


def github(summary: Summary, place_of: Callable[[str], Place | None], *, fails: bool) -> list[str]:
    """A line for each test with findings, with its place; `::error` for what a gate fails on, if it does."""
    lines = []
    for name, found in by_owner(summary.told):
        owner = found[0].owner
        place = None if owner is None else place_of(owner.name)
        level: Level = "error" if fails and any(one.fails for one in found) else "warning"
        text = "\n".join(map(plain, in_words(found)))
        where = () if place is None else (place.file, place.line)
        lines.append(annotation(level, f"pgwatch: {plain(name)}", text, *where))
    for one in summary.unchecked:
        level = "error" if fails and one.fails else "warning"
        lines.append(annotation(level, "pgwatch: not checked", plain(_unchecked(one))))
    return lines


def place_in_repository(root: Path, file: str, line: int, workspace: str | None) -> Place:
    """Returns the place of a test whose file is relative to the rootdir, as GitHub wants it: relative to the
    repository, which the workflow has in `workspace`. Lines are counted from 0 in `line`."""
    path = Path(os.path.normpath(root / file))
    base = Path(workspace) if workspace else root
    relative = path.relative_to(base) if path.is_relative_to(base) else Path(file)
    return Place(relative.as_posix(), line + 1)


def _unchecked(one: Finding) -> str:
    return f"{who(one.owner)}: {one.reason}" if one.owner is not None else one.reason
