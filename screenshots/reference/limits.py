"""Tables of docs/safety.md: settings of our sessions, and how long each kind of work may take and wait."""

from __future__ import annotations

from pgwatch_tests.doctor import examination
from pgwatch_tests.leaks.indexes import index_builds
from pgwatch_tests.locks.actions import brief_connection
from pgwatch_tests.locks.naming import catalog_lookups
from pgwatch_tests.locks.snapshot import live_source
from pgwatch_tests.postgres.connections.session_settings import SessionLimits
from pgwatch_tests.postgres.sessions import lookout
from pgwatch_tests.pytest_plugin.verdicts import verdict_session
from pgwatch_tests.run.hangs import root_ending
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.rows import passes
from pgwatch_tests.text import durations
from screenshots.reference.cells import table

_NEWEST = 180_000
_TOLD_BELOW = ("statement_timeout", "lock_timeout")
_DEFAULTS = Settings(Dsn("", ""))
_WORK: dict[str, tuple[float, float]] = {
    "a poll of sessions and locks": (
        live_source.POLL_LIMITS.statement_timeout_s,
        live_source.POLL_LIMITS.lock_timeout_s,
    ),
    "names of what is waited for": (
        catalog_lookups.LIMITS.statement_timeout_s,
        catalog_lookups.LIMITS.lock_timeout_s,
    ),
    "an action on a session": (
        brief_connection.LIMITS.statement_timeout_s,
        brief_connection.LIMITS.lock_timeout_s,
    ),
    "`run --hang …=end`": (root_ending._LIMITS.statement_timeout_s, root_ending._LIMITS.lock_timeout_s),
    "the count of a table (settings `count_timeout`, `lock_timeout`)": (
        _DEFAULTS.count_timeout_s,
        _DEFAULTS.lock_timeout_s,
    ),
    "a look for who waits for that count": (
        lookout.LIMITS.statement_timeout_s,
        lookout.LIMITS.lock_timeout_s,
    ),
    "a batch of `sweep --yes` (`--patience`)": (SweepRequest().patience_s, passes._LOCK_TIMEOUT_S),
    "a look beside an index build": (
        index_builds._LOOKING.statement_timeout_s,
        index_builds._LOOKING.lock_timeout_s,
    ),
    "`doctor`": (examination.LIMITS.statement_timeout_s, examination.LIMITS.lock_timeout_s),
    "the plugin's verdict on a test": (
        verdict_session._LIMITS.statement_timeout_s,
        verdict_session._LIMITS.lock_timeout_s,
    ),
}


def session_settings() -> str:
    """What each session of ours sets, on the newest server."""
    settings = SessionLimits(1.0, 1.0).settings(_NEWEST, "UTF8")
    rows = [(f"`{name}`", f"`{value}`") for name, value in settings.items() if name not in _TOLD_BELOW]
    return table(("setting", "value"), rows)


def session_limits() -> str:
    """How long a statement of each kind of work may take, and may wait for a lock."""
    rows = [(work, *map(_shown, limits)) for work, limits in _WORK.items()]
    return table(("work", "`statement_timeout`", "`lock_timeout`"), rows)


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else durations.in_words(seconds)
