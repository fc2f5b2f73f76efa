"""The schedule's jobs as they are declared: `[tool.pgwatch-tests.schedule.NAME]`."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.text import durations

JobAction = Literal["sweep", "leaks", "schemas"]
JobSweepKind = Literal["rows", "schemas", "databases", "sessions", "prepared"]
"""What a sweep can be told to remove: `sweep.model.SweepKind`, which is known only above the settings."""

# What people write for them, the words of `leaks --kinds` among it.
_SWEEP_WORDS: Mapping[str, JobSweepKind] = {
    **{spelling: kind for kind in get_args(JobSweepKind) for spelling in (kind, kind.removesuffix("s"))},
    **dict.fromkeys(("idle_in_transaction", "idle_in_transactions"), "sessions"),
    **dict.fromkeys(("prepared_transaction", "prepared_transactions"), "prepared"),
}
_CRON_FIELDS = 5
_SHORTEST_S = 1.0
_ALWAYS = ("every", "cron", "timezone", "action", "databases", "enabled")
_OPTIONS: Mapping[JobAction, tuple[str, ...]] = {
    "sweep": (*_ALWAYS, "min_age", "dry_run", "only", "max_rows", "keep_unmarked"),
    "schemas": (*_ALWAYS, "min_age", "dry_run"),
    "leaks": _ALWAYS,
}


@dataclass(frozen=True, slots=True)
class JobSetting:
    """One job: what it does, and when. Either `every_s` or `cron` is set."""

    name: str
    source: str
    """Where it was read, for messages."""
    action: JobAction = "sweep"
    every_s: float | None = None
    """Seconds from one start to the next."""
    cron: str | None = None
    """Five fields, as in a crontab."""
    timezone: str | None = None
    """An IANA name, which `cron` goes by; None: this machine's."""
    min_age_s: float | None = None
    """None: that of the settings."""
    only: tuple[JobSweepKind, ...] = ()
    """What is removed; empty: what a sweep removes unless said otherwise."""
    max_rows: int | None = None
    keep_unmarked: bool | None = None
    """None: that of the settings."""
    databases: tuple[str, ...] = ()
    """Globs; empty: the database of the connection string."""
    dry_run: bool = False
    enabled: bool = True


def jobs(value: object, path: object) -> tuple[JobSetting, ...]:
    """The jobs of the table `schedule` in the file `path`. Raises ConfigurationError."""
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise ConfigurationError(f"schedule in {path} must be tables: [tool.pgwatch-tests.schedule.NAME]")
    return tuple(job(name, table, f"schedule.{name}", path) for name, table in value.items())


def job(name: str, table: Mapping[str, object], where: str, path: object) -> JobSetting:
    """One job from its table, which messages call `where`. Raises ConfigurationError."""
    read = _Table(table, where, path)
    if not name.strip():
        raise read.wrong("needs a name")
    known = dict.fromkeys(option for options in _OPTIONS.values() for option in options)
    for key in table:
        if key not in known:
            raise ConfigurationError(
                f"unknown setting {key!r} in {where} of {path}{did_you_mean(key, known)}"
            )
    action = read.action()
    for key in table:
        if key not in _OPTIONS[action]:
            raise read.wrong(f"does {action!r}, which knows no {key}")
    if ("every" in table) == ("cron" in table):
        raise read.wrong("needs one of every ('15m') and cron ('30 2 * * *')")
    if "timezone" in table and "cron" not in table:
        raise read.wrong("has a timezone, which only cron goes by")
    return JobSetting(
        name=name,
        source=f"{where} in {path}",
        action=action,
        every_s=read.every_s(),
        cron=read.cron(),
        timezone=read.timezone(),
        min_age_s=read.seconds("min_age"),
        only=read.only(),
        max_rows=read.max_rows(),
        keep_unmarked=read.flag("keep_unmarked", False) if "keep_unmarked" in table else None,
        databases=read.words("databases"),
        dry_run=read.flag("dry_run", False),
        enabled=read.flag("enabled", True),
    )


def sweep_kinds(words: Iterable[str]) -> tuple[JobSweepKind, ...]:
    """The kinds that `words` name, as in `--only` and in a job's `only`; in their own order.

    Singulars, hyphens, capitals and the words of `leaks --kinds` will do. Raises ValueError.
    """
    known: tuple[JobSweepKind, ...] = get_args(JobSweepKind)
    named = set()
    for word in words:
        plain = word.strip().lower().replace("-", "_")
        if plain not in _SWEEP_WORDS:
            raise ValueError(f"unknown {word.strip()!r}; known are {', '.join(known)}")
        named.add(_SWEEP_WORDS[plain])
    return tuple(kind for kind in known if kind in named)


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`; did you mean 'x'?`, or which words are known, to end a message with."""
    near = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"


@dataclass(frozen=True, slots=True)
class _Table:
    table: Mapping[str, object]
    where: str
    path: object

    def wrong(self, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self.where} in {self.path} {what}")

    def wrong_value(self, key: str, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.where}.{key} in {self.path} must be {what}, not {self.table[key]!r}"
        )

    def action(self) -> JobAction:
        value = self.table.get("action", "sweep")
        for action in get_args(JobAction):
            if value == action:
                found: JobAction = action
                return found
        raise self.wrong_value("action", f"one of {', '.join(get_args(JobAction))}")

    def every_s(self) -> float | None:
        value = self.seconds("every")
        if value is not None and value < _SHORTEST_S:
            raise self.wrong_value("every", f"at least {_SHORTEST_S:g} s")
        return value

    def seconds(self, key: str) -> float | None:
        value = self.table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self.wrong_value(key, "a duration such as '15m'")
        try:
            return durations.parse(str(value))
        except ValueError:
            raise self.wrong_value(key, "a duration such as '15m'") from None

    def cron(self) -> str | None:
        value = self.table.get("cron")
        if value is None:
            return None
        if not isinstance(value, str) or len(value.split()) != _CRON_FIELDS:
            raise self.wrong_value("cron", "minute, hour, day, month and weekday, as in '30 2 * * *'")
        return " ".join(value.split())

    def timezone(self) -> str | None:
        value = self.table.get("timezone")
        if value is None:
            return None
        try:
            if isinstance(value, str) and value:
                return ZoneInfo(value).key
        except (OSError, ValueError, KeyError):  # not there, a directory, no name at all
            pass
        raise self.wrong_value("timezone", "a time zone that this machine knows, such as 'Europe/Berlin'")

    def only(self) -> tuple[JobSweepKind, ...]:
        try:
            return sweep_kinds(self.words("only"))
        except ValueError as error:
            raise ConfigurationError(f"{self.where}.only of {self.path}: {error}") from None

    def words(self, key: str) -> tuple[str, ...]:
        value = self.table.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
            raise self.wrong_value(key, "a list of at least one word")
        return tuple(value)

    def max_rows(self) -> int | None:
        value = self.table.get("max_rows")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.wrong_value("max_rows", "a number of rows")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.table.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong_value(key, "true or false")
        return value
