"""The DDL of a MetaData: what `create_all` sends to an empty schema, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial

from sqlalchemy import Dialect, MetaData
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import SchemaType

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.testing.isolation.isolated_place import IsolatedPlace
from pgwatch_tests.testing.isolation.migrations import Migrations, source_of


class MetadataDdl(Migrations):
    """See `migrations.metadata_migrations`."""

    def __init__(self, metadata: MetaData, size: tuple[int, ...]) -> None:
        """`size`: how many tables it has, parts of tables, and listeners."""
        self.size = size
        self._metadata = metadata
        self._compiled: dict[int, str] = {}
        """By the server's version, on which it depends what is said how."""

    def apply(self, place: IsolatedPlace) -> None:
        """See Migrations."""
        if place.search_path:
            self._check_schemas()
        if self._functions:
            engine = place.engine()
            try:
                self._metadata.create_all(engine)
            finally:
                engine.dispose()
            return
        with place.session() as connection:
            version = connection.info.server_version
            if version not in self._compiled:
                self._compiled[version] = self._statements(_dialect_of(place))
            if self._compiled[version]:
                connection.execute(self._compiled[version].encode())

    def _statements(self, dialect: Dialect) -> str:
        compiled: list[str] = []

        def keep(element: ClauseElement, *_: object, **__: object) -> None:
            compiled.append(str(element.compile(dialect=dialect)).strip().removesuffix(";"))

        self._metadata.create_all(MockConnection(dialect, keep), checkfirst=False)
        return ";\n".join(compiled)

    @cached_property
    def _functions(self) -> list[Callable[..., object]]:
        """The listeners that are no DDL of SQLAlchemy's."""
        return [
            listener
            for target in (self._metadata, *self._metadata.tables.values())
            for listener in (*target.dispatch.before_create, *target.dispatch.after_create)
            if not isinstance(listener, ExecutableDDLElement) and not _is_of_sqlalchemy(listener)
        ]

    def _contents(self) -> Iterable[bytes]:
        yield b"metadata"
        if not self._functions:
            yield self._statements(_dialect()).encode()
            return
        yield from self._described()
        for function in self._functions:
            name = f"{function.__module__}.{getattr(function, '__qualname__', '')}"
            yield source_of(function, name)

    def _described(self) -> Iterator[bytes]:
        """The tables by themselves: a listener may not be called without a server."""
        from sqlalchemy.schema import CreateIndex, CreateTable

        dialect = _dialect()
        for table in self._metadata.sorted_tables:
            elements: list[ExecutableDDLElement] = [CreateTable(table)]
            elements += map(CreateIndex, sorted(table.indexes, key=str))
            for element in elements:
                yield str(element.compile(dialect=dialect)).encode()

    def _check_schemas(self) -> None:
        named = sorted(str(table) for table in self._metadata.tables.values() if table.schema)
        if named:
            raise ConfigurationError(
                f"{named[0]} names its schema, so it can't be made in another one: use isolated_database, or "
                "leave the schema to the search path"
            )


def _dialect() -> Dialect:
    # The style of parameters decides whether `%` is doubled, for a driver that takes it for one.
    make: Callable[..., Dialect] = PGDialect
    return make(paramstyle="named")


def _dialect_of(place: IsolatedPlace) -> Dialect:
    """Returns one that knows the server's version and features."""
    dialect = _dialect()
    with place.engine(poolclass=NullPool).connect() as connection:
        dialect.initialize(connection)
    return dialect


def _is_of_sqlalchemy(listener: object) -> bool:
    """Whether a listener is a type's that is made with its table, such as Enum's."""
    while isinstance(listener, partial):
        listener = listener.func
    target = getattr(listener, "target", None) or getattr(listener, "__self__", None)
    return isinstance(target, SchemaType)
