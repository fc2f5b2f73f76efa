from __future__ import annotations

from tests.leaks.test_imports import loaded_by


def test_schedule_and_history_know_neither_the_dashboard_nor_the_command_line(python: str) -> None:
    statement = "import pgwatch_tests.schedule.schedule, pgwatch_tests.history.recorder"
    assert loaded_by(python, statement, "textual", "rich", "click", "tabulate") == set()


def test_what_is_remembered_and_shown_needs_no_driver(python: str) -> None:
    statement = (
        "import pgwatch_tests.history.model, pgwatch_tests.reports.schedule_jobs, "
        "pgwatch_tests.reports.schedule_jobs, pgwatch_tests.reports.sweeps.sweep_history"
    )
    assert loaded_by(python, statement, "psycopg", "sqlalchemy", "apscheduler", "click", "textual") == set()


def test_settings_need_no_scheduler(python: str) -> None:
    assert (
        loaded_by(python, "import pgwatch_tests.settings.load", "apscheduler", "sqlalchemy", "psycopg")
        == set()
    )
