"""What the linter is told beside the source: keys of a database, and tests that leaked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.foreign_files import read_bytes

_SCHEMAS = ("pgwatch-tests.leaks/1", "pgwatch-tests.leaks-of-databases/1")
_SURE = ("marker", "transaction")


@dataclass(frozen=True)
class DatabaseKeys:
    """Unique columns and foreign keys of a database, by names without a schema."""

    columns: frozenset[tuple[str, str]]
    """Table and column, of all tables."""
    unique: frozenset[tuple[str, str]]
    """Table and column of each unique or primary key of one column; of all rows or of some."""
    references: frozenset[tuple[str, str]]
    """Table that refers, and table that is referred to."""

    def is_unique(self, table: str, column: str) -> bool | None:
        """Whether a column is unique, by the name that source has for table and column. None: not known.

        Source has models, variables and tables: `User`, `usersTable`, `users`. Without a table that fits, the
        answer is that of all tables with such a column, if they agree.
        """
        wanted = _folded(column)
        answers = {unique for name, unique in self._by_column.get(wanted, ()) if name == _singular(table)}
        answers = answers or {unique for _, unique in self._by_column.get(wanted, ())}
        return answers.pop() if len(answers) == 1 else None

    def referring(self, table: str) -> list[str]:
        """The tables with a foreign key to a table, as source names it."""
        return sorted({one for one, to in self.references if _singular(to) == _singular(table) and one != to})

    @cached_property
    def _by_column(self) -> Mapping[str, Sequence[tuple[str, bool]]]:
        by_column: dict[str, list[tuple[str, bool]]] = {}
        for table, column in sorted(self.columns):
            entry = (_singular(table), (table, column) in self.unique)
            by_column.setdefault(_folded(column), []).append(entry)
        return by_column


@dataclass(frozen=True, slots=True)
class LeakedRows:
    """Rows that a test left in a table."""

    test: str
    table: str
    rows: int


@dataclass(frozen=True, slots=True)
class LeakedByTests:
    """Which tests left rows, of a leaks document; only where that is known, not guessed."""

    name: str
    """The document's file."""
    rows: tuple[LeakedRows, ...]

    def of_file(self, path: str) -> list[LeakedRows]:
        """The rows that tests of a file left. A test's id begins with its file, relative to somewhere."""
        return [one for one in self.rows if _is_same_file(test_file(one.test), path)]


def test_file(test: str) -> str:
    """The file of a test's id: pytest's, Vitest's, Jest's or Playwright's."""
    without_project = re.sub(r"^\[[^\]]*\] (?:› )?", "", test)
    return re.split(r"::| > | › |:\d+", without_project, maxsplit=1)[0]


def load_leaks(path: Path) -> LeakedByTests:
    """Reads a leaks document. Raises ConfigurationError if it can't be read, or is something else."""
    try:
        document = json.loads(read_bytes(path))
    except OSError as error:
        raise ConfigurationError(f"cannot read the leaks in {path}: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path} holds no leaks: it isn't JSON") from None
    if not isinstance(document, dict) or document.get("schema") not in _SCHEMAS:
        raise ConfigurationError(f"{path} holds no leaks: it isn't the document {_SCHEMAS[0]}")
    databases = document.get("databases") if document["schema"] == _SCHEMAS[1] else [document]
    try:
        return LeakedByTests(str(path), tuple(_rows(databases)))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ConfigurationError(f"{path} holds no leaks: its tables are damaged") from None


def _rows(databases: Iterable[Mapping[str, object]] | object) -> Iterable[LeakedRows]:
    for database in _list(databases):
        for table in _list(database["tables"]):
            for one in _list(table.get("attribution") or []):
                if one["confidence"] in _SURE and isinstance(one["test"], str):
                    yield LeakedRows(
                        one["test"], f"{table['schema']}.{table['table']}", int(str(one["rows"]))
                    )


def _list(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _is_same_file(one: str, other: str) -> bool:
    first, second = (name.replace("\\", "/").strip("/").split("/") for name in (one, other))
    shared = min(len(first), len(second))
    return bool(one) and first[-shared:] == second[-shared:]


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _singular(table: str) -> str:
    folded = re.sub(r"(?:table|model|schema|entity|factory|create)$", "", _folded(table.rpartition(".")[2]))
    if folded.endswith("ies"):
        return folded[:-3] + "y"
    return folded[:-2] if folded.endswith(("sses", "xes")) else folded.removesuffix("s")
