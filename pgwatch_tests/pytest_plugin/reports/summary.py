"""The summary of a session: findings by their owners, other parts' sections, and what wasn't checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pgwatch_tests.pytest_plugin.reports.finding_journal import Noted
from pgwatch_tests.testing.current_test import Owner
from pgwatch_tests.testing.findings import Finding
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain

_MOST_IGNORED = 20


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the summary: lines of text, which are made plain where they are shown."""

    title: str
    lines: Sequence[str]


AskForSection = Callable[[], Section | None]
"""Asked in the controller when all tests are over; None: nothing to tell."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a session found."""

    findings: tuple[Noted, ...] = ()
    sections: tuple[Section, ...] = ()

    @property
    def told(self) -> list[Finding]:
        """The findings that no marker ignores, without those that say what wasn't checked."""
        return [
            one.finding for one in self.findings if one.ignored is None and one.finding.kind != "not_checked"
        ]

    @property
    def unchecked(self) -> list[Finding]:
        """What wasn't checked, each once."""
        found = {
            (who(one.finding.owner), one.finding.reason): one.finding
            for one in self.findings
            if one.finding.kind == "not_checked"
        }
        return list(found.values())

    @property
    def ignored(self) -> list[Noted]:
        """The findings that a test's marker ignores."""
        return [one for one in self.findings if one.ignored is not None]

    @property
    def fails(self) -> bool:
        """Whether a gate fails on it: on a finding, or on what couldn't be checked."""
        return any(one.fails for one in (*self.told, *self.unchecked))

    @property
    def title(self) -> str:
        """`3 findings in 2 tests, 1 thing not checked`; empty if there is nothing to tell."""
        told, unchecked = self.told, self.unchecked
        parts = []
        if told:
            tests = {one.owner.name for one in told if one.owner is not None and one.owner.kind == "test"}
            parts.append(
                plural(len(told), "finding") + (f" in {plural(len(tests), 'test')}" if tests else "")
            )
        if unchecked:
            parts.append(f"{plural(len(unchecked), 'thing')} not checked")
        return ", ".join(parts)

    @property
    def lines(self) -> list[str]:
        """The findings as lines of plain text, those of an owner together; then what wasn't checked."""
        return [plain(line) for line in self._lines()]

    def _lines(self) -> Iterator[str]:
        for owner, found in by_owner(self.told):
            yield owner
            yield from (f"  {line}" for line in in_words(found))
        for one in self.unchecked:
            of = f"{who(one.owner)}: " if one.owner is not None else ""
            yield f"not checked: {of}{one.reason}{f' → {one.advice}' if one.advice else ''}"
        ignored = self.ignored
        for noted in ignored[:_MOST_IGNORED]:
            yield f"ignored ({noted.ignored}): {who(noted.finding.owner)}: {noted.finding.reason}"
        if len(ignored) > _MOST_IGNORED:
            yield f"… and {len(ignored) - _MOST_IGNORED:,} more ignored"


def who(owner: Owner | None) -> str:
    """`tests/a.py::test_b [gw0]`, `… (attempt 2)`; `nobody known for a fact` for None."""
    if owner is None:
        return "nobody known for a fact"
    worker = f" [{owner.worker}]" if owner.worker else ""
    attempt = f" (attempt {owner.attempt})" if owner.attempt > 1 else ""
    return f"{owner.name}{attempt}{worker}"


def in_words(findings: Sequence[Finding]) -> Iterator[str]:
    """Yields the reasons, and after those that share an advice, `  → ` with that."""
    for position, one in enumerate(findings):
        yield one.reason
        is_last = position + 1 == len(findings) or findings[position + 1].advice != one.advice
        if one.advice and is_last:
            yield f"  → {one.advice}"


def by_owner(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    """The findings by whom they are put down to, by name; those of nobody last."""
    found: dict[tuple[bool, str], list[Finding]] = {}
    for one in findings:
        found.setdefault((one.owner is None, who(one.owner)), []).append(one)
    return [(name, found[(nobody, name)]) for nobody, name in sorted(found)]
