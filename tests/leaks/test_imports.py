from __future__ import annotations

import subprocess


def loaded_by(python: str, statement: str, *modules: str) -> set[str]:
    """Which of the modules a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*sorted(set({modules!r}) & set(sys.modules)))"
    output = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return set(output.stdout.split())


def test_leaks_know_neither_the_dashboard_nor_the_command_line(python: str) -> None:
    loaded = loaded_by(
        python,
        "import pgwatch_tests.leaks.scan",
        "textual",
        "click",
        "sqlalchemy",
        "tabulate",
        "pgwatch_tests.locks",
    )

    assert loaded == set()


def test_markers_and_reports_know_no_database_driver(python: str) -> None:
    statement = (
        "import pgwatch_tests.leaks.markers.markers, pgwatch_tests.leaks.model, "
        "pgwatch_tests.leaks.attribution.ladder, "
        "pgwatch_tests.reports.leaks.leak_table, pgwatch_tests.reports.leaks.leak_json, "
        "pgwatch_tests.reports.leaks.leak_csv, pgwatch_tests.reports.leaks.leak_markdown, "
        "pgwatch_tests.reports.leaks.leak_github, pgwatch_tests.reports.leaks.leak_junit, "
        "pgwatch_tests.leaks.gate"
    )

    assert loaded_by(python, statement, "psycopg", "sqlalchemy", "textual", "click") == set()
