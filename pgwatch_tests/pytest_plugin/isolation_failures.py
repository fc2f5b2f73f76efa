"""Failures of isolated tests: where their schema or database is kept, and whether they waited for themselves.

Hooks that are registered where an option or a fixture asks for them.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace, without_password
from pgwatch_tests.testing.isolation.kept_places import keep
from pgwatch_tests.testing.isolation.rollbacks.self_waits import all_watched

_SELF_WAITS = "pgwatch-self-waits"


class Keeping:
    """`--pgwatch-keep`: schemas and databases of failed tests stay for a day, and their DSN is told."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Keeps what a failed test has used, before its fixtures are torn down; the report says where."""
        report = yield
        if report.failed and call.when != "teardown":
            for name, value in getattr(item, "funcargs", {}).items():
                if isinstance(value, IsolatedPlace):
                    until = keep(value)
                    text = f"{name}, kept until {until}: {without_password(value.dsn)}"
                    report.sections.append(("pgwatch-keep", text))
        return report


def tell_self_waits(config: pytest.Config) -> None:
    """Has tests fail in their call from now on, whose application waits for a transaction of a fixture.

    Otherwise the fixture would tell it in its tear-down, after a test that passed or failed.
    """
    if not config.pluginmanager.has_plugin(_SELF_WAITS):
        config.pluginmanager.register(_SelfWaits(), _SELF_WAITS)


class _SelfWaits:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Tells what the test has waited for: in its error, if it has one, else as its error."""
        try:
            result = yield
        except BaseException as error:
            for one in all_watched():
                one.add_notes(error)
            raise
        for one in all_watched():
            one.raise_told()
        return result
