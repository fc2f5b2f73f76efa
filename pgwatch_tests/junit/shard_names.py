"""Names of shards: from the paths of their reports, and those that are expected. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.junit.report_files import GivenFile

_PLAIN = frozenset(
    {
        *("junit", "xunit", "results", "result", "test-results", "test-result", "reports", "report"),
        *("test-reports", "output", "out", "build", "target", "coverage", "surefire-reports"),
        *("failsafe-reports", "pgwatch-results", "artifacts", ".vitest", "stdin"),
    }
)
"""Names that tell nothing of a shard."""
_BEGINNING = re.compile(
    r"^(?:TEST|junit|xunit|test-results?|results?|test-reports?|reports?|artifacts?)[-_.]+(?=.)"
)
_END = re.compile(r"(?<=.)[-_.]+(?:junit|xunit|test-results?|results?|test-reports?|reports?)$")
_ATTEMPT = re.compile(r"[-_.]*(?:run[-_.]?)?(?:attempt|try)[-_.]?([0-9]{1,4})$", re.IGNORECASE)
_SUREFIRE = "TEST-"
_EXPECTED = re.compile(r"\s*(?P<kind>[^\s:,]+)\s*(?::\s*(?P<number>[0-9]{1,4})\s*)?")
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class ShardName:
    """A shard as its report's path names it."""

    name: str
    attempt: int = 1
    """Of the CI's run, from 1."""


@dataclass(frozen=True, slots=True)
class ExpectedShards:
    """Shards of one kind: `integration-1` to `integration-4`, or `unit` alone."""

    kind: str
    number: int | None = None
    """None: there is one, without a number."""

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return (self.kind,) if self.number is None else tuple(self.name_of(n + 1) for n in range(self.number))

    def name_of(self, place: int) -> str:
        """The name of the shard with that number."""
        return self.kind if self.number is None else f"{self.kind}-{place}"

    def number_of(self, name: str) -> int | None:
        """The number of the shard that has this name, as it is written there; None if it is none of these."""
        match = re.search(rf"(?<![a-z0-9]){re.escape(self.kind.lower())}(?![a-z])(?P<rest>.*)", name.lower())
        if match is None:
            return None
        numbers = re.findall(r"[0-9]+", match["rest"])
        if self.number is None:
            return None if numbers else 1
        return int(numbers[0]) if numbers else (1 if self.number == 1 else None)


def parse_expected(text: str) -> tuple[ExpectedShards, ...]:
    """Parses `integration:4,e2e:4,unit`. Raises ConfigurationError."""
    found = []
    for part in text.split(","):
        match = _EXPECTED.fullmatch(part)
        number = None if match is None or match["number"] is None else int(match["number"])
        if match is None or (number is not None and not 1 <= number <= _MOST):
            raise ConfigurationError(
                f"--shards takes names and how many there are, 'integration:4,e2e:4', not {part!r}"
            )
        found.append(ExpectedShards(match["kind"], number))
    if len({one.kind for one in found}) < len(found):
        raise ConfigurationError(f"--shards names a kind twice: {text}")
    names = Counter(name for one in found for name in one.names)
    if twice := next((name for name, times in names.items() if times > 1), None):
        raise ConfigurationError(f"--shards names {twice} twice: {text}")
    return tuple(found)


def canonical_names(names: Iterable[str], expected: Sequence[ExpectedShards]) -> dict[str, str]:
    """Returns the expected name of each shard that is one of the expected."""
    found: dict[str, str] = {}
    left = set(names)
    # `api-integration` is no `integration`, if both are expected.
    for kind in sorted(expected, key=lambda one: -len(one.kind)):
        numbers = {name: number for name in left if (number := kind.number_of(name)) is not None}
        shift = 1 if 0 in numbers.values() else 0  # counted from 0
        most = kind.number or 1
        numbers = {name: number + shift for name, number in numbers.items() if 1 <= number + shift <= most}
        found |= {name: kind.name_of(number) for name, number in numbers.items()}
        left -= set(numbers)
    return found


def names_of(files: Sequence[GivenFile]) -> Mapping[Path, ShardName]:
    """Returns the shard that each file's path names: by its directories, else by its own name.

    Of directories, those count that not all files have and that tell something:
    `artifacts/junit-e2e-2/junit.xml` is of `e2e-2`. `-attempt-2` at the end of one is the attempt.
    """
    roots = {one.root for one in files if not one.is_named}
    folders = {one.path: _folders(one, is_below=len(roots) == 1) for one in files}
    several = len({tuple(parts) for parts in folders.values()}) > 1
    common = shared_beginning(list(folders.values())) if several else 0
    named = {}
    for one in files:
        parts = [part for part in folders[one.path][common:] if part.lower() not in _PLAIN]
        stem = one.path.stem
        own = stem if stem.lower() not in _PLAIN and not stem.startswith(_SUREFIRE) else ""
        name = "/".join(parts) or own if several else own or "".join(parts[-1:]) or _root_name(one)
        named[one.path] = _named(name or ("stdin" if stem == "-" else stem))
    return named


def shared_beginning(paths: Sequence[Sequence[str]]) -> int:
    """How many parts all these paths have in common at their beginning."""
    return sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False)))


def _root_name(one: GivenFile) -> str:
    """The name of the directory that was asked for, which holds one shard."""
    name = "" if one.is_named else one.root.name
    return "" if name.lower() in _PLAIN or name == ".." else name


def _folders(one: GivenFile, *, is_below: bool) -> list[str]:
    """The directories that may tell its shard: below the root of the pattern, or as it was named.

    Where there are several roots (`artifacts/*/`, which the shell has expanded), they tell it themselves.
    """
    parent = one.path.parent
    try:
        inside = list(parent.relative_to(one.root).parts)
    except ValueError:
        inside = []
    if not one.is_named and is_below:
        return inside
    return [part for part in parent.parts if part not in ("/", "..", ".")]


def _named(name: str) -> ShardName:
    attempt = 1
    if match := _ATTEMPT.search(name):
        attempt = max(1, int(match[1]))
        name = name[: match.start()] or name
    parts = name.split("/")
    parts = [_END.sub("", _BEGINNING.sub("", part)) for part in parts]
    return ShardName("/".join(parts), attempt)
