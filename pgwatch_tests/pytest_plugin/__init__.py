"""The pytest plugin: off until `--pgwatch=warn` or `--pgwatch=fail`. Until then only pytest is imported.

Its fixtures are there in any case.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, get_args

import pytest

from pgwatch_tests.pytest_plugin import fixtures

if TYPE_CHECKING:
    from _pytest.nodes import Node

Mode = Literal["off", "warn", "fail"]
MODES: tuple[Mode, ...] = get_args(Mode)

MODE_VARIABLE = "PGWATCH"
"""The environment variable that stands for `--pgwatch` where the command line can't be changed."""

_MARKERS = (
    "pgwatch_ignore(reason, *tables): rows that this test leaves are no finding; all tables, or these",
    "pgwatch_lock(*names, shared=False, timeout_s=300): hold these locks while the test runs, in all workers",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options and settings of the plugin."""
    group = parser.getgroup("pgwatch", "what tests leave in, and whom they block on, a shared PostgreSQL")
    group.addoption(
        "--pgwatch",
        choices=MODES,
        help="tell what each test leaves: `warn` in a summary, `fail` as the test's error. Default: off",
    )
    group.addoption(
        "--pgwatch-dsn",
        metavar="DSN",
        help="the database, where the tests' own connections don't tell. Default: PGWATCH_DSN, DATABASE_URL, "
        "[tool.pgwatch-tests] dsn",
    )
    group.addoption(
        "--pgwatch-keep",
        action="store_true",
        help="keep what isolated_schema and isolated_database made for failed tests for a day; tell where",
    )
    group.addoption(
        "--pgwatch-lock-timeout",
        metavar="DURATION",
        help="let no statement of a test wait longer for a lock, such as 10s: its failure says who held it. "
        "Default: no limit but the suite's own",
    )
    group.addoption(
        "--pgwatch-idle-timeout",
        metavar="DURATION",
        help="end a test's session that sits idle in a transaction for that long; below the lock timeout",
    )
    group.addoption(
        "--pgwatch-report",
        metavar="FORMATS",
        help="write reports, too: md (pgwatch.md, and the step summary of a GitHub workflow), junit "
        "(pgwatch.xml), github (annotations with file and line of the test), separated by commas",
    )
    group.addoption(
        "--pgwatch-report-dir",
        metavar="DIR",
        help="where pgwatch.md and pgwatch.xml go. Default: the rootdir",
    )
    group.addoption(
        "--pgwatch-accept",
        metavar="FILE",
        help="let findings pass that this file of `pgwatch-tests leaks --write-accept` lists by kind, table "
        "and test",
    )
    group.addoption(
        "--pgwatch-log",
        metavar="DIR",
        help="keep the logs of the run there: `pgwatch-tests leaks --transactions DIR` names tests by them. "
        "Default: PGWATCH_LOG_DIR; else none are kept",
    )
    group.addoption(
        "--pgwatch-replay",
        metavar="ID",
        help="have `interleave` run this one of its schedules, such as BAAB@5f3c, with --pgwatch off, too",
    )
    for name in ("report", "report_dir", "accept", "log"):
        parser.addini(f"pgwatch_{name}", f"the same as --pgwatch-{name.replace('_', '-')}", default=None)
    parser.addini("pgwatch_lock_timeout", "the same as --pgwatch-lock-timeout", default=None)
    parser.addini("pgwatch_idle_timeout", "the same as --pgwatch-idle-timeout", default=None)
    parser.addini("pgwatch", "off, warn or fail: the same as --pgwatch", default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Adds the fixtures; turns the plugin on where it is asked for."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(fixtures, "pgwatch-fixtures")
    if config.getoption("--pgwatch-keep"):
        from pgwatch_tests.pytest_plugin.isolation_failures import Keeping

        config.pluginmanager.register(Keeping(), "pgwatch-keeping")
    if (schedule_id := config.getoption("--pgwatch-replay")) is not None:
        from pgwatch_tests.pytest_plugin.replaying import Replaying

        config.pluginmanager.register(Replaying(schedule_id), "pgwatch-replaying")
    if (mode := _mode(config)) != "off":
        from pgwatch_tests.pytest_plugin.active import activate

        activate(config, mode)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Has tests take the named locks of their markers, where one has any."""
    if _is_marked(session.items, "pgwatch_lock"):
        from pgwatch_tests.pytest_plugin.marked_locks import MarkedLocks

        session.config.pluginmanager.register(MarkedLocks(session.config), "pgwatch-locks")


def _is_marked(items: Iterable[pytest.Item], name: str) -> bool:
    """Whether any item, or what it is in, has a marker of that name. Each of them is looked at once."""
    seen = set()
    for item in items:
        node: Node | None = item
        while node is not None and id(node) not in seen:
            seen.add(id(node))
            for marker in node.own_markers:
                if marker.name == name:
                    return True
            node = node.parent
    return False


def _mode(config: pytest.Config) -> Mode:
    """Returns the mode: of the command line, else of the environment, else of the settings."""
    for place, value in (
        ("--pgwatch", config.getoption("--pgwatch")),
        (MODE_VARIABLE, os.environ.get(MODE_VARIABLE)),
        ("pgwatch", config.getini("pgwatch")),
    ):
        if value:
            for mode in MODES:
                if value == mode:
                    return mode
            raise pytest.UsageError(f"{place} must be off, warn or fail, not {value!r}")
    return "off"
