"""Settings: flag > environment > `[tool.pgwatch-tests]` in pyproject.toml > default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.settings.jobs import JobSetting, did_you_mean, jobs
from pgwatch_tests.text import durations

DEFAULT_MARKERS: tuple[MarkerSetting, ...]


@dataclass(frozen=True, slots=True)
class MarkerSetting:
    """One marker as it was configured: a LIKE pattern, or a regular expression if `regex`.

    `inside`: not only what is the whole of a string bears it, but also what is a word or an address in it.
    """

    name: str
    pattern: str
    regex: bool = False
    inside: bool = False


@dataclass(frozen=True, slots=True)
class IgnoreSetting:
    """What leaks aren't looked for in, `SCHEMA[.TABLE[.COLUMN]]` with `*` for anything, and why."""

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
    """Everything that a command needs to know, resolved. Durations are seconds."""

    dsn: Dsn
    markers: tuple[MarkerSetting, ...] = DEFAULT_MARKERS
    ignore: tuple[IgnoreSetting, ...] = ()
    refresh_s: float = 1.0
    connect_timeout_s: float = 5.0
    lock_timeout_s: float = 0.2
    count_timeout_s: float = 300.0
    read_only: bool = False
    """Only look: no session is cancelled or ended, nothing is rolled back."""
    test_schemas: tuple[str, ...] = DEFAULT_TEST_SCHEMAS
    """Globs for the schemas that tests make: one that is still there after them is a leftover."""
    leftover_databases: tuple[str, ...] = DEFAULT_LEFTOVER_DATABASES
    """Globs for the databases that tests make: one that is still there after them is a leftover."""
    test_databases: tuple[str, ...] = ()
    """Globs for databases that may be swept besides those whose name or comment says so (server.guard)."""
    marked_tables: tuple[str, ...] = ()
    """Globs for tables (`schema.table`) that bear markers even while there is no marked row in them: there, a
    sweep takes unmarked rows for real ones."""
    min_age_s: float = 600.0
    """How old test data must be for a sweep to remove it."""
    keep_unmarked: bool = False
    """Whether sweeps keep what would take rows without a marker along, from tables that bear markers."""
    transactions: Path | None = None
    """A directory of transaction logs, by which leaked rows are attributed to tests."""
    tests: Path | None = None
    """A file of test ids, one a line, or a JUnit report: whose hashes values and application names carry."""
    history: Path | Dsn | None = None
    """Where sweeps are recorded: an SQLite file or a PostgreSQL; None: `record.store.default_file()`."""
    schedule: tuple[JobSetting, ...] = ()


@dataclass(frozen=True, slots=True)
class Flags:
    """What was said on the command line; None where nothing was."""

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


_SECONDS = {
    "refresh": "refresh_s",
    "connect_timeout": "connect_timeout_s",
    "lock_timeout": "lock_timeout_s",
    "count_timeout": "count_timeout_s",
}
_GLOBS = ("test_schemas", "leftover_databases", "test_databases", "marked_tables")
_WORDS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
_KEYS = (
    "dsn",
    "markers",
    "ignore",
    "read_only",
    *_GLOBS,
    "min_age",
    "keep_unmarked",
    "transactions",
    "tests",
    "history",
    "schedule",
    *_SECONDS,
)


def load(flags: Flags, environ: Mapping[str, str] | None = None, start: Path | None = None) -> Settings:
    """The settings for a run. Raises ConfigurationError for a value that can't be used.

    `start` is where the search for pyproject.toml begins; it goes upward from there.
    """
    environ = os.environ if environ is None else environ
    path, table = _project_table(start or Path.cwd())
    seconds: dict[str, float] = {}
    for key, name in _SECONDS.items():
        variable = f"PGWATCH_{key.upper()}"
        if variable in environ:
            seconds[name] = _positive(environ[variable], variable)
        elif key in table:
            seconds[name] = _positive(table[key], f"{key} in {path}")
    if flags.refresh_s is not None:
        seconds["refresh_s"] = _positive(flags.refresh_s, "--refresh")
    return Settings(
        dsn=_dsn(flags, environ, table, path),
        markers=_markers(flags, environ, table, path),
        ignore=_ignore(flags, environ, table, path),
        read_only=_switch("read_only", flags.read_only, environ, table, path),
        test_schemas=_globs("test_schemas", DEFAULT_TEST_SCHEMAS, environ, table, path),
        leftover_databases=_globs("leftover_databases", DEFAULT_LEFTOVER_DATABASES, environ, table, path),
        test_databases=_globs("test_databases", (), environ, table, path),
        marked_tables=_globs("marked_tables", (), environ, table, path),
        min_age_s=_min_age_s(environ, table, path),
        keep_unmarked=_switch("keep_unmarked", flags.keep_unmarked, environ, table, path),
        transactions=_path("transactions", "a directory", flags.transactions, environ, table, path),
        tests=_path("tests", "a file", flags.tests, environ, table, path),
        history=_history(environ, table, path),
        schedule=jobs(table.get("schedule", {}), path),
        **seconds,
    )


def _project_table(start: Path) -> tuple[Path, Mapping[str, object]]:
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        try:
            text = path.read_bytes()
        except OSError:  # not there, or not ours to read: then it isn't our configuration
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
        for key in table:
            if key not in _KEYS:
                raise ConfigurationError(
                    f"unknown setting {key!r} in [tool.pgwatch-tests] of {path}{did_you_mean(key, _KEYS)}"
                )
        return path, table
    return start / "pyproject.toml", {}


def _dsn(flags: Flags, environ: Mapping[str, str], table: Mapping[str, object], path: Path) -> Dsn:
    if flags.dsn is not None:
        return Dsn(flags.dsn, "--dsn")
    for variable in ("PGWATCH_DSN", "DATABASE_URL"):
        if environ.get(variable):
            return Dsn(environ[variable], variable)
    value = table.get("dsn")
    if value is None:
        return Dsn("", "libpq's environment")
    if not isinstance(value, str):
        raise ConfigurationError(f"dsn in {path} must be a string")
    return Dsn(value, f"dsn in {path}")


def _switch(
    key: str, flag: bool, environ: Mapping[str, str], table: Mapping[str, object], path: Path
) -> bool:
    if flag:
        return True
    value, where, variable = table.get(key, False), f"{key} in {path}", f"PGWATCH_{key.upper()}"
    if environ.get(variable):
        word = environ[variable].strip().lower()
        value, where = _WORDS.get(word, word), variable
    if not isinstance(value, bool):
        raise ConfigurationError(f"{where} must be true or false, not {value!r}")
    return value


def _globs(
    key: str,
    default: tuple[str, ...],
    environ: Mapping[str, str],
    table: Mapping[str, object],
    path: Path,
) -> tuple[str, ...]:
    variable = f"PGWATCH_{key.upper()}"
    if environ.get(variable):
        return tuple(environ[variable].split())
    value = table.get(key, list(default))
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ConfigurationError(f"{key} in {path} must be a list of names or globs such as 'test_*'")
    return tuple(value)


def _min_age_s(environ: Mapping[str, str], table: Mapping[str, object], path: Path) -> float:
    value, where = table.get("min_age", "10m"), f"min_age in {path}"
    if environ.get("PGWATCH_MIN_AGE"):
        value, where = environ["PGWATCH_MIN_AGE"], "PGWATCH_MIN_AGE"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigurationError(f"{where} must be a duration such as '10m', not {value!r}")
    try:
        return durations.parse(str(value))
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _path(
    key: str,
    what: str,
    flag: Path | None,
    environ: Mapping[str, str],
    table: Mapping[str, object],
    path: Path,
) -> Path | None:
    if flag is not None:
        return flag
    if environ.get(f"PGWATCH_{key.upper()}"):
        return Path(environ[f"PGWATCH_{key.upper()}"])
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value:
        raise ConfigurationError(f"{key} in {path} must be the name of {what}")
    # From wherever in the project it is run.
    return path.parent / value


def _history(environ: Mapping[str, str], table: Mapping[str, object], path: Path) -> Path | Dsn | None:
    value, where, folder = table.get("history"), f"history in {path}", path.parent
    if environ.get("PGWATCH_HISTORY"):
        value, where, folder = environ["PGWATCH_HISTORY"], "PGWATCH_HISTORY", Path()
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value:
        raise ConfigurationError(f"{where} must be a file, or a postgresql:// URL")
    scheme, mark, rest = value.partition("://")
    if not mark:
        return folder / Path(value).expanduser()
    if scheme.partition("+")[0] in ("postgres", "postgresql"):
        return Dsn(value, where)
    # As SQLAlchemy writes it: what is behind the third slash is the file's name.
    if scheme.partition("+")[0] == "sqlite" and len(rest) > 1 and rest.startswith("/") and "?" not in rest:
        return folder / rest[1:]
    # Not quoted: there may be a password in it.
    raise ConfigurationError(f"{where} must be a file, an sqlite:///FILE or a postgresql:// URL")


def _markers(
    flags: Flags, environ: Mapping[str, str], table: Mapping[str, object], path: Path
) -> tuple[MarkerSetting, ...]:
    found = _markers_as_configured(flags, environ, table, path)
    return tuple(replace(marker, inside=True) for marker in found) if flags.inside else found


def _markers_as_configured(
    flags: Flags, environ: Mapping[str, str], table: Mapping[str, object], path: Path
) -> tuple[MarkerSetting, ...]:
    if flags.markers:
        return tuple(_marker(text, "--marker") for text in flags.markers)
    lines = [line.strip() for line in environ.get("PGWATCH_MARKERS", "").splitlines()]
    if any(lines):
        return tuple(_marker(line, "PGWATCH_MARKERS") for line in lines if line)
    value = table.get("markers")
    if value is None:
        return DEFAULT_MARKERS
    if not isinstance(value, list) or not value:
        raise ConfigurationError(f"markers in {path} must be a list with at least one marker")
    return tuple(_marker(entry, f"markers in {path}") for entry in value)


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
            "or a table with name, like or regex, and inside if it is so"
        )
    # Of a regular expression, the server says it (see `leaks.obstacles`).
    if not marker.pattern.strip("%" if marker.regex else "%_"):
        raise ConfigurationError(f"{where}: the marker {marker.name!r} would match every row")
    if "\0" in marker.pattern:
        raise ConfigurationError(f"{where}: a marker can't hold a NUL character")
    return marker


def _ignore(
    flags: Flags, environ: Mapping[str, str], table: Mapping[str, object], path: Path
) -> tuple[IgnoreSetting, ...]:
    """Those of all places together: what a project ignores for a reason, a flag doesn't bring back."""
    value, where = table.get("ignore", []), f"ignore in {path}"
    if not isinstance(value, list):
        raise ConfigurationError(f"{where} must be a list")
    lines = environ.get("PGWATCH_IGNORE", "").splitlines()
    return (
        *(_ignored(entry, where) for entry in value),
        *(_ignored(line.strip(), "PGWATCH_IGNORE") for line in lines if line.strip()),
        *(_ignored(text, "--ignore") for text in flags.ignore),
    )


def _ignored(value: object, where: str) -> IgnoreSetting:
    if isinstance(value, str):
        return IgnoreSetting(value)
    if isinstance(value, dict) and set(value) in ({"what"}, {"what", "reason"}):
        return IgnoreSetting(str(value["what"]), str(value.get("reason", "")))
    raise ConfigurationError(f"{where}: it is SCHEMA[.TABLE[.COLUMN]], or a table with what and reason")


def _positive(value: object, where: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if isinstance(value, bool) or not 0 < number < 1e6:
        raise ConfigurationError(f"{where} must be a number of seconds above 0, not {value!r}")
    return number
