"""`pgwatch-tests sweep --history`: the last sweeps, as they were recorded."""

from __future__ import annotations

import click

from pgwatch_tests.cli.sweep_formats import Format
from pgwatch_tests.settings.load import Settings


def shown(settings: Settings, form: Format, limit: int) -> str:
    """The newest entries, newest first. Raises HistoryError, and click's UsageError for another form."""
    if form not in ("table", "json"):
        raise click.UsageError("--history has the formats table and json")
    # Only here: --help must load neither the database driver nor SQLAlchemy.
    from pgwatch_tests.history.history import History
    from pgwatch_tests.reports.sweeps import history_json, history_table

    history = History.open(settings)
    entries = history.entries(limit)
    document = history_json.document if form == "json" else history_table.table
    return document(entries, history.name)
