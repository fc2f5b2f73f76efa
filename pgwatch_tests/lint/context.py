"""What a rule may know beside the file that it looks at."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from pgwatch_tests.lint.facts import DatabaseKeys, LeakedByTests
from pgwatch_tests.lint.model import Problem, Severity
from pgwatch_tests.lint.surroundings import Surroundings
from pgwatch_tests.lint.syntax.source import Call, Scope, Source

_TEST_FILE = re.compile(
    r"(?:\.|_|-)(?:test|spec|e2e)s?\.\w+$|(?:^|/)test_[^/]*\.py$|_test\.py$|(?:^|/)tests?\.py$|\.e2e-spec\.\w+$"
)


@dataclass(frozen=True)
class Context:
    """The surroundings of files, and what a database and a leaks document say."""

    surroundings: Callable[[Source], Surroundings]
    database: DatabaseKeys | None = None
    leaks: LeakedByTests | None = None
    rule_ids: AbstractSet[str] = frozenset()
    """The ids of all rules."""
    called_by_hooks: AbstractSet[str] = frozenset()
    """Names of methods that a hook calls, in any of the files that are checked."""

    def is_shared(self, source: Source) -> bool:
        """Whether tests of a file see each other's rows: nothing gives each its own database."""
        return self.surroundings(source).isolation != "own database"

    def commits(self, source: Source) -> bool:
        """Whether rows of a test stay, until something removes them: no rollback at its end, either."""
        return self.surroundings(source).isolation == "none"


def at(call: Call, message: str, severity: Severity = "warning") -> Problem:
    """A problem at a call."""
    return Problem(call.line, call.column, message, severity, call.scope.title)


def at_scope(scope: Scope, message: str, severity: Severity = "warning") -> Problem:
    """A problem of a whole test, hook or class, at its first line."""
    return Problem(scope.line, 1, message, severity, scope.title)


def is_test_file(path: str) -> bool:
    """Whether a file's name is that of tests, not of what tests use."""
    return _TEST_FILE.search(path) is not None
