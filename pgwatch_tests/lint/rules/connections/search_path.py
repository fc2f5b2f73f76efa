"""Rule `search-path-on-pool`: SET search_path reaches one connection of a pool, and stays on it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context, at
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.sql_calls import sql_of
from pgwatch_tests.lint.syntax.source import Call, Source

_SET = re.compile(r"(?:^|;)\s*SET\s+(?:SESSION\s+)?search_path\b", re.I)
_POOL = re.compile(
    r"(?:^|\.)_?\w*(?:pool|db|database|engine|session|sess|sql|prisma|drizzle|knex|orm|em|entity_?manager|sequelize"
    r"|data_?source|pgp)\d*$",
    re.I,
)


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields each SET search_path that goes to a pool, an engine or a session, not to one connection."""
    for call in source.calls:
        if not _POOL.search(call.target or call.name) or not any(_SET.search(sql) for sql in sql_of(call)):
            continue
        if _is_one_connection(source, call) or not context.is_shared(source):
            continue
        yield at(
            call,
            f"SET search_path by {call.name} reaches one connection of the pool: the others stay where they "
            "were, and this one keeps it for whoever gets it next.",
        )


def _is_one_connection(source: Source, call: Call) -> bool:
    hook = next(
        (
            one
            for one in call.scope.outwards()
            if one.kind == "callback" and one.detail.endswith((".on", ".once", "transaction", "begin"))
        ),
        None,
    )
    if hook is not None:
        return True
    if source.language == "python":
        return (
            "listens_for" in call.scope.text
            or re.search(r"Session\(\s*(?:bind\s*=\s*)?\w*conn", source.text) is not None
            or re.search(r"poolclass=NullPool|StaticPool", source.text) is not None
        )
    return (
        re.search(r"\bmax:\s*1\b|new (?:pg\.)?Client\b", source.text) is not None
        and "Pool" not in source.text
    )


RULE = Rule(
    "search-path-on-pool",
    "SET search_path on a pool isolates nothing: it reaches one of its connections, and stays on that.",
    """\
A pool hands out any of its connections. A SET reaches one of them; rows of the others land in public, and
what was set stays when the connection is handed to somebody else.

```ts
await db.execute(sql`SET search_path TO ${sql.identifier(name)}`)               // found
const pool = new Pool({ options: `-c search_path=${name}` })                    // right
```

```python
engine = create_engine(url); session.execute(text("SET search_path TO x"))      # found
create_engine(url, connect_args={"options": "-c search_path=x"})                # right
```

What counts is the name: a pool, an engine, a session, `db`. Left alone: SET LOCAL, a connection that was
taken out of the pool, a session on one connection, and hooks that run on each new connection.
""",
    "Set it when connections start: options=-c search_path=… in the connection string, or a connect hook.",
    (("search_path",), ("set ",)),
    check,
    is_proven=False,
)
