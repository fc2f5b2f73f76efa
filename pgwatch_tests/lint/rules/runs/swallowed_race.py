"""Rule `swallowed-race`: errors of concurrent calls are caught before they are counted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context, at
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.syntax.source import Call, Scope, Source
from pgwatch_tests.lint.syntax.values import Name

_RETHROWS = re.compile(r"\bthrow\b|Promise\.reject|\braise\b")
_CAUGHT = re.compile(
    r"^\s*except(?:\s+(?:Base)?Exception)?(?:\s+as\s+\w+)?\s*:\s*(?:#.*)?\n?\s*(?:pass|return\b.*|continue|\.\.\.|\w+\.append\(.*\))\s*$",
    re.M,
)
_COUNTED = re.compile(r"rejected|fulfilled|\.status\b")


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields each catch between a call and the `allSettled` or `gather` that should have seen its error."""
    yield from _python(source) if source.language == "python" else _typescript(source)


def _typescript(source: Source) -> Iterator[Problem]:
    settled = [call for call in source.calls if call.name == "Promise.allSettled"]
    for call in settled:
        names = {value.text for value in call.arguments if isinstance(value, Name)}
        owner = call.scope.owner
        if not _COUNTED.search(owner.text):
            continue
        for catch in source.calls:
            if catch.method != "catch" or catch.scope.owner is not owner:
                continue
            inside = call in _outers(catch)
            if (inside or _feeds(source, catch, names, owner)) and not _rethrows(source, catch):
                yield at(
                    catch,
                    "catch before allSettled: each promise is fulfilled, none is rejected, and everybody "
                    "seems to have won the race.",
                )


def _outers(call: Call) -> Iterator[Call]:
    outer = call.outer
    while outer is not None:
        yield outer
        outer = outer.outer


def _feeds(source: Source, catch: Call, names: set[str], owner: Scope) -> bool:
    """Whether a catch is in the statement that gives one of these names its value."""
    for name in names:
        pattern = re.compile(rf"\b(?:const|let|var)\s+{re.escape(name)}\b")
        for number in range(owner.line, catch.line + 1):
            if pattern.search(source.lines[number - 1]) and _same_statement(source, number, catch.line):
                return True
    return False


def _same_statement(source: Source, first: int, last: int) -> bool:
    """Whether no bracket is closed again between two lines, so that one statement goes over both."""
    text = "\n".join(source.lines[first - 1 : last - 1])
    depth = 0
    for number, line in enumerate(text.split("\n")):
        depth += sum(line.count(one) for one in "([{") - sum(line.count(one) for one in ")]}")
        if depth <= 0 and number < last - first - 1 and not re.match(r"\s*\.", source.lines[first + number]):
            return False
    return True


def _rethrows(source: Source, catch: Call) -> bool:
    text = "\n".join(source.lines[catch.line - 1 : catch.end_line])
    return _RETHROWS.search(text) is not None


def _python(source: Source) -> Iterator[Problem]:
    for call in source.calls:
        text = _text(source, call)
        test = call.scope.test
        if (
            call.name not in ("asyncio.gather", "gather")
            or "return_exceptions=True" not in text
            or test is None
        ):
            continue
        if not re.search(r"isinstance\(\w+, \w*(?:Exception|Error)", test.text):
            continue  # nobody counts the losers
        for racer in source.scopes:
            inside = racer.kind == "function" and racer.parent is not None and racer.parent.test is test
            if (
                inside
                and re.search(rf"\b{racer.name}\b", text)
                and _CAUGHT.search(racer.text)
                and not _RETHROWS.search(racer.text)
            ):
                yield at(
                    call, f"{racer.name} catches its errors itself: gather never sees that a racer lost."
                )


def _text(source: Source, call: Call) -> str:
    return "\n".join(source.lines[call.line - 1 : call.end_line])


RULE = Rule(
    "swallowed-race",
    "Errors of concurrent calls are caught before allSettled or gather can count them.",
    """\
A test of a race counts who won and who failed. A catch before the count turns each failure into a success.

```ts
const attempts = parents.map(p => book(p).catch(err => err))      // found: nothing is ever rejected
const results = await Promise.allSettled(attempts)

const attempts = parents.map(p => book(p))                        // right
```

```python
async def attempt():
    try:
        await book()
    except Exception:
        return None                                               # found
results = await asyncio.gather(attempt(), attempt(), return_exceptions=True)
assert sum(isinstance(one, Exception) for one in results) == 1
```

Left alone: handlers that throw again, and catches whose results nobody counts by status.
""",
    "Drop the catch; look at the results' status, and at the error's code (23505, 40001).",
    (("allsettled", "return_exceptions"), ("catch", "except")),
    check,
    is_proven=False,
)
