"""Suites of tests on a real database, run by pytest in a process of its own, with the plugin on."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

CONFTEST = """
    import os, threading
    import psycopg, pytest

    DSN = os.environ["SUITE_DSN"]

    @pytest.fixture
    def conn():
        with psycopg.connect(DSN) as connection:
            yield connection

    def write(connection, *statements):
        for statement in statements:
            connection.execute(statement)
        connection.commit()
"""
ORDERED = ("-p", "no:randomly", "-p", "no:cacheprovider")


def run_suite(
    pytester: pytest.Pytester,
    dsn: str,
    suite: str,
    *options: str,
    conftest: str = CONFTEST,
    environment: Mapping[str, str] | None = None,
) -> pytest.RunResult:
    """Runs a suite in order, with `--pgwatch=fail` and the database known."""
    pytester.makeconftest(conftest)
    pytester.makepyfile(test_it=suite)
    for variable in ("DATABASE_URL", "PGWATCH_LOG_DIR", "PGWATCH_RUN", "PGWATCH"):
        pytester._monkeypatch.delenv(variable, raising=False)
    for name, value in {"SUITE_DSN": dsn, "PGWATCH_DSN": dsn, **(environment or {})}.items():
        pytester._monkeypatch.setenv(name, value)
    return pytester.runpytest_subprocess(*ORDERED, "--pgwatch=fail", *options)


def told(done: pytest.RunResult) -> dict[str, list[str]]:
    """The findings of the summary by whom they are put down to (`test_a`, without file), without advice.

    What couldn't be checked is under `not checked`.
    """
    found: dict[str, list[str]] = {}
    lines = iter(done.outlines)
    for line in lines:
        if line.startswith("=") and " pgwatch: " in line:
            break
    owner = ""
    for line in lines:
        if line.startswith(("=", "!")):
            break
        if line.startswith("not checked: "):
            found.setdefault("not checked", []).append(line.removeprefix("not checked: "))
        elif line.startswith("ignored ("):
            found.setdefault("ignored", []).append(line.rpartition("::")[2])
        elif line.startswith("    → "):
            continue
        elif line.startswith("  "):
            found.setdefault(owner, []).append(line.strip())
        else:
            owner = line.rpartition("::")[2] or line
    return found
