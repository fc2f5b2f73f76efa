"""`--pgwatch-keep`: schemas and databases of failed tests stay for a day, and their DSN is told."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace, without_password
from pgwatch_tests.testing.isolation.kept_places import keep


class Keeping:
    """The hook that looks at each failure."""

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
