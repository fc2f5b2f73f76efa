"""Tables of settings: key, environment variables, flag, default and meaning."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path

from pgwatch_tests.settings import jobs, load
from pgwatch_tests.settings.jobs import JobSetting
from pgwatch_tests.settings.load import SETTINGS, MarkerSetting, Settings
from pgwatch_tests.text import durations
from screenshots.reference.cells import table as markdown
from screenshots.reference.cells import text as plain

_TYPES = {
    "_parse_dsn": "connection string",
    "_parse_markers": "list of patterns, or of tables with `name`, `like` or `regex`, `inside`",
    "_parse_ignore": "list of `SCHEMA[.TABLE[.COLUMN]]`, or of tables with `what`, `reason`",
    "_parse_history": "file, or `postgresql://…`",
    "parse_seconds": "seconds",
    "parse_switch": "true or false",
    "parse_globs": "list of globs",
    "parse_duration": "duration (`10m`, `180d`)",
    "path_parser": "path",
    "parse_jobs": "tables, a job each",
    "parse_servers": "table of connection strings",
    "parse_dashboard": "a table: docs/dashboard.md",
    "_parse_action": "`sweep`, `leaks` or `schemas`",
    "_parse_interval": "duration, at least `1s`",
    "_parse_cron": "five fields, as in a crontab",
    "_parse_timezone": "IANA name",
    "_parse_kinds": "list of `rows`, `schemas`, `databases`, `sessions`, `prepared`",
    "_parse_rows": "number of rows",
    "_parse_words": "list of names or globs",
}


def table() -> str:
    """The keys of `[tool.pgwatch-tests]`."""
    meanings, defaults = _documented(Settings), _defaults(Settings)
    rows = []
    for one in SETTINGS:
        variables = [] if one.variable_value is load._no_variable else list(one.variables)
        default = _shown(defaults[one.name], one.name)
        kind = _TYPES[one.parse.__qualname__.partition(".")[0]]
        sources = [f"`{name}`" for name in ([one.flag] if one.flag else []) + variables]
        rows.append((f"`{one.key}`", meanings[one.name], kind, default, ", ".join(sources)))
    return markdown(("key", "meaning", "type", "default", "flag and variables"), rows)


def job_table() -> str:
    """The keys of `[tool.pgwatch-tests.schedule.NAME]`."""
    meanings, defaults = _documented(JobSetting), _defaults(JobSetting)
    actions = {
        key: [action for action, keys in jobs._KEYS.items() if key in keys]
        for key in (one.key for one in jobs._FIELDS)
    }
    rows = [
        (
            f"`{one.key}`",
            meanings[one.name],
            _TYPES[one.parse.__name__],
            _shown(defaults[one.name], one.name),
            ", ".join(actions[one.key]),
        )
        for one in jobs._FIELDS
    ]
    return markdown(("key", "meaning", "type", "default", "for the actions"), rows)


def _defaults(of: type) -> Mapping[str, object]:
    return {one.name: None if one.default is MISSING else one.default for one in fields(of)}


def _documented(of: type) -> Mapping[str, str]:
    """The docstring below each field, as plain Markdown; empty where there is none."""
    [body] = ast.parse(inspect.getsource(of).lstrip()).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    name = ""
    for statement in body.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            found[name] = ""
        elif name and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            # For who writes settings: durations are strings there, and None is what is left out.
            written = " ".join(str(statement.value.value).split()).replace(", in seconds,", "")
            shown = written.replace("None: ", "default: ").replace("empty: ", "default: ")
            found[name] = shown[:1].upper() + shown[1:]
    return found


def _listed(value: object) -> str:
    if isinstance(value, MarkerSetting):
        # The regular expression is one word that no column holds.
        return f"the regular expression of a {value.name}" if value.regex else f"`{value.pattern}`"
    return f"`{value}`"


def _shown(value: object, name: str) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return durations.in_words(value) if name.endswith("_s") else f"{value:g}"
    if isinstance(value, tuple):
        return ", ".join(map(_listed, value))
    return f"`{value}`" if isinstance(value, str | int) else plain(Path(str(value)).name)
