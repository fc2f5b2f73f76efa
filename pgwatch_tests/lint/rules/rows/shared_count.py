"""Rule `shared-count`: a check counts the rows of all tests, not its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context, at
from pgwatch_tests.lint.database_calls import removal_of
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.sql_calls import EXECUTORS, shared_pattern
from pgwatch_tests.lint.syntax.source import Source
from pgwatch_tests.lint.syntax.values import texts

_ASKS = re.compile(r"\bcount\b|\bselect\b|\bquery\b", re.I)


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields each condition of a query that fits rows of all tests."""
    if not context.is_shared(source):
        return
    for call in source.calls:
        pattern = "" if call.is_tag else shared_pattern(call.arguments)
        if not pattern or removal_of(source, call) is not None:
            continue
        asks = call.method in EXECUTORS and any(_ASKS.search(sql) for sql in texts(call.arguments))
        if asks or (call.method.endswith(("where", "Where")) and _ASKS.search(call.target)):
            yield at(
                call,
                f"{pattern!r} fits rows of all tests, workers and runs: what they write counts, too.",
            )


RULE = Rule(
    "shared-count",
    "A check counts rows of all tests, such as all with an address at test.example.com, not its own.",
    """\
Beside other tests the number changes at any time: the check fails for what others did, or passes by chance.

```ts
// found
await db.select({ n: sql`count(*)` }).from(users).where(sql`email LIKE '%@test.example.com'`)
// right
await db.select({ n: sql`count(*)` }).from(users).where(sql`email LIKE ${`%-${run}@test.example.com`}`)
```

After a suite, `pgwatch-tests leaks --fail` counts what is left, by test.
""",
    "Count the rows of this test's own identifier; let `pgwatch-tests leaks` count what a suite left.",
    (("like ",), ("%@",)),
    check,
    pattern=re.compile(r"like\s+'%@"),
    shared_only=True,
    is_proven=False,
)
