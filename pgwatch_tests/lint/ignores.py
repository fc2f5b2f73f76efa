"""Comments that ignore findings: `pgwatch-lint: ignore[rule] reason`, on the line or alone above it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgwatch_tests.lint.model import Problem

RULE_ID = "ignore-without-reason"
SUMMARY = "A comment ignores a finding without a reason, or a rule that isn't there. It ignores nothing."
HELP = "Write pgwatch-lint: ignore[rule] and the reason, with an id that --rules lists."
_COMMENT = re.compile(
    r"(?P<before>.*?)(?:#|//|/\*|\{/\*)\s*pgwatch-lint:\s*ignore(?:\[(?P<rules>[^\]]*)\])?[\s:,–-]*(?P<reason>.*?)\s*(?:\*/\}?)?\s*$"
)


@dataclass(frozen=True, slots=True)
class Ignores:
    """The comments of a file."""

    by_line: Mapping[int, frozenset[str]]
    """The rules that are ignored in a line."""
    problems: tuple[Problem, ...]

    def covers(self, rule: str, line: int) -> bool:
        """Whether a comment ignores that rule in that line."""
        return rule in self.by_line.get(line, ())


def read(lines: Sequence[str], known: Collection[str]) -> Ignores:
    """Reads the comments of a file; `known` are the ids of all rules."""
    by_line: dict[int, frozenset[str]] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        match = _COMMENT.match(line) if "pgwatch-lint" in line else None
        if match is None:
            continue
        rules = frozenset(filter(None, re.split(r"[\s,]+", match["rules"] or "")))
        column = match.end("before") + 1
        wrong = list(_wrong(rules, match["reason"], known))
        problems += [Problem(number, column, message) for message in wrong]
        if not wrong:
            place = number if match["before"].strip() else _next_code(lines, number)
            by_line[place] = by_line.get(place, frozenset()) | rules
    return Ignores(by_line, tuple(problems))


def _next_code(lines: Sequence[str], number: int) -> int:
    """The line that a comment of its own speaks of: the next one that is no comment."""
    for later in range(number + 1, len(lines) + 1):
        if not re.match(r"\s*(?:#|//|/\*|\*|$)", lines[later - 1]):
            return later
    return number


def _wrong(rules: Collection[str], reason: str, known: Collection[str]) -> Iterator[str]:
    if not rules:
        yield "Names no rule: write pgwatch-lint: ignore[rule] and the reason."
    for rule in sorted(rules):
        if rule not in known:
            yield f"There is no rule {rule!r}."
    if not reason:
        yield "Gives no reason: write it behind the bracket."
