"""Migrations of a suite, whatever they are written with: one value with a hash of what they do.

    as_migrations(Base.metadata)                 create_all
    as_migrations("db/migrations")               the .sql files of a folder, by name
    as_migrations(["schema.sql", "seed.sql"])    .sql files, in this order
    as_migrations("alembic.ini")                 Alembic, up to its head
    as_migrations(load_fixtures)                 a function, called with the place
    as_migrations([Base.metadata, "seed.sql"])   one after the other

The hash is of the DDL that `create_all` sends, of the files' names and contents, of Alembic's scripts, and
of the source of the module that a function is in. What else a function or script reads, such as a model that
it imports, doesn't count: `function_migrations` and `alembic_migrations` take a `version` for that.
"""

from __future__ import annotations

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pgwatch_tests.errors import ConfigurationError, RefusedError
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace

if TYPE_CHECKING:
    from sqlalchemy import MetaData

MigrationsLike: TypeAlias = (
    "Migrations | MetaData | str | Path | Callable[[IsolatedPlace], object] | Sequence[MigrationsLike] | None"
)


_ATTRIBUTE = "_pgwatch_migrations"
"""Where a MetaData keeps its migrations: compiled once, as long as nothing is added."""


class MigrationError(RefusedError):
    """A statement of the migrations failed, or they did something that the place isn't for: exit 2."""


class Migrations(ABC):
    """What makes an empty schema or database the suite's."""

    @cached_property
    def hash(self) -> str:
        """64 hex digits: the same for migrations that do the same."""
        digest = hashlib.sha256()
        for part in self._contents():
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()

    is_empty = False
    """Whether they do nothing."""

    @abstractmethod
    def apply(self, place: IsolatedPlace) -> None:
        """Runs them in an empty schema or database. Raises MigrationError, and what they themselves raise."""

    @abstractmethod
    def _contents(self) -> Iterable[bytes]:
        """Returns all that decides about what they do."""


def as_migrations(value: MigrationsLike) -> Migrations:
    """Returns the migrations that a value stands for (see the module); None are none at all.

    Raises ConfigurationError for what is none.
    """
    if value is None:
        return _SeveralMigrations(())
    if isinstance(value, Migrations):
        return value
    if isinstance(value, str | Path):
        path = Path(value)
        if path.suffix == ".ini":
            return alembic_migrations(path)
        return sql_migrations(path)
    if isinstance(value, Sequence):
        if value and all(isinstance(one, str | Path) and Path(one).suffix == ".sql" for one in value):
            return sql_migrations(*(Path(one) for one in value if isinstance(one, str | Path)))
        return _SeveralMigrations(tuple(map(as_migrations, value)))
    if callable(value):
        return function_migrations(value)
    if hasattr(value, "create_all"):
        return metadata_migrations(value)
    raise ConfigurationError(
        "migrations are a MetaData, an alembic.ini, a folder or list of .sql files, or a function, "
        f"not {type(value).__name__}"
    )


def sql_migrations(*paths: str | Path) -> Migrations:
    """Returns migrations of .sql files, in this order; of a folder, its .sql files by name.

    They are sent as one message, and so are one transaction unless they say otherwise. Where a statement
    refuses that, such as CREATE INDEX CONCURRENTLY, each is sent by itself. Raises ConfigurationError if
    there is no such file, or it has commands of psql in it.
    """
    from pgwatch_tests.testing.isolation.sql_files import SqlFiles

    return SqlFiles.of(map(Path, paths))


def metadata_migrations(metadata: MetaData) -> Migrations:
    """Returns migrations that do what `metadata.create_all` does, compiled once and sent as one message.

    Where a listener of the tables' events is a function, which may do anything, `create_all` itself runs.
    """
    from pgwatch_tests.testing.isolation.metadata_ddl import MetadataDdl

    tables = metadata.tables.values()
    parts = sum(len(table.columns) + len(table.indexes) + len(table.constraints) for table in tables)
    listeners = sum(
        len(target.dispatch.before_create) + len(target.dispatch.after_create)
        for target in (metadata, *tables)
    )
    size = len(tables), parts, listeners
    known = getattr(metadata, _ATTRIBUTE, None)
    if not isinstance(known, MetadataDdl) or known.size != size:
        known = MetadataDdl(metadata, size)
        setattr(metadata, _ATTRIBUTE, known)
    return known


def alembic_migrations(ini: str | Path, revision: str = "head", *, version: str = "") -> Migrations:
    """Returns Alembic's upgrade to a revision. `version` goes into the hash.

    env.py is told the database by `sqlalchemy.url`: it is refused a connection to any other. Raises
    ConfigurationError if there is no such file.
    """
    from pgwatch_tests.testing.isolation.alembic_upgrade import AlembicUpgrade

    return AlembicUpgrade.of(Path(ini), revision, version)


def function_migrations(function: Callable[[IsolatedPlace], object], version: str = "") -> Migrations:
    """Returns migrations that a function does, which is called with the place, wherever it is needed.

    `version` stands for what it does: without one, the source of its module does. Raises ConfigurationError
    if there is no source either.
    """
    return _FunctionMigrations(function, version)


class _FunctionMigrations(Migrations):
    def __init__(self, function: Callable[[IsolatedPlace], object], version: str) -> None:
        self._function, self._version = function, version

    def apply(self, place: IsolatedPlace) -> None:
        self._function(place)

    def _contents(self) -> Iterable[bytes]:
        name = f"{self._function.__module__}.{getattr(self._function, '__qualname__', '')}"
        return (b"function", name.encode(), self._version.encode() or source_of(self._function, name))


class _SeveralMigrations(Migrations):
    def __init__(self, parts: tuple[Migrations, ...]) -> None:
        self._parts = parts
        self.is_empty = all(part.is_empty for part in parts)

    def apply(self, place: IsolatedPlace) -> None:
        for part in self._parts:
            part.apply(place)

    def _contents(self) -> Iterable[bytes]:
        return (b"several", *(part.hash.encode() for part in self._parts))


def source_of(function: Callable[..., object], name: str) -> bytes:
    """Returns the source of the module that a function is in. Raises ConfigurationError if there is none."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
        if file is None:
            raise TypeError
        return Path(file).read_bytes()
    except (TypeError, OSError):
        raise ConfigurationError(
            f"the source of {name} can't be read, so nothing tells whether it has changed: "
            "function_migrations(…, version=…) does"
        ) from None
