"""Findings of the linter as the JSON document `pgwatch-tests.lint/1`."""

from __future__ import annotations

import json
from dataclasses import asdict

from pgwatch_tests.lint.model import LintReport

SCHEMA = "pgwatch-tests.lint/1"


def document(report: LintReport) -> str:
    """The document, indented, ASCII only. `complete` is false if a file wasn't read."""
    content = {
        "schema": SCHEMA,
        "files": report.files,
        "unread": report.unread,
        "complete": not report.not_read,
        "findings": [asdict(one) for one in report.findings],
        "ignored": report.ignored,
        "accepted": report.accepted,
        "stale": list(report.stale),
        "not_read": [asdict(one) for one in report.not_read],
    }
    return json.dumps(content, indent=2)
