"""Rule `static-identity`: a test writes an email, a user name or the like that is the same in each run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context, is_test_file
from pgwatch_tests.lint.database_calls import WRITING_WORDS, write_of
from pgwatch_tests.lint.model import Problem, Rule, Severity
from pgwatch_tests.lint.sql_calls import Write
from pgwatch_tests.lint.syntax.source import Call, Source
from pgwatch_tests.lint.syntax.values import Name, Pair

_EMAIL_KEY = re.compile(r"(?:^|_)e?mail(?:_?address)?$|[eE]mail(?:Address)?$")
_EMAIL = re.compile(r"[^@\s\x00]+@[^@\s\x00]+\.\w+$")
_IDENTITY = re.compile(
    r"(?:^|_)(?:user_?name|login|handle|clerk_?id|external_?id|auth_?id|sub)$|(?:clerk|external|auth0?)(?:User)?Id$|^userName$"
)
_PEOPLE = re.compile(
    r"user|account|member|customer|person|people|profile|admin|parent|employee|credential|identit|login|subscriber|patient|student",
    re.I,
)
"""Tables of which such a column is unique in most databases: of others only `--dsn` can tell."""
_CONSTANT = re.compile(r"(?:^|[a-z])(?:[eE]mail|EMAIL)(?:Address)?$")


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields each fixed identity in a row that is written, and fixed addresses that helpers keep."""
    if not context.is_shared(source):
        return
    for call in source.calls:
        write = write_of(source, call)
        if write is None:
            continue
        for pair in write.pairs:
            value = source.literal(pair.value, call.scope)
            if value and _is_identity(pair.key, value):
                problem = _judged(context, call, write, pair, value, context.commits(source))
                if problem is not None:
                    yield problem
    yield from _unused_constants(source)


def _is_identity(key: str, value: str) -> bool:
    if _EMAIL_KEY.search(key):
        return _EMAIL.match(value) is not None
    return _IDENTITY.search(key) is not None


def _judged(
    context: Context, call: Call, write: Write, pair: Pair, value: str, commits: bool
) -> Problem | None:
    """The problem, as the database has it. Under rollback only what is unique makes tests wait."""
    unique = None if context.database is None else context.database.is_unique(write.table, pair.key)
    if unique is None and not (commits and _PEOPLE.search(write.table)):
        return None
    severity: Severity = "warning"
    end = "two tests, or two runs, that write it at once collide if the column is unique"
    if unique:
        severity = "error"
        end = "the column is unique: two tests, or two runs, that write it at once collide"
        if not commits:
            end = "the column is unique: a test that writes it waits until the other one has rolled back"
    elif unique is False:
        severity, end = "info", "the column isn't unique, so nothing collides"
    where = f"{write.table}.{pair.key}" if write.table else pair.key
    return Problem(pair.line, pair.column, f"{where} is always {value!r}; {end}.", severity, call.scope.title)


def _unused_constants(source: Source) -> Iterator[Problem]:
    """Addresses that a module of helpers holds for others: `const testEmail = 'test@example.com'`."""
    if is_test_file(source.path):
        return
    for name, given in source.constants.items():
        if not _CONSTANT.search(name) or len(given) > 1 or given[0].scope.kind != "module":
            continue
        address = source.literal(Name(name), source.module)
        if address and _EMAIL.match(address) and len(re.findall(rf"\b{re.escape(name)}\b", source.text)) == 1:
            yield Problem(given[0].line, 1, f"{name} is {address!r} for all tests that use it, at once.")


RULE = Rule(
    "static-identity",
    "A test writes an email, a user name or an external id that is the same in each run.",
    """\
Two tests that write the same unique value at once collide, or wait for each other; so do two runs of one
test.

```ts
await db.insert(users).values({ email: 'test@example.com' })                      // found
await db.insert(users).values({ email: `user-${randomUUID()}@test.example.com` }) // right
```

```python
session.add(User(email="test@example.com"))                  # found
session.add(User(email=testing.unique_email("user")))        # right
```

Without `--dsn` nobody knows which columns are unique, so all are warnings; with it, those of unique columns
are errors and the others are only told (`info`). Without it, only tables of people (users, accounts …)
count. Left alone: upserts, tables that the file makes itself, and tests whose fixtures give each worker its
own database (Django's always do). Under a rollback, it is silent without `--dsn`.
""",
    "Make it unique: a timestamp or a UUID in it (pgwatch_tests.testing.unique_email, crypto.randomUUID()).",
    (
        ("@", "name", "login", "handle", "id", "sub"),
        (*WRITING_WORDS, "email = '", 'email = "'),
    ),
    check,
    shared_only=True,
)
