"""Rule `wiped-rows`: a test or hook removes the rows of all tests, not only its own."""

from __future__ import annotations

from collections.abc import Iterator

from pgwatch_tests.lint.context import Context, at
from pgwatch_tests.lint.database_calls import removal_of
from pgwatch_tests.lint.model import Problem, Rule, Severity
from pgwatch_tests.lint.sql_calls import Removal
from pgwatch_tests.lint.syntax.source import Call, Source


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields each removal of all rows of a table, and of rows by a pattern that fits those of all tests."""
    if not context.is_shared(source):
        return
    for call in source.calls:
        removal = removal_of(source, call)
        if removal is None or not (removal.everything or removal.pattern):
            continue
        if (
            source.language == "python"
            and not context.commits(source)
            and removal.how != "drop_all"
            and call.scope.test is not None
        ):
            continue  # rolled back
        yield _problem(context, call, removal)


def _problem(context: Context, call: Call, removal: Removal) -> Problem:
    table = removal.table or "all tables"
    severity: Severity = "warning"
    if removal.pattern:
        return at(
            call,
            f"Removes rows of all tests from {table}: {removal.pattern!r} fits those of other workers, too.",
        )
    end = ""
    if context.database is not None and removal.table:
        referring = context.database.referring(removal.table)
        if referring:
            severity = "error"
            others = ", ".join(referring[:3]) + (
                f" and {len(referring) - 3} more" if len(referring) > 3 else ""
            )
            refer = "refers" if len(referring) == 1 else "refer"
            end = f" {others} {refer} to it: rows there go as well, or stop it."
    what = f"all rows of {table}" if removal.table else "everything in the database"
    return at(
        call, f"{removal.how} removes {what}, also those of tests that run at the same time.{end}", severity
    )


RULE = Rule(
    "wiped-rows",
    "A test or hook removes the rows of all tests: TRUNCATE, DELETE without WHERE, drop_all, deleteMany({}).",
    """\
On a shared database it takes away what other tests are at work with; TRUNCATE also waits for all of them.

```ts
beforeEach(() => prisma.user.deleteMany({}))                                     // found
// right: only its own
afterEach(() => db.delete(users).where(sql`email LIKE ${`%-${run}@test.example.com`}`))
```

```python
connection.execute("TRUNCATE users CASCADE")                                     # found
connection.execute("DELETE FROM users WHERE email LIKE '%@test.example.com'")    # found: all tests' rows
connection.execute("DELETE FROM users WHERE email = %s", (email,))               # right
```

With `--dsn`, a table that others refer to makes it an error. Left alone: tests with a database of their own
per worker, and in Python what a rollback undoes.
""",
    "Remove only the test's own rows, by an identifier that it made; or give each worker its own database.",
    (
        (
            "truncate",
            "delete",
            "drop_all",
            "drop schema",
            "dropdatabase",
            "synchronize(",
            ".sync(",
            "destroy",
            ".clear(",
            ".del(",
        ),
    ),
    check,
    shared_only=True,
)
