"""Server settings that would help, judged by their present values. Pure.

The PostgreSQL manual, Server Configuration, says what each does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgwatch_tests.doctor.model import Advice
from pgwatch_tests.text.sql_names import identifier, literal

_RELOAD = "SELECT pg_reload_conf();"
_LONGEST_DEADLOCK_MS = 1000
_PREFIX_ESCAPE = re.compile(r"%-?\d*([a-zA-Z])")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as a new session of our role gets it. `value` is in `unit`, if it has one."""

    name: str
    value: str
    unit: str | None
    pending_restart: bool

    @property
    def shown(self) -> str:
        """The value with its unit, as it could be written: `1s`, `10min`, `on`."""
        if self.unit != "ms" or not self.value.lstrip("-").isdigit():
            return f"{self.value}{self.unit or ''}"
        number = int(self.value)
        for unit, size in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
            if number and number % size == 0:
                return f"{number // size}{unit}"
        return f"{number}ms" if number else "0"


def advise(settings: Sequence[Setting], database: str) -> tuple[Advice, ...]:
    """Returns the advice on each setting that is known here, in a fixed order."""
    by_name = {setting.name: setting for setting in settings}
    return tuple(rule(by_name[name], database) for name, rule in _RULES.items() if name in by_name)


def _track_commit_timestamp(setting: Setting, _: str) -> Advice:
    why = "tells when leaked rows were written that hold no time themselves"
    if setting.value == "on":
        return Advice(setting.name, setting.shown, None, why)
    # It may be set already, and wait for the restart.
    how = () if setting.pending_restart else ("ALTER SYSTEM SET track_commit_timestamp = on;",)
    return Advice(setting.name, setting.shown, "on", why, how, restart=True)


def _log_lock_waits(setting: Setting, _: str) -> Advice:
    why = "logs lock waits longer than deadlock_timeout, also while nothing polls: for `run --server-log`"
    if setting.value == "on":
        return Advice(setting.name, setting.shown, None, why)
    return Advice(setting.name, setting.shown, "on", why, ("ALTER SYSTEM SET log_lock_waits = on;", _RELOAD))


def _log_line_prefix(setting: Setting, _: str) -> Advice:
    why = "tells time, process and application in each line of the log: for `run --server-log`"
    told = set(_PREFIX_ESCAPE.findall(setting.value))
    shown = repr(setting.value)
    if told & {"m", "t", "n"} and told & {"p", "c"} and "a" in told:
        return Advice(setting.name, shown, None, why)
    is_kept = {"m", "p"} <= told and "q" not in told
    better = f"{setting.value.rstrip(' ')} %q%a " if is_kept else "%m [%p] %q%a "
    how = (f"ALTER SYSTEM SET log_line_prefix = {literal(better)};", _RELOAD)
    return Advice(setting.name, shown, repr(better), why, how)


def _deadlock_timeout(setting: Setting, _: str) -> Advice:
    why = "how long deadlocked tests hang before the server ends one of them"
    if int(setting.value) <= _LONGEST_DEADLOCK_MS:
        return Advice(setting.name, setting.shown, None, why)
    how = ("ALTER SYSTEM SET deadlock_timeout = '1s';", _RELOAD)
    return Advice(setting.name, setting.shown, "1s or less", why, how)


def _max_prepared_transactions(setting: Setting, _: str) -> Advice:
    if setting.value == "0":
        why = "no test can leave a prepared transaction behind"
    else:
        why = "tests can leave prepared transactions behind, which keep their locks"
    return Advice(setting.name, setting.shown, None, why)


def _idle_in_transaction_session_timeout(setting: Setting, database: str) -> Advice:
    why = "ends sessions that a test left idle in a transaction, and with them their locks"
    if setting.value != "0":
        return Advice(setting.name, setting.shown, None, why)
    how = f"ALTER DATABASE {identifier(database)} SET idle_in_transaction_session_timeout = '5min';"
    return Advice(setting.name, setting.shown, "longer than any test needs, say 5min", why, (how,))


_RULES: dict[str, Callable[[Setting, str], Advice]] = {
    "track_commit_timestamp": _track_commit_timestamp,
    "log_lock_waits": _log_lock_waits,
    "log_line_prefix": _log_line_prefix,
    "deadlock_timeout": _deadlock_timeout,
    "idle_in_transaction_session_timeout": _idle_in_transaction_session_timeout,
    "max_prepared_transactions": _max_prepared_transactions,
}
