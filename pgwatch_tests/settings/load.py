"""Settings: flag > environment > `[tool.pgwatch-tests]` in pyproject.toml > default."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.foreign_files import read_bytes
from pgwatch_tests.settings.dashboard import DashboardSetting, parse_dashboard
from pgwatch_tests.settings.fields import (
    Field,
    Source,
    check_keys,
    parse_duration,
    parse_globs,
    parse_seconds,
    parse_switch,
    path_parser,
)
from pgwatch_tests.settings.jobs import JobSetting, parse_jobs
from pgwatch_tests.settings.servers import ServerSetting, parse_servers

_KEYWORDS = re.compile(r"\s*(?:host|hostaddr|port|dbname|user|password|passfile|service|sslmode)\s*=")
"""Begins a connection string of libpq's keywords and values (its manual, 32.1.1.1)."""
DEFAULT_MARKERS: tuple[MarkerSetting, ...]


@dataclass(frozen=True, slots=True)
class MarkerSetting:
    """One marker as it was configured: a LIKE pattern, or a regular expression if `regex`.

    `inside`: words and addresses inside longer strings are compared with it, too.
    """

    name: str
    pattern: str
    regex: bool = False
    inside: bool = False


@dataclass(frozen=True, slots=True)
class IgnoreSetting:
    """A place that isn't searched for leaks: `SCHEMA[.TABLE[.COLUMN]]` with `*` for anything, and the
    reason."""

    what: str
    reason: str = ""


# The forms that the practice of parallel tests prescribes: an address in a domain that
# receives no mail, and `<prefix>_<13-digit milliseconds>_<random>`.
DEFAULT_MARKERS = (
    MarkerSetting("test email", "%@test.example.com"),
    MarkerSetting(
        "test id",
        r"^[A-Za-z][A-Za-z0-9-]*(_[A-Za-z0-9-]+)*_1[0-9]{12}_[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$",
        regex=True,
    ),
)


DEFAULT_TEST_SCHEMAS = ("test_*", "*_test_gw[0-9]*")
DEFAULT_LEFTOVER_DATABASES = (
    "test_*",
    # pytest-postgresql's, alone and for a worker of pytest-xdist.
    *("tests", "testsgw[0-9]*"),
    # Those of parallel workers: Laravel's and newer Rails', older Rails', Phoenix's and parallel_tests'.
    *("*_test_[0-9]", "*_test_[0-9][0-9]", "*_test_[0-9][0-9][0-9]"),
    *("*_test-[0-9]", "*_test-[0-9][0-9]", "*_test-[0-9][0-9][0-9]"),
    *("*_test[0-9]", "*_test[0-9][0-9]", "*_test[0-9][0-9][0-9]"),
    # Those that suites name after a worker of pytest-xdist themselves.
    *("*_test_gw[0-9]", "*_test_gw[0-9][0-9]"),
)


@dataclass(frozen=True, slots=True)
class Dsn:
    """A connection string and where it was read, for messages (which never show the string itself).

    An empty `value` leaves everything to libpq: PGHOST, PGSERVICE, ~/.pgpass and so on.
    """

    value: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a command, resolved. Durations are seconds."""

    dsn: Dsn
    """Where to connect; empty: libpq's own environment says."""
    markers: tuple[MarkerSetting, ...] = DEFAULT_MARKERS
    """What test data looks like: LIKE patterns, or regular expressions."""
    ignore: tuple[IgnoreSetting, ...] = ()
    """Places that aren't searched for leaks; those of flag, variable and pyproject.toml are put together."""
    refresh_s: float = 1.0
    """The time between polls while nothing is blocked."""
    connect_timeout_s: float = 5.0
    """How long a connection attempt may take."""
    lock_timeout_s: float = 0.2
    """How long a count waits for a locked table."""
    count_timeout_s: float = 300.0
    """How long the count of one table may take."""
    read_only: bool = False
    """Read only: no session is cancelled or ended, nothing is rolled back, nothing is swept."""
    test_schemas: tuple[str, ...] = DEFAULT_TEST_SCHEMAS
    """Globs for the schemas that tests make: one that is still there after them is a leftover."""
    leftover_databases: tuple[str, ...] = DEFAULT_LEFTOVER_DATABASES
    """Globs for the databases that tests make: one that is still there after them is a leftover."""
    test_databases: tuple[str, ...] = ()
    """Globs for databases that may be swept besides those whose name or comment says so."""
    marked_tables: tuple[str, ...] = ()
    """Globs for tables (`schema.table`) that bear markers even while there is no marked row in them: there, a
    sweep takes unmarked rows for real ones."""
    min_age_s: float = 600.0
    """The minimum age, in seconds, of test data that a sweep removes."""
    keep_unmarked: bool = False
    """Whether sweeps keep rows whose deletion would also delete unmarked rows of tables that bear markers."""
    transactions: Path | None = None
    """A directory of transaction logs, by which leaked rows are attributed to tests."""
    tests: Path | None = None
    """A file of test ids, one per line, or a JUnit report; values and application names carry their
    hashes."""
    history: Path | Dsn | None = None
    """The place of the history of sweeps and runs: an SQLite file or a PostgreSQL; None: a file in the
    account's state directory."""
    keep_runs_s: float = 180 * 86_400.0
    """The age, in seconds, at which runs are forgotten."""
    schedule: tuple[JobSetting, ...] = ()
    """Jobs of the schedule."""
    servers: tuple[ServerSetting, ...] = ()
    """The servers that `--servers` can name, besides those of libpq's service files."""
    dashboard: DashboardSetting = field(default_factory=DashboardSetting)
    """What the project prefers in the dashboard."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of the command line that are settings; None where none was given."""

    dsn: str | None = None
    markers: tuple[str, ...] = ()
    inside: bool = False
    """Whether all markers are looked for inside longer text."""
    ignore: tuple[str, ...] = ()
    refresh_s: float | None = None
    read_only: bool = False
    keep_unmarked: bool = False
    transactions: Path | None = None
    tests: Path | None = None


def _parse_dsn(value: object, source: Source) -> Dsn:
    if not isinstance(value, str):
        raise source.wrong("a string")
    return Dsn(value, source.name)


def _parse_markers(value: object, source: Source) -> tuple[MarkerSetting, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise source.wrong("a list with at least one marker")
    return tuple(_marker(entry, source.name) for entry in value)


def _parse_ignore(value: object, source: Source) -> tuple[IgnoreSetting, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise source.wrong("a list")
    return tuple(_ignored(entry, source.name) for entry in value)


def _parse_history(value: object, source: Source) -> Path | Dsn:
    if not isinstance(value, str) or not value or "\0" in value:
        raise source.wrong("a file, or a postgresql:// URL")
    scheme, mark, rest = value.partition("://")
    # libpq's other form: taken for a file's name, each machine would have a history of its own in it.
    if _KEYWORDS.match(value):
        return Dsn(value, source.name)
    if not mark:
        return source.folder / Path(value).expanduser()
    if scheme.partition("+")[0] in ("postgres", "postgresql"):
        return Dsn(value, source.name)
    # As SQLAlchemy writes it: what is behind the third slash is the file's name.
    if scheme.partition("+")[0] == "sqlite" and len(rest) > 1 and rest.startswith("/") and "?" not in rest:
        return source.folder / rest[1:]
    # Not quoted: there may be a password in it.
    raise source.wrong("a file, an sqlite:///FILE or a postgresql:// URL")


def _marker(value: object, where: str) -> MarkerSetting:
    """A marker from `'%@test.example.com'`, `'re:^user_\\d+$'` or `{name, like | regex, inside?}`."""
    if isinstance(value, str):
        regex = value.startswith("re:")
        pattern = value.removeprefix("re:") if regex else value
        marker = MarkerSetting(value, pattern, regex)
    elif isinstance(value, dict) and set(value) - {"inside"} in ({"name", "like"}, {"name", "regex"}):
        regex, inside = "regex" in value, value.get("inside", False)
        if not isinstance(inside, bool):
            raise ConfigurationError(f"{where}: inside must be true or false, not {inside!r}")
        marker = MarkerSetting(str(value["name"]), str(value["regex" if regex else "like"]), regex, inside)
    else:
        raise ConfigurationError(
            f"{where}: a marker is a LIKE pattern, 're:' and a regular expression, "
            "or a table with name, like or regex, and optionally inside"
        )
    # The server checks regular expressions (leaks.catalog.obstacles).
    if not marker.pattern.strip("%" if marker.regex else "%_"):
        raise ConfigurationError(f"{where}: the marker {marker.name!r} would match every row")
    if "\0" in marker.pattern:
        raise ConfigurationError(f"{where}: a marker can't hold a NUL character")
    return marker


def _ignored(value: object, where: str) -> IgnoreSetting:
    if isinstance(value, str):
        return IgnoreSetting(value)
    if isinstance(value, dict) and set(value) in ({"what"}, {"what", "reason"}):
        return IgnoreSetting(str(value["what"]), str(value.get("reason", "")))
    raise ConfigurationError(f"{where}: an entry is SCHEMA[.TABLE[.COLUMN]], or a table with what and reason")


def _no_blank(text: str) -> str | None:
    return text if text.strip() else None


def _text(variable: str) -> str | None:
    return variable or None


def _lines(variable: str) -> list[str] | None:
    return [line.strip() for line in variable.splitlines() if line.strip()] or None


def _as_it_is(variable: str) -> str:
    return variable


def _no_variable(_: str) -> None:
    """Reads nothing: for a setting that is a table in TOML."""


def _no_flag(_: Flags) -> None:
    """Reads nothing: for settings without a flag."""


@dataclass(frozen=True, slots=True)
class _Setting(Field):
    """A field of Settings with its variable and its flag; the default is in Settings."""

    flag: str = ""
    flag_value: Callable[[Flags], object] = _no_flag
    """The value of the flag; None if it wasn't given."""
    variable_value: Callable[[str], object] = _text
    """The value of the variable's text; None if it is empty."""
    more_variables: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it; the first one found counts."""
        return (f"PGWATCH_{self.key.upper()}", *self.more_variables)

    def values(
        self, flags: Flags, environ: Mapping[str, str], table: Mapping[str, object], path: Path
    ) -> Iterator[object]:
        """Yields its value from each place that sets it, the strongest place first."""
        given = self.flag_value(flags)
        if given is not None:
            yield self.parse(given, Source(self.flag))
        for variable in self.variables:
            given = self.variable_value(environ[variable]) if variable in environ else None
            if given is not None:
                yield self.parse(given, Source(variable))
        if self.key in table:
            yield self.parse(table[self.key], Source(f"{self.key} in {path}", path))


# Key in pyproject.toml, parser, attribute of Settings if it is another, flag.
SETTINGS = (
    _Setting(
        "dsn", _parse_dsn, "", "--dsn", lambda flags: flags.dsn, _no_blank, more_variables=("DATABASE_URL",)
    ),
    _Setting("markers", _parse_markers, "", "--marker", lambda flags: flags.markers or None, _lines),
    _Setting("ignore", _parse_ignore, "", "--ignore", lambda flags: flags.ignore or None, _lines),
    _Setting("refresh", parse_seconds, "refresh_s", "--refresh", lambda flags: flags.refresh_s, _as_it_is),
    _Setting("connect_timeout", parse_seconds, "connect_timeout_s", variable_value=_as_it_is),
    _Setting("lock_timeout", parse_seconds, "lock_timeout_s", variable_value=_as_it_is),
    _Setting("count_timeout", parse_seconds, "count_timeout_s", variable_value=_as_it_is),
    _Setting("read_only", parse_switch, "", "--read-only", lambda flags: flags.read_only or None),
    _Setting("test_schemas", parse_globs),
    _Setting("leftover_databases", parse_globs),
    _Setting("test_databases", parse_globs),
    _Setting("marked_tables", parse_globs),
    _Setting("min_age", parse_duration, "min_age_s"),
    _Setting("keep_unmarked", parse_switch, "", "--keep-unmarked", lambda flags: flags.keep_unmarked or None),
    _Setting(
        "transactions", path_parser("a directory"), "", "--transactions", lambda flags: flags.transactions
    ),
    _Setting("tests", path_parser("a file"), "", "--tests", lambda flags: flags.tests),
    _Setting("history", _parse_history),
    _Setting("keep_runs", parse_duration, "keep_runs_s"),
    _Setting("schedule", parse_jobs, variable_value=_no_variable),
    _Setting("servers", parse_servers, variable_value=_no_variable),
    _Setting("dashboard", parse_dashboard, variable_value=_no_variable),
)


_DSN_VARIABLES = ("PGWATCH_DSN", "DATABASE_URL")
_LIBPQ_VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE", "PGSERVICEFILE")


def load(flags: Flags, environ: Mapping[str, str] | None = None, start: Path | None = None) -> Settings:
    """Returns the settings for a run. Raises ConfigurationError for a value that can't be used.

    `start` is where the search for pyproject.toml begins; it goes upward from there.
    """
    environ = os.environ if environ is None else environ
    path, table = _project_table(start or Path.cwd())
    parsed: dict[str, Any] = {}
    for setting in SETTINGS:
        values = setting.values(flags, environ, table, path)
        if setting.key == "ignore":
            # Ignored names of all places together: a flag doesn't bring back what a project ignores.
            places = cast(list[tuple[IgnoreSetting, ...]], list(values))
            parsed["ignore"] = tuple(chain.from_iterable(reversed(places)))
        elif (value := next(values, None)) is not None:
            parsed[setting.name] = value
    settings = replace(Settings(_unnamed(environ)), **parsed)
    if "refresh_s" in parsed:
        # What is set for all commands is stronger than what is preferred in the dashboard.
        settings = replace(settings, dashboard=replace(settings.dashboard, refresh_s=settings.refresh_s))
    if flags.inside:
        markers = tuple(replace(marker, inside=True) for marker in settings.markers)
        settings = replace(settings, markers=markers)
    return settings


def _unnamed(environ: Mapping[str, str]) -> Dsn:
    """What leaves the server to libpq, and says why it is left to it."""
    empty = [name for name in _DSN_VARIABLES if name in environ and not environ[name].strip()]
    if empty:
        return Dsn("", f"{empty[0]} is empty")
    named = any(environ.get(name) for name in _LIBPQ_VARIABLES)
    return Dsn("", "libpq's environment" if named else "no server is named")


def _project_table(start: Path) -> tuple[Path, Mapping[str, object]]:
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        try:
            text = read_bytes(path)
        except OSError:  # missing or unreadable: then it isn't our configuration
            continue
        try:
            document = tomllib.loads(text.decode("utf-8"))
        # Also for numbers of thousands of digits, and for tables nested as deep.
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{path} isn't valid TOML: {error}") from error
        tool = document.get("tool")
        table = tool.get("pgwatch-tests") if isinstance(tool, dict) else None
        if table is None:
            return path, {}
        if not isinstance(table, dict):
            raise ConfigurationError(f"tool.pgwatch-tests in {path} must be a table")
        check_keys(table, (setting.key for setting in SETTINGS), f"[tool.pgwatch-tests] of {path}")
        return path, table
    return start / "pyproject.toml", {}
