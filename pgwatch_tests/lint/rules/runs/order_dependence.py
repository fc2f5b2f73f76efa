"""Rule `order-dependence`: tests that work in one order only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context, at
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.syntax.source import Scope, Source
from pgwatch_tests.lint.syntax.values import Mapping, Text

_MARKS = re.compile(r"@pytest\.mark\.(order|run|dependency|incremental|first|second|last|depends)\b")

_NO_CODE = re.compile(r"(?:#|//).*|'[^'\n]*'|\"[^\"\n]*\"")
"""Comments and strings: words in them read no variable."""
_SERIAL = "these tests run in one order on one worker, and a failure skips the rest."


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields serial modes, marks that set an order, and variables that one test writes and another reads."""
    for call in source.calls:
        if (
            call.name
            in (
                "describe.serial",
                "test.describe.serial",
                "test.serial",
                "test.describe.serial.only",
            )
            and "ava" not in source.modules
        ):
            yield at(call, f"{call.name}: {_SERIAL}")
        if (
            call.name.endswith("describe.configure")
            and call.arguments
            and isinstance(call.arguments[0], Mapping)
        ) and call.arguments[0].get("mode") == Text("serial"):
            yield at(call, f"mode 'serial': {_SERIAL}")
    if source.language == "python":
        for number, line in enumerate(source.lines, 1):
            if match := _MARKS.match(line.strip()):
                yield Problem(number, 1, f"The mark {match[1]} sets an order of tests.")
    yield from _shared_state(source)


def _shared_state(source: Source) -> Iterator[Problem]:
    """Variables of a module that a test writes, and a later one reads without writing it first."""
    tests = source.tests
    hooks = [scope for scope in source.scopes if scope.kind == "hook"]
    told: set[str] = set()
    for name, scope, line in source.assignments:
        writer = scope.test
        declared = name in source.shared_variables if source.language == "typescript" else True
        if writer is None or name in told or not declared or any(_writes(hook, name) for hook in hooks):
            continue
        for reader in tests:
            if reader is writer or reader.line < writer.line or not _reads_first(reader, name):
                continue
            told.add(name)
            yield Problem(
                line,
                1,
                f"{name} is written here and read by {reader.name!r}, which fails alone or in another order.",
                "warning",
                writer.title,
            )
            break


def _writes(scope: Scope, name: str) -> bool:
    return (
        re.search(
            rf"(?<![\w.]){re.escape(name)}\s*(?:(?:\?\?|\|\||\+)?=(?![=>])|\+\+)|\+\+{re.escape(name)}\b"
            rf"|(?:global|class|def|for|as|import) {re.escape(name)}\b|global [\w, ]*\b{re.escape(name)}\b",
            scope.text,
        )
        is not None
    )


def _reads_first(scope: Scope, name: str) -> bool:
    """Whether a test uses a variable, and doesn't give it a value itself."""
    code = _NO_CODE.sub("", scope.text)
    used = re.search(rf"(?<![\w.'\"]){re.escape(name)}\b(?!\s*:)", code)
    if used is None or re.search(rf"\b(?:const|let|var)\s+(?:\{{[^}}]*\b)?{re.escape(name)}\b", scope.text):
        return False
    shadowed = re.search(rf"\(\s*\{{[^}}]*\b{re.escape(name)}\b[^}}]*\}}\s*\)\s*=>", scope.text[:400])
    return shadowed is None and not _writes(scope, name)


RULE = Rule(
    "order-dependence",
    "Tests that work in one order only: serial mode, order marks, variables that tests share.",
    """\
A test that needs another one can't run alone, in another order, on another worker or again after a failure.

```ts
test.describe.serial('checkout', () => {})       // found
let userId
test('creates', async () => { userId = (await create()).id })
test('deletes', async () => { await remove(userId) })   // found: fails alone
```

```python
@pytest.mark.order(2)                            # found
```

Left alone: variables that a hook sets before each test, and those that a test writes before it reads them.
""",
    "Let each test make what it needs, in its body, a fixture or beforeEach.",
    ((".serial", "'serial'", '"serial"', "mark.", "let ", "var ", "global "),),
    check,
    pattern=re.compile(
        r"\.serial\b|['\"]serial['\"]|mark\.(?:order|run|dependency|incremental|first|second|last|depends)\b"
        r"|^(?:\t|  |    )?(?:let|var) |^\s+global ",
        re.M,
    ),
)
