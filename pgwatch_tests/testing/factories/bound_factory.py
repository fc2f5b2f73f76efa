"""A factory with its session: what it makes meanwhile, and takes away at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.util import greenlet_spawn

from pgwatch_tests.testing.factories.made_rows import MadeRow, MadeRows
from pgwatch_tests.testing.factories.removal import remove
from pgwatch_tests.testing.removed_rows import RemovedRows, tell

if TYPE_CHECKING:
    from pgwatch_tests.testing.factories.unique_factory import UniqueFactory

T = TypeVar("T")
AnySession = Session | AsyncSession
Bind = (
    Engine
    | AsyncEngine
    | Session
    | AsyncSession
    | scoped_session[Session]
    | async_scoped_session[AsyncSession]
)
"""Where factories make rows: in a session, or in one of their own on an engine."""


class BoundFactory(Generic[T]):
    """A factory and the session that it uses: a context manager, and an async one.

    Inside, it is the session of each UniqueFactory that is called, whatever their Meta says. At the end all
    is removed that was made with it; RowsStayError tells what can't be.
    """

    def __init__(self, factory: type[UniqueFactory[T]], bind: Bind) -> None:
        self.rows = MadeRows()
        self._factory = factory
        self._bind = bind
        self._own: dict[int, AnySession] = {}
        self._is_open = False

    @property
    def session(self) -> AnySession:
        """The session; on an engine, one of its own for each thread."""
        if isinstance(self._bind, scoped_session | async_scoped_session):
            return self._bind()
        if isinstance(self._bind, Session | AsyncSession):
            return self._bind
        of_thread = threading.get_ident()
        if (session := self._own.get(of_thread)) is None:
            session = self._own[of_thread] = (
                Session(self._bind, expire_on_commit=False)
                if isinstance(self._bind, Engine)
                else AsyncSession(self._bind, expire_on_commit=False)
            )
        return session

    @property
    def is_open(self) -> bool:
        """Whether its block runs."""
        return self._is_open

    def create(self, **attributes: Any) -> T:
        """Makes an object and its row. Raises what the factory does."""
        with self._in_use():
            return self._factory.create(**attributes)

    def create_batch(self, size: int, **attributes: Any) -> list[T]:
        """Makes several."""
        with self._in_use():
            return self._factory.create_batch(size, **attributes)

    async def acreate(self, **attributes: Any) -> T:
        """Makes an object and its row in an AsyncSession."""
        with self._in_use():
            return await self._factory.acreate(**attributes)

    async def acreate_batch(self, size: int, **attributes: Any) -> list[T]:
        """Makes several."""
        with self._in_use():
            return await self._factory.acreate_batch(size, **attributes)

    def cleanup(self) -> RemovedRows:
        """Removes what was made; see `UniqueFactory.cleanup`."""
        return clean_up(self.rows, lambda _: True)

    async def acleanup(self) -> RemovedRows:
        """Removes what was made, from an AsyncSession's database."""
        return await greenlet_spawn(clean_up, self.rows, lambda _: True, in_greenlet=True)

    def __enter__(self) -> Self:
        if isinstance(self._bind, AsyncEngine | AsyncSession | async_scoped_session):
            raise TypeError("use `async with` where the session is asynchronous")
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        for session in self._own.values():
            if isinstance(session, Session):
                session.close()
        tell(self.cleanup(), error)

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        for session in self._own.values():
            if isinstance(session, AsyncSession):
                await session.close()
            else:
                session.close()
        tell(await self.acleanup(), error)

    def _enter(self) -> None:
        self._is_open = True
        _open.append(self)
        _of_context.set((*_of_context.get(), self))

    def _leave(self) -> None:
        self._is_open = False
        _open.remove(self)
        _of_context.set(tuple(one for one in _of_context.get() if one.is_open))

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        was_open, self._is_open = self._is_open, True
        token = _of_context.set((*_of_context.get(), self))
        try:
            yield
        finally:
            _of_context.reset(token)
            self._is_open = was_open


_open: list[BoundFactory[Any]] = []
"""Those whose blocks run, in this process."""
_of_context: ContextVar[tuple[BoundFactory[Any], ...]] = ContextVar("pgwatch_tests.bound", default=())
"""Those of this task. Fixtures set it in a context that not every test runs in."""
_locks: WeakKeyDictionary[AsyncSession, asyncio.Lock] = WeakKeyDictionary()


def current_bound() -> BoundFactory[Any] | None:
    """Returns the innermost open one: of this task, else of this process."""
    bound: tuple[BoundFactory[Any], ...] = (*_open, *_of_context.get())
    return next((one for one in reversed(bound) if one.is_open), None)


def lock_of(session: AsyncSession) -> asyncio.Lock:
    """Returns the lock for who uses a session, which isn't for several tasks at once."""
    return _locks.setdefault(session, asyncio.Lock())


def clean_up(rows: MadeRows, chosen: Callable[[MadeRow], bool], *, in_greenlet: bool = False) -> RemovedRows:
    """Removes rows. Sessions that made them are rolled back first: their locks would hold it up.

    What stays is tried again the next time. Raises TypeError for rows of an AsyncSession outside of one.
    """
    taken = rows.take(chosen)
    left = taken
    try:
        if not in_greenlet and any(row.engine.dialect.is_async for row in taken):
            raise TypeError("rows of an AsyncSession are removed by `acleanup`")
        for session in {session for row in taken if (session := row.session) is not None}:
            if session.in_transaction():
                _roll_back(session)
        outcome = remove(row for row in taken if not row.was_rolled_back)
        if not outcome.staying:
            left = []
        return outcome
    finally:
        for row in left:
            rows.add(row)


def _roll_back(session: Session) -> None:
    try:
        session.rollback()
    except DBAPIError:  # its connection is lost, and the server has rolled it back
        session.invalidate()
