"""Rule `test-name-outside-test`: the running test's name is asked for where no test runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.syntax.source import Scope, Source

_NAME = re.compile(
    r"expect\.getState\(\)\s*\.currentTestName|environ(?:\[|\.get\()[\"']PYTEST_CURRENT_TEST[\"']|getenv\([\"']PYTEST_CURRENT_TEST[\"']"
)


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields each use of the current test's name in code that runs when the module is loaded."""
    for number, line in enumerate(source.lines, 1):
        match = _NAME.search(line)
        if match is None or line.lstrip().startswith(("//", "#", "*", "if ", "elif ", "assert ")):
            continue
        scope = _scope_of(source, number)
        if scope.kind in ("module", "suite", "class"):
            yield Problem(
                number,
                match.start() + 1,
                "No test runs yet here: the name is undefined, and the value is one for all tests.",
            )


def _scope_of(source: Source, line: int) -> Scope:
    around = [scope for scope in source.scopes if scope.line <= line <= scope.end_line]
    return max(around, key=lambda scope: (scope.line, -scope.end_line))


RULE = Rule(
    "test-name-outside-test",
    "The running test's name is asked for where no test runs: it is undefined, and one for all tests.",
    """\
What stands outside of tests and hooks runs once, when the file is loaded: all its tests share the value.

```ts
const testId = `${expect.getState().currentTestName}_${Date.now()}`         // found: undefined_1717171717171
beforeEach(() => { testId = `${Date.now()}_${crypto.randomUUID()}` })       // right
```

```python
NAME = os.environ.get("PYTEST_CURRENT_TEST")     # found
```
""",
    "Make identifiers in the test or in beforeEach / a fixture, from a UUID.",
    (("currenttestname", "pytest_current_test"),),
    check,
    is_proven=False,
)
