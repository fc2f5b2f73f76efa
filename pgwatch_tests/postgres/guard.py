"""The guard: a database may be changed only if it looks like one for tests. Pure.

It judges what the connected server says, not a variable that says which one is meant.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pgwatch_tests.text.sql_names import identifier, literal

PATTERNS = (
    *("test", "test_*", "*_test", "*_test_*", "ci_*", "*_ci", "demo", "demo_*"),
    # pytest-postgresql's, and those of parallel workers of Rails, Phoenix and parallel_tests.
    *("tests", "testsgw[0-9]*", "*_test-[0-9]*", "*_test[0-9]*"),
)
OPT_IN = "pgwatch-tests: sweep"


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The facts that the guard judges a database by: a row of queries/server/test_database.sql."""

    database: str
    comment: str | None
    """COMMENT ON DATABASE."""
    is_standby: bool
    is_read_only: bool
    """Whether its sessions are read-only unless they say otherwise."""
    skips_triggers: bool = False
    """Whether this session is a replica's, in which triggers don't fire, those of foreign keys included."""


def refusal(facts: DatabaseFacts, *, any_database: bool = False, patterns: Sequence[str] = ()) -> str | None:
    """The sentence that says why the database may not be changed; None if it may.

    `any_database` lets every name pass, `patterns` those that fit; but none of PostgreSQL's own databases.
    """
    name = facts.database
    if facts.is_standby:
        return f"nothing can be changed in {name!r}: the server is a standby"
    if facts.is_read_only:
        return f"nothing can be changed in {name!r}: it is read-only (default_transaction_read_only is on)"
    if name == "postgres" or name.startswith("template"):
        return (
            f"{name!r} is one of the server's own databases, so nothing is changed in it. Name the suite's "
            f"instead (--dsn): one called such as {', '.join(PATTERNS[:4])}, or one that is allowed by "
            f"COMMENT ON DATABASE … IS {literal(OPT_IN)}"
        )
    named = any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)
    if any_database or named or looks_like_tests(name, facts.comment):
        return None
    return (
        f"{name!r} isn't marked as a test database, so nothing is changed in it. If it is one, run "
        f"COMMENT ON DATABASE {identifier(name)} IS {literal(OPT_IN)}; or "
        f"set test_databases = [{toml_string(name)}] in [tool.pgwatch-tests]; or "
        f"give it a name such as {', '.join(PATTERNS[:4])}"
    )


def toml_string(text: str) -> str:
    """A text as a basic string of TOML, which is JSON's but for the control character DEL."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def looks_like_tests(name: str, comment: str | None = None) -> bool:
    """Whether a database of this name and with this comment is there for tests."""
    return comment == OPT_IN or any(fnmatchcase(name, pattern) for pattern in PATTERNS)
