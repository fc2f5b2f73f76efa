"""Digests of many reports: tables of what differs, sentences on what they share, in text and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from pgwatch_tests.reports.render.markdown_text import code, folded, written
from pgwatch_tests.reports.render.screen_table import ScreenTable, screen
from pgwatch_tests.reports.render.screenful import wrapped
from pgwatch_tests.reports.sections import Section
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

FIRST = inf
"""The weight of a part that has all the room there is before others get more than a row."""
_REMARK_LIMIT = 150  # characters: two lines
_MOST_REPORTS = 10  # in Markdown
_REPORTS_LIMIT = 400_000  # characters: a step's summary may have 1 MiB (GitHub's manual, Workflow commands)
_CLEAN_LIMIT = 20_000  # characters of names in Markdown


@dataclass(frozen=True, slots=True)
class Part:
    """A table of a digest. Its cells are of the format in question."""

    heading: str
    """In Markdown; empty: none."""
    section: Section
    noun: tuple[str, str]
    """What a row is: one, several."""
    weight: float = 1
    total: Sequence[str] = ()
    """A row that ends the table; empty: none does."""


@dataclass(frozen=True, slots=True)
class Digest:
    """The tables and sentences on many databases."""

    parts: tuple[Part, ...]
    summary: str
    clean: Sequence[str]
    """Names of the databases of which there is nothing to tell; plain text."""
    clean_line: str
    """`Clean: {}`, where `{}` is how many databases."""
    no_clean_line: str
    """What is said if there is none, and something to tell of others; may be empty."""
    scope: Sequence[str]
    remarks: Sequence[str]


def screen_text(digest: Digest) -> str:
    """One screen of it."""
    return screen(_tables(digest), _end(digest, verbose=False))


def whole_text(digest: Digest, reports: Iterable[tuple[str, str]]) -> str:
    """All rows and names, and the report of each database that there is something to tell of."""
    told = [f"== {plain(place)} ==\n\n{report}" for place, report in reports]
    tables = [table.whole() for table in _tables(digest)]
    return "\n\n".join([*tables, *told, "\n".join(_end(digest, verbose=True))])


def markdown(digest: Digest, reports: Sequence[tuple[str, Iterable[str]]], fewer: str) -> Iterator[str]:
    """Blocks: the tables, folded up the first reports and the names of clean databases, and the sentences.

    A report's heading is HTML already. `fewer` says what the databases behind the first have fewer of.
    """
    for part in digest.parts:
        if part.section.rows:
            section = replace(part.section, heading=part.heading)
            yield from written(section, "###", part.noun[1], part.total)
    length = shown = 0
    for heading, blocks in reports[:_MOST_REPORTS]:
        told = list(folded(heading, blocks))
        length += sum(map(len, told))
        if shown and length > _REPORTS_LIMIT:
            break
        shown += 1
        yield from told
    if len(reports) > shown:
        yield f"… and {len(reports) - shown:,} more databases, with fewer {fewer}."
    if digest.clean:
        names = code(plain(", ".join(digest.clean), _CLEAN_LIMIT))
        yield from folded(digest.clean_line.format(plural(len(digest.clean), "database")), [names])
    if sentences := [*digest.scope, *digest.remarks]:
        yield ". ".join(sentences) + "."


def _tables(digest: Digest) -> list[ScreenTable]:
    return [
        ScreenTable(part.section, part.noun, part.total, part.weight)
        for part in digest.parts
        if part.section.rows
    ]


def _end(digest: Digest, verbose: bool) -> list[str]:
    """What is always said: what it comes to, which databases are clean, and what was looked for."""
    sentences = [digest.summary]
    if digest.clean:
        line = digest.clean_line.format(plural(len(digest.clean), "database"))
        them = "it" if len(digest.clean) == 1 else "them"
        others = ", and tells all of the others" if digest.parts[0].section.rows else ""
        names = f": {', '.join(map(plain, digest.clean))}" if verbose else f"; --verbose names {them}{others}"
        sentences.append(f"{line}{names}")
    elif digest.no_clean_line and not verbose:
        sentences.append(digest.no_clean_line)
    sentences += digest.scope
    sentences += digest.remarks if verbose else [plain(one, _REMARK_LIMIT) for one in digest.remarks]
    return [line for sentence in sentences for line in wrapped(sentence, rest="  ")]
