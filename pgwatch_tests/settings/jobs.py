"""Jobs of the schedule as they are declared: `[tool.pgwatch-tests.schedule.NAME]`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.settings.fields import Field, Source, check_keys, parse_duration, parse_switch

JobAction = Literal["sweep", "leaks", "schemas"]
SweepKind = Literal["rows", "schemas", "databases", "sessions", "prepared"]
"""The kinds that a sweep can remove."""

# Other spellings of the kinds, among them those of `leaks --kinds`.
_SWEEP_WORDS: Mapping[str, SweepKind] = {
    **{spelling: kind for kind in get_args(SweepKind) for spelling in (kind, kind.removesuffix("s"))},
    **dict.fromkeys(("idle_in_transaction", "idle_in_transactions"), "sessions"),
    **dict.fromkeys(("prepared_transaction", "prepared_transactions"), "prepared"),
}
_CRON_FIELDS = 5
_SHORTEST_S = 1.0


@dataclass(frozen=True, slots=True)
class JobSetting:
    """One job: its action, and when it runs. Either `every_s` or `cron` is set."""

    name: str
    source: str
    """Where it was read, for messages."""
    action: JobAction = "sweep"
    """Sweep, sweep schemas only, or only count."""
    every_s: float | None = None
    """Seconds from one start to the next."""
    cron: str | None = None
    """Five fields, as in a crontab."""
    timezone: str | None = None
    """An IANA name, which `cron` goes by; None: this machine's."""
    min_age_s: float | None = None
    """None: that of the settings."""
    only: tuple[SweepKind, ...] = ()
    """The kinds to remove; empty: the default kinds."""
    max_rows: int | None = None
    """Nothing is removed if there is more to remove."""
    keep_unmarked: bool | None = None
    """None: that of the settings."""
    databases: tuple[str, ...] = ()
    """Globs; empty: the database of the connection string."""
    dry_run: bool = False
    """Whether it only says what it would remove."""
    enabled: bool = True
    """Whether it runs at all."""


def sweep_kinds(words: Iterable[str]) -> tuple[SweepKind, ...]:
    """The kinds that `words` name, as in `--only` and in a job's `only`; in their own order.

    Singulars, hyphens, capitals and the words of `leaks --kinds` will do. Raises ValueError.
    """
    known: tuple[SweepKind, ...] = get_args(SweepKind)
    named = set()
    for word in words:
        plain = word.strip().lower().replace("-", "_")
        if plain not in _SWEEP_WORDS:
            raise ValueError(f"unknown {word.strip()!r}; known kinds: {', '.join(known)}")
        named.add(_SWEEP_WORDS[plain])
    return tuple(kind for kind in known if kind in named)


def _parse_action(value: object, source: Source) -> JobAction:
    for action in get_args(JobAction):
        if value == action:
            job_action: JobAction = action
            return job_action
    raise source.wrong(f"one of {', '.join(get_args(JobAction))}, not {value!r}")


def _parse_interval(value: object, source: Source) -> float:
    every_s = parse_duration(value, source)
    if every_s < _SHORTEST_S:
        raise source.wrong(f"at least {_SHORTEST_S:g} s, not {value!r}")
    return every_s


def _parse_cron(value: object, source: Source) -> str:
    if not isinstance(value, str) or len(value.split()) != _CRON_FIELDS:
        raise source.wrong(f"minute, hour, day, month and weekday, as in '30 2 * * *', not {value!r}")
    return " ".join(value.split())


def _parse_timezone(value: object, source: Source) -> str:
    try:
        if isinstance(value, str) and value:
            return ZoneInfo(value).key
    except (OSError, ValueError, KeyError):  # no such file, a directory, or not a name
        pass
    raise source.wrong(f"a time zone that this machine knows, such as 'Europe/Berlin', not {value!r}")


def _parse_words(value: object, source: Source) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise source.wrong(f"a list of at least one word, not {value!r}")
    return tuple(value)


def _parse_kinds(value: object, source: Source) -> tuple[SweepKind, ...]:
    try:
        return sweep_kinds(_parse_words(value, source))
    except ValueError as error:
        raise ConfigurationError(f"{source.name}: {error}") from None


def _parse_rows(value: object, source: Source) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise source.wrong(f"a number of rows, not {value!r}")
    return value


_FIELDS = (
    Field("action", _parse_action),
    Field("every", _parse_interval, "every_s"),
    Field("cron", _parse_cron),
    Field("timezone", _parse_timezone),
    Field("min_age", parse_duration, "min_age_s"),
    Field("only", _parse_kinds),
    Field("max_rows", _parse_rows),
    Field("keep_unmarked", parse_switch),
    Field("databases", _parse_words),
    Field("dry_run", parse_switch),
    Field("enabled", parse_switch),
)
_ALWAYS = ("every", "cron", "timezone", "action", "databases", "enabled")
_KEYS: Mapping[JobAction, tuple[str, ...]] = {
    "sweep": (*_ALWAYS, "min_age", "dry_run", "only", "max_rows", "keep_unmarked"),
    "schemas": (*_ALWAYS, "min_age", "dry_run"),
    "leaks": _ALWAYS,
}
"""The keys that a job with this action may have."""


def parse_jobs(value: object, source: Source) -> tuple[JobSetting, ...]:
    """The jobs of the table `schedule`. Raises ConfigurationError."""
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise source.wrong("tables: [tool.pgwatch-tests.schedule.NAME]")
    return tuple(_job(name, table, source.file) for name, table in value.items())


def _job(name: str, table: Mapping[str, object], file: Path | None) -> JobSetting:
    where = f"schedule.{name}"

    def wrong(what: str) -> ConfigurationError:
        return ConfigurationError(f"{where} in {file} {what}")

    if not name.strip():
        raise wrong("needs a name")
    check_keys(table, (field.key for field in _FIELDS), f"{where} of {file}")
    values: dict[str, Any] = {}
    for field in _FIELDS:
        if field.key in table:
            values[field.name] = field.parse(table[field.key], Source(f"{where}.{field.key} in {file}", file))
    job = replace(JobSetting(name, f"{where} in {file}"), **values)
    for key in table:
        if key not in _KEYS[job.action]:
            raise wrong(f"has the action {job.action!r}, which takes no setting {key}")
    if ("every" in table) == ("cron" in table):
        raise wrong("needs either every ('15m') or cron ('30 2 * * *')")
    if "timezone" in table and "cron" not in table:
        raise wrong("has a timezone, but only cron uses one")
    return job
