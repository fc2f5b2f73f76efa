"""Failures of tests whose application has waited for the test itself, where a fixture holds the transaction.

Otherwise a fixture would tell it in its tear-down, after a test that passed or failed.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pgwatch_tests.testing.isolation.rollbacks.self_waits import all_watched

_NAME = "pgwatch-self-waits"


def tell_self_waits(config: pytest.Config) -> None:
    """Has tests fail in their call from now on."""
    if not config.pluginmanager.has_plugin(_NAME):
        config.pluginmanager.register(_SelfWaits(), _NAME)


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
