"""Sessions as CSV, a line each."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.locks.graph.lock_graph import running_test
from pgwatch_tests.reports.render import csv_text
from pgwatch_tests.reports.sessions.session_rows import SessionRow

COLUMNS = (
    *("pid", "test", "worker", "application_name", "database", "user", "client", "state", "state_age_s"),
    *("xact_age_s", "wait_s", "waits_for", "query"),
)


def document(rows: Sequence[SessionRow]) -> str:
    """A header and a line per session; empty cells for what is hidden or unknown. Ages are float seconds.

    Foreign text is shown as plain text; a cell that a spreadsheet would run has an apostrophe before it.
    """
    return csv_text.document(COLUMNS, map(_line, rows))


def _line(row: SessionRow) -> dict[str, str]:
    return {
        "pid": str(row.session.pid),
        "test": running_test(row.session) or "",
        "worker": row.worker,
        "application_name": row.session.application_name,
        "database": row.database,
        "user": row.user,
        "client": row.client,
        "state": row.state,
        "state_age_s": csv_text.seconds(row.since_s),
        "xact_age_s": csv_text.seconds(row.session.xact_age_s),
        "wait_s": csv_text.seconds(row.wait_s),
        "waits_for": row.waits,
        "query": row.query,
    }
