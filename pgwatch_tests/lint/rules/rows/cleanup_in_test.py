"""Rule `cleanup-in-test`: a test cleans up in its body, behind a check that may fail."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.cleaning import hooks_clean
from pgwatch_tests.lint.context import Context, at
from pgwatch_tests.lint.database_calls import removal_of, write_of
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.syntax.source import Call, Scope, Source

_CHECK = re.compile(
    r"^\s*(?:assert\b|self\.assert|(?:await\s+)?expect(?:\.\w+)?\("
    r"|with (?:pytest|self)\.(?:raises|assertRaises)|assert\.|t\.\w+\(|(?:eq|ne|is|in|not_in)_\("
    r"|is_(?:true|false|none|not|not_none)\(|(?:\w+\.)?assert_\w*\(|[\w.()]+\.should\.)"
)
_NAMED = re.compile(r"(?:^|\.)(?:clean_?up|tear_?down)\w*$", re.I)


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields the first clean-up of each test that stands behind its last check."""
    candidates = [call for call in source.calls if _is_candidate(source, call)]
    if (
        not candidates
        or not context.commits(source)
        or hooks_clean(source)
        or context.surroundings(source).cleans
    ):
        return
    if not any(write_of(source, call) or removal_of(source, call) for call in source.calls):
        return
    told: set[int] = set()
    for call in candidates:
        test = call.scope.owner
        checks = [
            number for number in range(test.line, test.end_line + 1) if _CHECK.match(source.lines[number - 1])
        ]
        before = [number for number in checks if number < call.line]
        if (
            before
            and not any(number > call.line for number in checks)
            and id(test) not in told
            and _writes(source, test, call)
        ):
            told.add(id(test))
            yield at(call, f"Not reached when a check before it fails (line {before[-1]}): the rows stay.")


def _is_candidate(source: Source, call: Call) -> bool:
    if call.scope.kind != "test" or call.in_finally or not (call.is_statement or _ends_a_statement(call)):
        return False
    if _NAMED.search(call.name):
        return True
    if removal_of(source, call) is None:
        return False
    # What a session deletes and never commits is the ORM at work.
    is_of_a_session = source.language == "python" and call.method == "delete" and call.receiver is None
    return not is_of_a_session or any(
        one.method == "commit" and one.line >= call.line for one in source.calls_in(call.scope)
    )


def _ends_a_statement(call: Call) -> bool:
    last = call
    while last.continued is not None:
        last = last.continued
    return last.is_statement


def _writes(source: Source, test: Scope, cleanup: Call) -> bool:
    """Whether something before the clean-up makes rows: an insert, or a call whose name says so."""
    made = re.compile(
        r"(?:^|\.)(?:create|insert|add|save|make|seed|build|register|sign_?up|setup|new)\w*$", re.I
    )
    return any(
        call.line < cleanup.line
        and (write_of(source, call) is not None or made.search(call.name) is not None)
        for call in source.calls
        if call.scope.test is test
    )


RULE = Rule(
    "cleanup-in-test",
    "A test cleans up at the end of its body: a check that fails before leaves its rows.",
    """\
What stands behind an `expect` or `assert` isn't reached when that fails: just the failing tests leave rows,
and the next ones stumble over them.

```ts
test('books', async () => {
  const user = await factory.createParent()
  expect(await book(user)).toBe(true)
  await factory.cleanup()                        // found
})
afterEach(() => factory.cleanup())               // right
```

```python
def test_books(connection):
    ...
    assert booked
    connection.execute("DELETE FROM users WHERE id = %s", (user,))   # found; right in a fixture
```

Left alone: `try … finally`, removals that are checked afterwards, files whose hooks clean up anyway, and
tests that are rolled back or have a database of their own.
""",
    "Move it into afterEach, a fixture behind its yield, or try … finally.",
    (
        (
            "cleanup",
            "clean_up",
            "teardown",
            "tear_down",
            "delete",
            "destroy",
            "remove",
            ".del(",
            "truncate",
            "drop",
        ),
        ("insert", "create", "save(", "add(", "make", "seed"),
    ),
    check,
    shared_only=True,
    is_proven=False,
)
