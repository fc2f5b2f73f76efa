"""Events of a running schedule: frozen values, for a log or a screen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pgwatch_tests.history.model import HistoryEntry

EventKind = Literal["began", "came_to", "overlapped", "missed", "next", "warning"]
"""What happened:

- `began`: a job's turn came; `came_to`: it is done with a database, see `entry`
- `overlapped`: its turn came while it still ran, so it was left out
- `missed`: its turn came while nothing could run (a machine asleep, other jobs), too long ago to make up for
- `next`: when its turn comes next, see `at`
- `warning`: something couldn't be done that takes nothing from the job, see `text`
"""


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened to one job."""

    kind: EventKind
    job: str
    entry: HistoryEntry | None = None
    at: datetime | None = None
    text: str = ""
