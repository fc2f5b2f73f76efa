"""Which code cleans up: calls that remove rows, or say so by their name, in hooks and fixtures."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.database_calls import removal_of
from pgwatch_tests.lint.syntax.source import CLEANING, Call, Source

_OTHER = re.compile(
    r"^(?:vi|jest|sinon|nock|mock\w*|msw|server|localStorage|sessionStorage|console|fs|os|shutil|queryClient|screen)\.|(?:Mocks?|Timers?|Modules|Handlers)$"
    r"|(?:^|\.)(?:mock(?:Clear|Reset|Restore)|resetModules|removeListener|removeEventListener|clearTimeout|clearInterval|unlink\w*)$"
)


def cleans(source: Source, call: Call) -> bool:
    """Whether a call removes rows, by what it does or by its name; mocks, timers and files aren't rows."""
    if removal_of(source, call) is not None:
        return True
    return CLEANING.search(call.name) is not None and _OTHER.search(call.name) is None


def hooks_clean(source: Source) -> bool:
    """Whether a hook or fixture of a file cleans up, or what is left to do at its tests' end."""
    return any(
        (call.scope.hook is not None or _registers(source, call)) and cleans(source, call)
        for call in source.calls
    )


_REGISTERING = frozenset(("addCleanup", "addfinalizer", "onTestFinished", "addAsyncCleanup", "after"))
_REGISTERED = re.compile(r"\b(?:addCleanup|addfinalizer|onTestFinished|addAsyncCleanup|after)\b")


def _registers(source: Source, call: Call) -> bool:
    """Whether a call is part of what a test registers to be done at its end: addCleanup, onTestFinished."""
    if not source.holds(_REGISTERED):
        return False
    outer: Call | None = call
    while outer is not None:
        if outer.method in _REGISTERING:
            return True
        outer = outer.outer
    return False


def called_by_hooks(source: Source) -> Iterator[str]:
    """Names of the methods and functions that hooks of a file call, and what they are called on."""
    registers = source.holds(_REGISTERED)
    for call in source.calls:
        if call.in_finally or call.scope.hook is not None or (registers and _registers(source, call)):
            yield call.method
