"""Trends over runs as a JSON document, `pgwatch-tests.trend/1`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from pgwatch_tests.history.runs.model import TestEvent
from pgwatch_tests.history.runs.trend_model import Trends
from pgwatch_tests.text.times import iso_time


def document(trends: Trends, place: str, events: Sequence[TestEvent] = ()) -> str:
    """The trends, and what happened last to the tests if some are asked for. ASCII only."""
    fields = {
        name: value or None if name in ("test", "branch") else value for name, value in asdict(trends).items()
    }
    return json.dumps(
        {
            "schema": "pgwatch-tests.trend/1",
            "history": place,
            **fields,
            "events": [asdict(event) for event in events],
        },
        indent=2,
        default=_moment,
    )


def _moment(value: object) -> str:
    if isinstance(value, datetime):
        return iso_time(value)
    raise TypeError(type(value).__name__)
