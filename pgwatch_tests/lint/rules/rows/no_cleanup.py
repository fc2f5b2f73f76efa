"""Rule `no-cleanup`: tests write rows that nothing removes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.cleaning import cleans, hooks_clean
from pgwatch_tests.lint.context import Context, at, at_scope, is_test_file
from pgwatch_tests.lint.database_calls import removal_of, write_of
from pgwatch_tests.lint.facts import LeakedRows
from pgwatch_tests.lint.model import Problem, Rule, Severity
from pgwatch_tests.lint.syntax.source import Call, Scope, Source
from pgwatch_tests.text.numbers import plural

_HELPER = re.compile(r"Factory|Builder|Seed|Helper|Fixture|Creator|Scenario|World|TestData|TestUtil")
"""Names of classes that make rows for tests, and no entities or migrations."""


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields the tests that left rows, by a leaks document; without one, what never removes any."""
    severity: Severity = "warning"
    if context.leaks is not None:
        leaked = context.leaks.of_file(source.path)
        yield from _leaked(source, leaked, context.leaks.name)
        if leaked:
            return
        severity = "info"
    if source.language == "python" or not context.commits(source) or context.surroundings(source).cleans:
        return
    yield from (
        _unused_cleanup(source, context, severity)
        if not is_test_file(source.path)
        else _of_tests(source, context, severity)
    )


def _leaked(source: Source, leaked: list[LeakedRows], document: str) -> Iterator[Problem]:
    by_test: dict[str, list[LeakedRows]] = {}
    for one in leaked:
        by_test.setdefault(one.test, []).append(one)
    for test, rows in by_test.items():
        scope = _test_named(source, test)
        tables = ", ".join(f"{plural(one.rows, 'row')} in {one.table}" for one in rows)
        message = f"Left {tables} ({document})."
        if scope is None:
            yield Problem(1, 1, f"{test}: {message[0].lower()}{message[1:]}", "error", test)
        else:
            yield at_scope(scope, message, "error")


def _test_named(source: Source, test: str) -> Scope | None:
    """The test with the name at the end of an id; parameters in brackets are left out."""
    name = re.split(r"::| > | › ", re.sub(r"\[[^\]]*\]$", "", test))[-1]
    return next((one for one in source.tests if one.name == name), None)


def _of_tests(source: Source, context: Context, severity: Severity) -> Iterator[Problem]:
    if hooks_clean(source):
        return
    writing: list[tuple[Call, str]] = []
    tests: set[int] = set()
    for call in source.calls:
        place = call.scope.test or call.scope.hook
        write = write_of(source, call) if place is not None else None
        if write is None or place is None:
            continue
        if any(cleans(source, one) for one in source.calls_in(place)):
            continue  # its own clean-up, whether that is reached or not
        writing.append((call, write.table))
        tests.add(id(place))
    if writing:
        tables = ", ".join(dict.fromkeys(table for _, table in writing if table)) or "the database"
        what = plural(len(tests), "test or hook writes", "tests and hooks write")
        yield at(writing[0][0], f"{what} rows into {tables}, and nothing here removes any.", severity)


def _unused_cleanup(source: Source, context: Context, severity: Severity) -> Iterator[Problem]:
    """Classes of helpers that write rows, and whose clean-up isn't there or isn't called by a hook."""
    for scope in source.scopes:
        if scope.kind != "class" or not _HELPER.search(scope.name):
            continue
        calls = source.calls_in(scope)
        tables = dict.fromkeys(write.table for call in calls if (write := write_of(source, call)) is not None)
        if not tables:
            continue
        what = f"{scope.name} writes rows into {', '.join(filter(None, tables)) or 'the database'}"
        cleaning = {call.scope.owner.name for call in calls if removal_of(source, call) is not None}
        if not cleaning:
            yield at_scope(scope, f"{what} and can't remove them.", severity)
        elif not cleaning & context.called_by_hooks:
            names = ", ".join(f"{name}()" for name in sorted(cleaning))
            yield at_scope(
                scope,
                f"{what}; its {names} is called by no hook, so that a test that fails leaves them.",
                severity,
            )


RULE = Rule(
    "no-cleanup",
    "Tests write rows that no hook removes; with --leaks, the tests that left rows.",
    """\
Rows that stay fill the database, collide with the next run, and are counted by other tests.

```ts
test('signs up', async () => { await db.insert(users).values({ email }) })       // found: no hook in the file
afterEach(() => db.delete(users).where(eq(users.email, email)))                  // right
```

With `--leaks leaks.json` (of `pgwatch-tests leaks --format json`) it names the tests that did leave rows, in
both languages, as errors; where no test of a file left any, it is `info`. Without it, only
TypeScript is looked at: in Python fixtures clean up, and whether they do can't be told from source. Left
alone: files with a hook, a fixture or a set-up file that removes, truncates or rolls back; helpers that are
functions.
""",
    "Remove the rows in afterEach or a fixture, by the identifier that the test made; or roll back.",
    ((".insert", "insert into", ".create(", ".createmany", ".save(", ".bulkcreate(", "cleanup", "teardown"),),
    check,
    languages=frozenset(("typescript",)),  # with a leaks document, files of all languages are looked at
    is_late=lambda path: not is_test_file(path),
)
