"""A file of tests: its scopes (tests, hooks, functions), its calls, and the names it gives to values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pgwatch_tests.lint.model import Language
from pgwatch_tests.lint.syntax.comments import Comment
from pgwatch_tests.lint.syntax.values import Name, Text, Unknown, Value

ScopeKind = Literal["module", "class", "suite", "test", "hook", "function", "callback"]
"""`suite`: describe. `hook`: beforeEach, setUp, a fixture. `callback`: a function that is an argument."""

CLEANING = re.compile(
    r"(?:^|[a-z_.])(?:[Cc]lean|[Tt]ear_?[Dd]own|[Tt]runcate|[Rr]eset|[Ww]ipe|[Pp]urge|[Rr]ollback|[Dd]estroy|[Dd]elete"
    r"|[Rr]emove|[Dd]rop|[Cc]lear|[Dd]ispose|[Uu]nlink|[Dd]el$|[Rr]estore|[Pp]rune|[Ff]lush|[Ee]mpty)"
)
"""What the name of a function says that removes rows, or puts the database back as it was."""


@dataclass(eq=False)
class Scope:
    """A stretch of code that runs together. Lines are counted from 1."""

    kind: ScopeKind
    name: str
    line: int
    end_line: int
    parent: Scope | None
    detail: str = ""
    """A hook's name or a fixture's width (`beforeEach`, `session`); whose argument a callback is."""
    read: Callable[[], str] = str
    """Reads its source."""

    @cached_property
    def text(self) -> str:
        """The source of it, in Python with its decorators."""
        return self.read()

    def outwards(self) -> Iterator[Scope]:
        """The scope itself, then those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    @property
    def owner(self) -> Scope:
        """The test, hook, function, class or module that it is part of."""
        return next(one for one in self.outwards() if one.kind != "callback")

    @property
    def test(self) -> Scope | None:
        """The test that it is part of, if it is in one."""
        return next((one for one in self.outwards() if one.kind == "test"), None)

    @property
    def hook(self) -> Scope | None:
        """The hook or fixture that it is part of, if it is in one."""
        return next((one for one in self.outwards() if one.kind == "hook"), None)

    @property
    def title(self) -> str:
        """The name of the test around it, with its suites, as runners print it; empty outside of tests."""
        if self.test is None:
            return ""
        names = [one.name for one in self.test.outwards() if one.kind in ("test", "suite", "class")]
        return " > ".join(reversed(names))


@dataclass(frozen=True, slots=True)
class Use:
    """What is done with what a call returns."""

    is_statement: bool = False
    is_awaited: bool = False
    is_stored: bool = False


@dataclass(eq=False)
class Call:
    """A call, or a tagged template. `name` is its chain: `db.insert.values` for `db.insert(t).values(v)`."""

    name: str
    line: int
    column: int
    end_line: int
    scope: Scope
    read: Callable[[], tuple[Value, ...]]
    receiver: Call | None
    """The call that this one goes on from."""
    outer: Call | None
    """The innermost call that has this one in its arguments."""
    in_loop: bool
    """Whether a loop is around it in its own function."""
    in_finally: bool
    is_tag: bool = False
    read_use: Callable[[], Use] = Use
    continued: Call | None = None
    """The call that goes on from this one."""

    @cached_property
    def arguments(self) -> tuple[Value, ...]:
        """Its arguments; keyword arguments are a mapping at the end."""
        return self.read()

    @cached_property
    def _use(self) -> Use:
        return self.read_use()

    @property
    def is_statement(self) -> bool:
        """Whether nobody uses what it returns, at the end of a chain."""
        return self._use.is_statement

    @property
    def is_awaited(self) -> bool:
        """Whether what it returns is awaited where it stands. TypeScript only."""
        return self._use.is_awaited

    @property
    def is_stored(self) -> bool:
        """Whether a variable is given what it returns, without waiting for it. TypeScript only."""
        return self._use.is_stored

    @property
    def is_awaited_or_statement(self) -> bool:
        """Whether it is done where it stands, not made to be done later."""
        return self.is_awaited or self.is_statement

    @property
    def method(self) -> str:
        """The last part of its name."""
        return self.name.rpartition(".")[2]

    @property
    def target(self) -> str:
        """Its name without the last part."""
        return self.name.rpartition(".")[0]

    def later_methods(self) -> list[str]:
        """The methods that the chain goes on with."""
        methods = []
        call = self.continued
        while call is not None:
            methods.append(call.method)
            call = call.continued
        return methods


@dataclass(eq=False)
class Assigned:
    """What a name is given, and the scope that gives it."""

    scope: Scope
    line: int
    read: Callable[[], Value]

    @cached_property
    def value(self) -> Value:
        """The value as far as it is literal."""
        return self.read()


@dataclass(eq=False)
class Source:
    """A parsed file."""

    path: str
    language: Language
    text: str
    module: Scope
    scopes: list[Scope]
    calls: list[Call]
    constants: dict[str, list[Assigned]] = field(default_factory=dict)
    """What names are given where they are declared."""
    assignments: list[tuple[str, Scope, int]] = field(default_factory=list)
    """Names that are written again after their declaration, where, and in which line."""
    shared_variables: dict[str, int] = field(default_factory=dict)
    """Variables of the module or of a suite that can be written, with their line."""
    modules: frozenset[str] = frozenset()
    """What it imports, as it is written."""
    lost_at: int = 0
    """The line of the first test that a syntax error hides; 0 if there is none."""
    read_comments: Callable[[], Iterable[Comment]] = tuple

    def value_of(self, name: str, scope: Scope) -> Value:
        """The only value that a name has, seen from a scope; Unknown if there are several."""
        given = self.constants.get(name, [])
        around = {id(one) for one in scope.outwards()}
        visible = [one for one in given if id(one.scope) in around]
        return visible[0].value if len(visible) == 1 else Unknown()

    def resolved(self, value: Value, scope: Scope) -> Value:
        """A name's value if that is known, else the value itself."""
        if isinstance(value, Name) and value.text in self.constants:
            known = self.value_of(value.text, scope)
            return value if isinstance(known, Unknown) else known
        return value

    def literal(self, value: Value, scope: Scope) -> str | None:
        """A string that is the same in each run, also by way of a constant of the file; else None."""
        known = self.resolved(value, scope)
        return known.text if isinstance(known, Text) and known.is_literal else None

    @cached_property
    def comments(self) -> list[Comment]:
        """Its comments, in order."""
        return list(self.read_comments())

    @cached_property
    def tests(self) -> list[Scope]:
        """Its tests."""
        return [scope for scope in self.scopes if scope.kind == "test"]

    @cached_property
    def _calls_by_scope(self) -> dict[int, list[Call]]:
        by_scope: dict[int, list[Call]] = {}
        for call in self.calls:
            for scope in call.scope.outwards():
                by_scope.setdefault(id(scope), []).append(call)
        return by_scope

    def calls_in(self, scope: Scope) -> list[Call]:
        """The calls inside of a scope, however deep."""
        return self._calls_by_scope.get(id(scope), [])

    def holds(self, pattern: re.Pattern[str]) -> bool:
        """Whether a pattern is found in the text. Remembered: rules ask for each call."""
        if pattern not in self._held:
            self._held[pattern] = pattern.search(self.text) is not None
        return self._held[pattern]

    @cached_property
    def _held(self) -> dict[re.Pattern[str], bool]:
        return {}

    def release(self) -> None:
        """Breaks its cycles, so that its memory is free at once: to look for them takes a tenth more."""
        for call in self.calls:
            call.receiver = call.outer = call.continued = None
        for scope in self.scopes:
            scope.read = str
        self.calls.clear()
        self.scopes.clear()
        self.constants.clear()

    @cached_property
    def lines(self) -> list[str]:
        """Its lines, as parsers count them: other separators, such as U+2028, end none."""
        return self.text.split("\n")
