"""Rule `fixed-key`: a test inserts a row whose primary key is the same in each run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context
from pgwatch_tests.lint.database_calls import WRITING_WORDS, write_of
from pgwatch_tests.lint.model import Problem, Rule, Severity
from pgwatch_tests.lint.syntax.source import Source
from pgwatch_tests.lint.syntax.values import Number

_TENANT = re.compile(r"(?:project|tenant|workspace|org|organi[sz]ation)_?id", re.I)
_KEY = re.compile(r"(?:id|pk|uuid|uid|_id|ID)$")


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields each fixed primary key in a row that is written."""
    if not context.is_shared(source):
        return
    for call in source.calls:
        write = write_of(source, call)
        for pair in write.pairs if write is not None else ():
            if not _KEY.fullmatch(pair.key):
                continue
            known = source.resolved(pair.value, call.scope)
            value = known.text if isinstance(known, Number) else source.literal(pair.value, call.scope)
            if not value:
                continue
            is_of_a_tenant = any(_TENANT.fullmatch(one.key) for one in write.pairs) if write else False
            if context.database is None and is_of_a_tenant:
                continue  # the key may be that of both columns
            unique = (
                None
                if context.database is None
                else context.database.is_unique(write.table, pair.key)
                if write
                else None
            )
            if unique is None and not context.commits(source):
                continue
            severity: Severity = "warning" if unique is None else "error" if unique else "info"
            end = (
                "it isn't unique there"
                if unique is False
                else "two tests, or two runs, that insert it at once collide"
            )
            where = f"{write.table}.{pair.key}" if write and write.table else pair.key
            yield Problem(
                pair.line, pair.column, f"{where} is always {value}: {end}.", severity, call.scope.title
            )


RULE = Rule(
    "fixed-key",
    "A test inserts a row with a primary key that is the same in each run.",
    """\
A literal key can be there once: the next test, the next run and a row that a killed run left collide with it.

```python
cur.execute("INSERT INTO users (id, name) VALUES (1, 'a')")               # found
cur.execute("INSERT INTO users (name) VALUES ('a') RETURNING id")         # right
```

```ts
await prisma.user.create({ data: { id: 1, name: 'a' } })                  // found
const { id } = await prisma.user.create({ data: { name: 'a' } })          // right
```

Keys named `id`, `pk`, `uuid`, `uid` count, not references such as `userId`. Left alone: as for
`static-identity`, and without `--dsn` rows with a tenant's id (`projectId`, `orgId` …), which may be half of
the key.
""",
    "Let the database make the key and use the one that it returns, or make a UUID.",
    (WRITING_WORDS,),
    check,
    shared_only=True,
)
