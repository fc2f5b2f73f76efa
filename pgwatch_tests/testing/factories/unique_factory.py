"""Factories of SQLAlchemy objects that know what they made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from factory.alchemy import SESSION_PERSISTENCE_COMMIT, SQLAlchemyModelFactory
from factory.enums import CREATE_STRATEGY
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.util import await_only, greenlet_spawn

from pgwatch_tests.testing.current_test import current
from pgwatch_tests.testing.factories.bound_factory import (
    AnySession,
    Bind,
    BoundFactory,
    clean_up,
    current_bound,
    lock_of,
)
from pgwatch_tests.testing.factories.made_rows import MadeRow, MadeRows, Making, current_making, making
from pgwatch_tests.testing.removed_rows import RemovedRows

T = TypeVar("T")

_made = MadeRows()
"""The rows that factories made without `using`."""


class UniqueFactory(SQLAlchemyModelFactory, Generic[T]):
    """A factory of rows that nobody else has, and that knows what it made.

        class UserFactory(UniqueFactory[User]):
            class Meta:
                model = User

            email = Unique.email("parent")

    The session is that of `using`, else Meta's `sqlalchemy_session` or `sqlalchemy_session_factory`. It may
    be an AsyncSession: then `acreate` makes objects. All that one call makes, SubFactories and hooks after
    generation included, is committed once, at its end (`sqlalchemy_session_persistence` is "commit" here);
    its objects stay loaded until somebody else commits. If it raises, its transaction is rolled back.
    """

    class Meta:
        abstract = True
        sqlalchemy_session_persistence = SESSION_PERSISTENCE_COMMIT

    if TYPE_CHECKING:
        _meta: Any

        def __new__(cls, **attributes: Any) -> Any: ...

    @classmethod
    def using(cls, bind: Bind) -> BoundFactory[T]:
        """Returns this factory with a session, or one of its own on an engine; a block removes what it made.

        with UserFactory.using(session) as users:
            users.create()
            ChildFactory.create()
        """
        return BoundFactory(cls, bind)

    @classmethod
    def create(cls, **attributes: Any) -> T:
        """Makes an object and its row. Raises RuntimeError without a session, or with an asynchronous one."""
        made: T = super().create(**attributes)
        return made

    @classmethod
    def create_batch(cls, size: int, **attributes: Any) -> list[T]:
        """Makes several."""
        return [cls.create(**attributes) for _ in range(size)]

    @classmethod
    async def acreate(cls, **attributes: Any) -> T:
        """Makes an object and its row in an AsyncSession. Hooks after generation may be coroutines.

        Tasks may call it at once: one session serves them one by one. Raises RuntimeError without one.
        """
        session, rows = _session_of(cls)
        if not isinstance(session, AsyncSession):
            raise RuntimeError(f"{cls.__name__}.acreate needs an AsyncSession; this one is for create")
        running = current_making()
        if running is not None and running.session is session.sync_session:
            return await session.run_sync(lambda _: cls._generate(CREATE_STRATEGY, attributes))
        async with lock_of(session):
            return await session.run_sync(lambda within: cls._make(within, rows, attributes))

    @classmethod
    async def acreate_batch(cls, size: int, **attributes: Any) -> list[T]:
        """Makes several."""
        return [await cls.acreate(**attributes) for _ in range(size)]

    @classmethod
    def build(cls, **attributes: Any) -> T:
        """Makes an object without a row."""
        made: T = super().build(**attributes)
        return made

    @classmethod
    def build_batch(cls, size: int, **attributes: Any) -> list[T]:
        """Makes several."""
        return [cls.build(**attributes) for _ in range(size)]

    @classmethod
    def cleanup(cls) -> RemovedRows:
        """Removes the rows that calls of this factory made, with what they needed, and what refers to them.

        Children first, by primary key, in a transaction of its own, or in that of the connection that the
        session is bound to; again it finds nothing. An open transaction of the session is rolled back
        before. Of other tests that still run nothing is removed; inside a block of `using` only what it made.
        Rows that another session has locked for 5 s stay, and are told in the outcome.
        """
        return clean_up(_rows(), cls._is_mine)

    @classmethod
    async def acleanup(cls) -> RemovedRows:
        """Removes what `acreate` made, like `cleanup`."""
        return await greenlet_spawn(clean_up, _rows(), cls._is_mine, in_greenlet=True)

    @classmethod
    def _is_mine(cls, row: MadeRow) -> bool:
        if row.owner is not None and row.owner is not current() and not row.owner.has_ended:
            return False
        return issubclass(row.maker, cls)

    @classmethod
    def _generate(cls, strategy: str, params: dict[str, Any]) -> T:
        if strategy != CREATE_STRATEGY or current_making() is not None:
            made: T = super()._generate(strategy, params)  # type: ignore[no-untyped-call]
            return made
        session, rows = _session_of(cls)
        if isinstance(session, AsyncSession):
            raise RuntimeError(
                f"the session of {cls.__name__} is asynchronous: await {cls.__name__}.acreate()"
            )
        return cls._make(session, rows, params)

    @classmethod
    def _make(cls, session: Session, rows: MadeRows, attributes: dict[str, Any]) -> T:
        commits = cls._meta.sqlalchemy_session_persistence == SESSION_PERSISTENCE_COMMIT
        with making(session, cls, rows) as one:
            try:
                made: T = super()._generate(CREATE_STRATEGY, attributes)  # type: ignore[no-untyped-call]
                if commits:
                    _commit(one)
            except BaseException:
                if commits:
                    session.rollback()
                raise
        return made

    @classmethod
    def _create(cls, model_class: type, *args: Any, **kwargs: Any) -> Any:
        running = current_making()
        if running is None:  # a strategy of somebody's own
            return super()._create(model_class, *args, **kwargs)  # type: ignore[no-untyped-call]
        if cls._meta.sqlalchemy_get_or_create:
            return cls._get_or_create(model_class, running.session, args, kwargs)  # type: ignore[no-untyped-call]
        return cls._save(model_class, running.session, args, kwargs)

    @classmethod
    def _save(
        cls, model_class: type, session: Session, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        made = model_class(*args, **kwargs)
        session.add(made)
        if cls._meta.sqlalchemy_session_persistence is not None:
            session.flush()
        return made

    @classmethod
    def _after_postgeneration(
        cls, instance: Any, create: bool, results: Mapping[str, Any] | None = None
    ) -> None:
        for name, result in (results or {}).items():
            if inspect.iscoroutine(result):
                running = current_making()
                if running is None or not running.is_async:
                    result.close()
                    raise RuntimeError(f"{cls.__name__}.{name} is a coroutine: use acreate")
                await_only(result)


def _session_of(factory: type[UniqueFactory[Any]]) -> tuple[AnySession, MadeRows]:
    if (bound := current_bound()) is not None:
        return bound.session, bound.rows
    meta = factory._meta
    session = (
        meta.sqlalchemy_session_factory() if meta.sqlalchemy_session_factory else meta.sqlalchemy_session
    )
    if isinstance(session, scoped_session | async_scoped_session):
        session = session()
    if not isinstance(session, Session | AsyncSession):
        name = factory.__name__
        raise RuntimeError(
            f"{name} has no session: call it inside `with {name}.using(session):`, or set sqlalchemy_session "
            "in its Meta"
        )
    return session, _made


def _rows() -> MadeRows:
    bound = current_bound()
    return _made if bound is None else bound.rows


def _commit(one: Making) -> None:
    """Commits; what factories made stays loaded. To read it again would begin a transaction, left open."""
    session = one.session
    expires, session.expire_on_commit = session.expire_on_commit, False
    try:
        session.commit()
    finally:
        session.expire_on_commit = expires
    if expires:
        made = one.rows.instances | set(map(id, one.made))
        for instance in list(session.identity_map.values()):
            if id(instance) not in made:
                session.expire(instance)
