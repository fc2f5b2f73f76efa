"""Which tests run again on another PostgreSQL: a plugin, `pytest -p tests.server_facing`.

It keeps those that start a server, wherever they are, but for the files of ELSEWHERE: these know no version,
nor do tests without a server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from tests import examples
from tests.without_server import starts_server

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE: Mapping[str, str] = {
    "tests/cli/test_closed_streams.py": "closed streams; what the commands ask is asked by their own tests",
    "tests/cli/leaks/test_leaks_cut_off.py": "ends of our process; what it counts is counted by tests/leaks",
    "tests/cli/sweeps/test_schedule.py": "signals and the clock; sweeps and counts have their own tests",
    "tests/cli/test_command_line.py": "what commands say of themselves",
    "tests/cli/test_fleet.py": "lists of servers; scans and sweeps have their own tests",
    "tests/cli/test_hostile_settings.py": "values of settings and flags; scans have their own tests",
    "tests/cli/test_pooler.py": "poolers; scans, sweeps and watches have their own tests",
    "tests/cli/runs/test_record.py": "the command; the recorder has its own tests",
    "tests/cli/test_secrets_of_others.py": "words of a statement that every major hands on as they are",
    "tests/docs/pages/test_serve.py": "what a command prints; it has its own tests",
    "tests/web/test_in_browser.py": "what browsers see; the dashboard has its own tests",
    "tests/web/test_serve_command.py": "a command and who is let in; the dashboard has its own tests",
    "tests/demo/test_factories.py": "objects of factory_boy; removal has its own tests",
    "tests/demo/test_command.py": "the demo's command, which has the wheel's server",
    "tests/embedded/test_server.py": "processes and directories of the demo, which has the wheel's server",
    "tests/demo/test_fixtures.py": "databases of the tests themselves",
    "tests/demo/test_flaky_suite.py": "the demo's suite, which has the wheel's server",
    "tests/demo/test_run.py": "the demo, which has the wheel's server",
    "tests/booking_example/test_verdicts.py": "the example's suite; the plugin's parts have their own tests",
    "tests/docs/test_examples.py": "examples of what has its own tests",
    "tests/pytest_plugin/blocking/test_interference_run.py": "texts of statements; the log has its own tests",
    "tests/pytest_plugin/blocking/test_limit_options.py": "options; limits of sessions have their own tests",
    "tests/leaks/test_crowd.py": "sizes of statements and the lock table; scans have their own tests",
    "tests/pytest_plugin/test_connections.py": "names of sessions; hooks in drivers have their own tests",
    "tests/sweep/test_sweep_command.py": "the command and signals; sweeps have their own tests",
    "tests/pytest_plugin/fixtures/test_isolation_fixtures.py": "fixtures of what has its own tests",
    "tests/pytest_plugin/fixtures/test_marked_locks.py": "a marker of locks that have their own tests",
    "tests/testing/factories/test_making.py": "objects of factory_boy; removal has its own tests",
    "tests/testing/isolation/databases/test_template_race.py": "kills; tests of templates have the rest",
    "tests/pytest_plugin/test_django.py": "Django; verdicts and hooks have their own tests",
    "tests/pytest_plugin/fixtures/test_frozen_time.py": "clocks of Python",
    "tests/pytest_plugin/test_replaying.py": "an option; schedules have their own tests",
    "tests/pytest_plugin/fixtures/test_rollback_fixtures.py": "fixtures of what has its own tests",
    "tests/run/test_guarded_runs.py": "options of a command; guards have their own tests",
    "tests/run/test_session.py": "steps of a run; each has its own tests",
    "tests/testing/connections/test_django.py": "Django; hooks in its drivers have their own tests",
    "tests/cli/leaks/test_leaks_gate.py": "exit codes; what it counts is counted by tests/leaks",
    "tests/cli/locks/test_lock_watch.py": "a command that watches; snapshots have their own tests",
    "tests/testing/factories/test_removal.py": "plain statements",
    "tests/testing/interleaving/proxy/test_asyncpg.py": "a driver in front of the proxy",
    "tests/testing/interleaving/proxy/test_proxy.py": "messages that every major has",
    "tests/testing/interleaving/test_drivers.py": "gates in drivers",
    "tests/testing/interleaving/test_faults.py": "errors that every major has",
    "tests/testing/interleaving/test_interleave.py": "plain statements; anomalies have their own tests",
    "tests/testing/interleaving/test_soundness.py": "plain statements; anomalies have their own tests",
    "tests/testing/interleaving/test_statements.py": "texts of statements; anomalies have their own tests",
    "tests/testing/isolation/rollbacks/test_async_rollback.py": "savepoints",
    "tests/testing/isolation/rollbacks/test_psycopg_rollback.py": "savepoints",
    "tests/testing/isolation/rollbacks/test_rollback.py": "savepoints",
    "tests/testing/isolation/rollbacks/test_self_waits.py": "snapshots, which have their own tests",
    "tests/testing/isolation/test_migrations.py": "plain statements",
    "tests/testing/interleaving/test_django.py": "Django; gates in its drivers have their own tests",
    "tests/testing/interleaving/test_prevention.py": "words about statements",
    "tests/pytest_plugin/test_behind_pooler.py": "a pooler; verdicts and names have their own tests",
    "tests/testing/interleaving/test_traps.py": "threads and messages; locks have their own tests",
    "tests/testing/interleaving/test_gallery.py": "plain statements; anomalies have their own tests",
    "tests/testing/interleaving/proxy/test_clients.py": "drivers and processes in front of the proxy",
    "tests/testing/races/test_races.py": "threads and tasks",
    "tests/tui/terminal/test_bursts_in_terminal.py": "keys in a terminal",
}
"""Files with tests that start a server, and why they say nothing of its version."""


@dataclass(frozen=True, slots=True)
class Known:
    """What decides about a test: the path of its file in the checkout, and whether it starts a server."""

    path: str
    starts_server: bool

    @property
    def facing(self) -> bool:
        """Whether it runs again on another version."""
        return self.starts_server and self.path not in ELSEWHERE


def superfluous(tests: Iterable[Known]) -> set[str]:
    """Paths of ELSEWHERE where none of these tests starts a server, though some are there."""
    known = tuple(tests)
    needed = {test.path for test in known if test.starts_server}
    return {test.path for test in known if test.path in ELSEWHERE} - needed


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Draws fewer random examples: the suite has drawn many already."""
    hypothesis.settings.load_profile(examples.SOME)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Raises UsageError for a file of ELSEWHERE without a test that starts a server."""
    known = {item: _known(item) for item in items}
    if unneeded := superfluous(known.values()):
        raise pytest.UsageError(f"no test starts a server, take it out of ELSEWHERE: {sorted(unneeded)}")
    config.hook.pytest_deselected(items=[item for item in items if not known[item].facing])
    items[:] = [item for item in items if known[item].facing]


def _known(item: pytest.Item) -> Known:
    path = item.path.relative_to(ROOT).as_posix()
    return Known(path, starts_server(item))
