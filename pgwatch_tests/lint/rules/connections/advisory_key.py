"""Rule `static-advisory-key`: an advisory lock whose key all tests have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context, at
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.sql_calls import sql_of
from pgwatch_tests.lint.syntax.source import Source
from pgwatch_tests.lint.syntax.values import Items, Number, Text, Value

_LOCK = re.compile(
    r"\bpg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?\s*\(\s*(?P<key>[^()]*(?:\([^()]*\))?[^()]*)\)", re.I
)
_LITERAL = re.compile(r"(?:[-\d\s,]|0x[0-9a-f]+|::\w+|hashtext\w*\s*\(\s*'[^'\x00]*'[\s,\d]*\))+", re.I)
_PARAMETER = re.compile(r"\s*(?:%s|\$\d|\?)(?:::\w+)?\s*(?:,\s*(?:%s|\$\d|\?)(?:::\w+)?\s*)?")


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields each advisory lock in a test, or a hook around each test, whose key is a literal."""
    if not context.is_shared(source):
        return
    for call in source.calls:
        hook = call.scope.hook
        if call.scope.test is None and (
            hook is None or hook.detail in ("beforeAll", "session", "before", "module")
        ):
            continue
        for sql in sql_of(call):
            for match in _LOCK.finditer(sql):
                key = match["key"].strip()
                if _LITERAL.fullmatch(key) or (_PARAMETER.fullmatch(key) and _is_literal(call.arguments[1:])):
                    yield at(
                        call,
                        f"{match[0].split('(')[0]} with key {key}: tests that take it wait for each other.",
                    )
                    break


def _is_literal(values: tuple[Value, ...]) -> bool:
    flat = [one for value in values for one in (value.values if isinstance(value, Items) else (value,))]
    return bool(flat) and all(
        isinstance(one, Number) or (isinstance(one, Text) and one.is_literal) for one in flat
    )


RULE = Rule(
    "static-advisory-key",
    "An advisory lock in a test has a key that all tests have in common.",
    """\
A fixed key makes tests of all workers, runs and suites on the server's database wait for each other.

```python
cur.execute("SELECT pg_advisory_xact_lock(42)")              # found
cur.execute("SELECT pg_advisory_xact_lock(%s)", (key,))      # right: key is the test's own
```

Left alone: locks of set-up that runs once (a migration that must not run twice), and databases of a
worker's own.
""",
    "Use pg_advisory_xact_lock, with a key unique to each test.",
    (("advisory_lock", "advisory_xact_lock"),),
    check,
    shared_only=True,
    is_proven=False,
)
