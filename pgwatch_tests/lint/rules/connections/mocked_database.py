"""Rule `mocked-database`: a test replaces its database by a mock, or PostgreSQL by another one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgwatch_tests.lint.context import Context, at
from pgwatch_tests.lint.model import Problem, Rule
from pgwatch_tests.lint.syntax.source import Call, Source
from pgwatch_tests.lint.syntax.values import Invocation, Mapping, Name, Text

_PACKAGES = frozenset(
    ("pg", "postgres", "@prisma/client", "knex", "typeorm", "sequelize", "drizzle-orm", "pg-promise")
)
_MODULE = re.compile(
    r"(?:^|[/@._-])(?:db|database|prisma|drizzle|knex|kysely|postgres|sequelize|typeorm|db-client|dbclient|prisma-client|prismaclient"
    r"|data-source|datasource)(?:/(?:client|index|connection|db|prisma))?(?:\.(?:js|ts|mjs))?$",
    re.I,
)
_PATCHED = re.compile(
    r"(?:^|\.)_?(?:get_db|get_session|get_async_session|get_db_session|db_session|async_session|SessionLocal|async_session_maker"
    r"|sessionmaker|create_engine|create_async_engine|db|database|engine|connection_pool)$|^(?:psycopg2?|asyncpg|sqlalchemy)\.(?:connect|create_pool|Connection|AsyncConnection|create_\w*engine)$"
)
_SPEC = re.compile(
    r"(?:^|\.)(?:AsyncSession|Session|AsyncEngine|Engine|AsyncConnection|Connection|Pool|AsyncConnectionPool)$"
)


def check(source: Source, context: Context) -> Iterator[Problem]:
    """Yields the first mock of a kind in a file: the others are its consequences."""
    told: set[str] = set()
    for call in source.calls:
        said = _python(source, context, call) if source.language == "python" else _typescript(source, call)
        if said and said not in told:
            told.add(said)
            yield at(call, f"{said}: constraints, locks and types of the real one are never met.")


def _typescript(source: Source, call: Call) -> str:
    if call.name in (
        "vi.mock",
        "jest.mock",
        "vi.doMock",
        "jest.doMock",
        "jest.unstable_mockModule",
        "mock.module",
    ):
        first = call.arguments[0] if call.arguments else None
        if isinstance(first, Invocation) and first.arguments:
            first = first.arguments[0]  # vi.mock(import("…"))
        if isinstance(first, Text) and (first.text in _PACKAGES or _MODULE.search(first.text)):
            return f"{call.name} replaces the database ({first.text})"
    if call.name in ("newDb", "createPrismaMock", "mockDeep", "prismock") and re.search(
        r"pg-mem|prismock|mockDeep<\w*Prisma", source.text
    ):
        return f"{call.name} stands in for PostgreSQL"
    return ""


def _python(source: Source, context: Context, call: Call) -> str:
    first = call.arguments[0] if call.arguments else None
    if isinstance(call.arguments[-1] if call.arguments else None, Mapping) and "wraps" in _options(call):
        return ""  # a spy: the real one is called
    if (call.method == "patch" or call.name.endswith(("monkeypatch.setattr", "mocker.patch"))) and (
        isinstance(first, Text)
        and _PATCHED.search(first.text)
        and not re.search("boto|http|requests", first.text)
    ):
        if call.method == "setattr" and not _is_mock(call):
            return ""
        if len(call.arguments) > 1 and not _is_mock(call) and not isinstance(call.arguments[1], Mapping):
            return ""  # replaced by something real, such as the tests' own session
        return f"{call.name} replaces the database ({first.text})"
    if call.method in ("MagicMock", "AsyncMock", "Mock", "create_autospec"):
        options = call.arguments[-1] if call.arguments else None
        spec = options.get("spec") if isinstance(options, Mapping) else first
        imports = any(re.match(r"sqlalchemy|sqlmodel|psycopg|asyncpg", one) for one in source.modules)
        if imports and isinstance(spec, Name) and _SPEC.search(spec.text):
            return f"{call.method} stands in for a {spec.text}"
    if (
        call.method in ("create_engine", "create_async_engine")
        and isinstance(first, Text)
        and first.text.startswith("sqlite")
        and (call.scope.hook is not None or source.path.endswith("conftest.py"))
        and not re.search(r"postgres|psycopg|asyncpg", source.text)
    ) and context.surroundings(source).postgres_by():
        return "SQLite stands in for PostgreSQL"
    return ""


def _options(call: Call) -> list[str]:
    last = call.arguments[-1]
    return [pair.key for pair in last.pairs] if isinstance(last, Mapping) else []


def _is_mock(call: Call) -> bool:
    return any(
        (
            isinstance(value, Invocation | Name)
            and "mock" in (value.name if isinstance(value, Invocation) else value.text).lower()
        )
        for value in call.arguments[1:]
    )


RULE = Rule(
    "mocked-database",
    "A test replaces its database by a mock, or PostgreSQL by SQLite or pg-mem.",
    """\
A mock has no unique keys, foreign keys, types or locks: what breaks in production passes here.

```ts
vi.mock('@/lib/db')                                     // found
import { db } from '@/lib/db'                           // right: a real one, unique data, clean-up
```

```python
@patch("app.database.get_session")                      # found
engine = create_engine("sqlite://")                     # found if the project depends on psycopg or asyncpg
```

Told once per file and kind. Left alone: mocks of other things, and a session that is replaced by the tests'
own.
""",
    "Use a real PostgreSQL: unique data, rollback or a schema per test are fast enough.",
    (
        ("mock", "patch", "newdb", "sqlite"),
        (
            "db",
            "database",
            "prisma",
            "drizzle",
            "knex",
            "pg",
            "postgres",
            "session",
            "engine",
            "sequelize",
            "typeorm",
            "sqlite",
        ),
    ),
    check,
    pattern=re.compile(
        r"mock(?:module)?\(\s*(?:import\(\s*)?['\"`][^'\"`]*(?:db|database|prisma|drizzle|knex|kysely|pg|postgres|sequelize|typeorm"
        r"|data-?source)[^'\"`]*['\"`]|pg-mem|prismock|mockdeep|patch|(?:magic|async)mock\(|create_autospec|sqlite"
    ),
)
