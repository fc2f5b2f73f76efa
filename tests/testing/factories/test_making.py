"""What factories make: unique values, one transaction a call, in whichever session."""

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import weakref
from collections.abc import Iterator
from typing import Any, assert_type

import factory.random
import pytest
from factory.declarations import PostGeneration, RelatedFactory
from sqlalchemy import ColumnClause, Engine, func, literal_column, select, union_all
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pgwatch_tests.demo.booking import Booking, Child, User
from pgwatch_tests.demo.factories import BookingFactory, ChildFactory, UserFactory
from pgwatch_tests.testing import Unique, UniqueFactory, run_id
from tests.testing.factories.strange_tables import Currency

pytest_plugins = ["pytester"]


def count(engine: Engine, of: type) -> int:
    """Returns how many rows there are, committed."""
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(of)).scalar_one())


def test_values_stay_unique_whatever_is_seeded() -> None:
    made: list[User] = []
    for _ in range(50):
        # What pytest-randomly does before each test.
        random.seed(1)
        factory.random.reseed_random(1)
        UserFactory.reset_sequence(0, force=True)  # type: ignore[no-untyped-call]
        made += UserFactory.build_batch(5)
    assert_type(made, list[User])
    assert len({user.email for user in made}) == len({user.clerk_id for user in made}) == 250
    assert all(user.email.startswith("parent-") and f"-r{run_id()}-" in user.email for user in made)
    assert all(user.email.endswith("@test.example.com") for user in made)


def test_a_prefix_that_no_marker_matches_is_refused_where_it_is_declared() -> None:
    with pytest.raises(ValueError, match="prefix of an email address"):
        Unique.email("a b")
    with pytest.raises(ValueError, match="prefix of an id"):
        Unique.id("")


def test_one_call_makes_all_that_it_needs_in_one_transaction(engine: Engine) -> None:
    with Session(engine) as session, BookingFactory.using(session) as bookings:
        booking = bookings.create(status="CANCELLED")
        assert_type(booking, Booking)
        assert booking.status == "CANCELLED"
        # Expired, it would be read again, and that transaction would stay open.
        assert booking.created_at is not None
        assert not session.in_transaction()
        child = session.get(Child, booking.child_id)
        assert child is not None
        assert child.parent_id == booking.parent_id
        versions = select(func.count(func.distinct(User.__table__.c.id)), func.count()).select_from(User)
        assert session.execute(versions).one() == (2, 2)
        xmin: ColumnClause[str] = literal_column("xmin::text")
        made = union_all(*(select(xmin).select_from(one.__table__) for one in (User, Child, Booking)))
        writers = session.execute(select(func.count(func.distinct(made.subquery().c[0]))))
        assert writers.scalar_one() == 1
    assert count(engine, Booking) == count(engine, User) == 0


def test_others_in_the_session_are_expired_by_its_commit_as_ever(engine: Engine) -> None:
    with Session(engine) as session, UserFactory.using(session) as users:
        currency = Currency(code="EUR")
        session.add(currency)
        made = users.create()
        users.create()
        assert "code" not in currency.__dict__
        assert "email" in made.__dict__
        session.commit()
        assert "email" not in made.__dict__


def test_a_call_that_fails_leaves_nothing(engine: Engine) -> None:
    class FailingFactory(UserFactory):
        class Meta:
            model = User

        child = RelatedFactory(ChildFactory, "parent", name=None)

    with Session(engine) as session, FailingFactory.using(session) as users:
        with pytest.raises(IntegrityError):
            users.create()
        assert count(engine, User) == 0
        assert not session.in_transaction()
        assert users.create(child=None)


def test_hooks_after_generation_may_make_more(engine: Engine) -> None:
    class ParentFactory(UserFactory):
        class Meta:
            model = User

        @PostGeneration
        def children(user: User, create: bool, number: int | None) -> None:  # noqa: N805
            assert create
            user.last_name = f"of {number}"
            for _ in range(number or 0):
                ChildFactory.create(parent=user)

    with ParentFactory.using(engine) as parents:
        user = parents.create(children=3)
        assert (user.last_name, count(engine, Child)) == ("of 3", 3)
        with engine.connect() as connection:
            assert connection.execute(select(User.last_name)).scalar_one() == "of 3"
        assert parents.cleanup().removed == {"public.children": 3, "public.users": 1}
    assert count(engine, User) == 0


@pytest.fixture
def meta_session(engine: Engine) -> Iterator[scoped_session[Session]]:
    """The session of a factory's Meta."""
    scoped = scoped_session(sessionmaker(engine))
    yield scoped
    scoped.remove()


def test_a_session_is_that_of_using_else_that_of_meta(
    engine: Engine, meta_session: scoped_session[Session]
) -> None:
    class OwnFactory(UserFactory):
        class Meta:
            model = User
            sqlalchemy_session = meta_session

    with pytest.raises(
        RuntimeError, match=r"UserFactory has no session: call it inside `with UserFactory\.using"
    ):
        UserFactory.create()
    user = OwnFactory.create()
    assert user in meta_session
    with UserFactory.using(engine) as outer:
        other = OwnFactory.create()
        assert other not in meta_session
        with UserFactory.using(engine) as inner:
            UserFactory.create_batch(2)
            assert (len(inner.rows), len(outer.rows)) == (2, 1)
            UserFactory.cleanup()
            assert (len(inner.rows), len(outer.rows)) == (0, 1)
            outer.create()
        assert len(outer.rows) == 2
        assert count(engine, User) == 3
    assert count(engine, User) == 1
    assert ChildFactory.cleanup().removed == {}
    assert UserFactory.cleanup().removed == {"public.users": 1}
    assert OwnFactory.cleanup().removed == {}
    assert count(engine, User) == 0


def test_nobody_keeps_an_object_once_it_is_committed(engine: Engine) -> None:
    with UserFactory.using(engine) as users:
        reference = weakref.ref(users.create())
        gc.collect()
        assert reference() is None
        assert users.cleanup().removed == {"public.users": 1}


def test_what_is_found_is_not_what_is_made(engine: Engine) -> None:
    class CurrencyFactory(UniqueFactory[Currency]):
        class Meta:
            model = Currency
            sqlalchemy_get_or_create = ("code",)

    with Session(engine) as session:
        session.add(Currency(code="EUR"))
        session.commit()
    with CurrencyFactory.using(engine) as currencies:
        currencies.create(code="EUR")
        currencies.create(code="CHF")
        assert currencies.cleanup().removed == {"public.currencies": 1}
    with engine.connect() as connection:
        assert connection.execute(select(Currency.code)).scalars().all() == ["EUR"]


@pytest.mark.parametrize("expires", [False, True])
async def test_async_sessions(async_engine: AsyncEngine, engine: Engine, expires: bool) -> None:
    async def greet(user: User) -> None:
        await asyncio.sleep(0)
        user.first_name = "Greeted"
        await ChildFactory.acreate(parent=user)

    class GreetedFactory(UserFactory):
        class Meta:
            model = User

        @PostGeneration
        def greeting(user: User, _create: bool, _value: object) -> Any:  # noqa: N805
            return greet(user)

    session = AsyncSession(async_engine, expire_on_commit=expires)
    async with session, BookingFactory.using(session) as bookings:
        made = await BookingFactory.ascenario(amount=7)
        assert made.booking.child_id == made.child.id
        assert made.instructor.role == "INSTRUCTOR"
        user = await GreetedFactory.acreate()
        assert_type(user, User)
        assert user.first_name == "Greeted"
        assert not session.in_transaction()
        users = await asyncio.gather(*(UserFactory.acreate(instructor=number % 2) for number in range(6)))
        assert len(await bookings.acreate_batch(2)) == 2
        assert count(engine, User) == 2 + 1 + 6 + 4
        assert {user.role for user in users} == {"PARENT", "INSTRUCTOR"}
        with pytest.raises(RuntimeError, match=r"await UserFactory\.acreate\(\)"):
            UserFactory.create()
        with pytest.raises(TypeError, match="removed by `acleanup`"):
            bookings.cleanup()
    assert count(engine, User) == count(engine, Booking) == 0
    with (
        GreetedFactory.using(engine) as greeted,
        pytest.raises(RuntimeError, match=r"greeting is a coroutine"),
    ):
        greeted.create()
    assert count(engine, User) == 0


async def test_an_async_session_of_meta_and_one_on_an_engine(
    async_engine: AsyncEngine, engine: Engine
) -> None:
    scoped = async_scoped_session(async_sessionmaker(async_engine), scopefunc=asyncio.current_task)

    class OwnFactory(UserFactory):
        class Meta:
            model = User
            sqlalchemy_session = scoped

    await OwnFactory.acreate_batch(2)
    assert count(engine, User) == 2
    assert (await OwnFactory.acleanup()).removed == {"public.users": 2}
    await scoped.remove()
    async with UserFactory.using(async_engine) as users:
        await users.acreate()
        assert count(engine, User) == 1
    assert count(engine, User) == 0
    with pytest.raises(TypeError, match="use `async with`"), UserFactory.using(async_engine):
        pass
    with UserFactory.using(engine), pytest.raises(RuntimeError, match="needs an AsyncSession"):
        await UserFactory.acreate()


def test_without_factory_boy_it_is_said_which_extra_is_missing(python: str) -> None:
    code = (
        "import sys; sys.modules['factory'] = None\nfrom pgwatch_tests.testing import *\n"
        "from pgwatch_tests.testing import UniqueFactory"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: factories need factory_boy: pip install 'pgwatch-tests[factories]'"
    )


def test_the_fixture(engine: Engine, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pgwatch_tests.demo.factories import BookingFactory, UserFactory
        from pgwatch_tests.testing import token

        @pytest.mark.parametrize("number", range(4))
        def test_it(number, unique_factories, request):
            assert token(request.node.nodeid) in UserFactory().email
            assert BookingFactory.scenario().booking.id
            assert len(unique_factories.rows) == 6
        """
    )
    pytester._monkeypatch.setenv("PGWATCH_DSN", engine.url.render_as_string(hide_password=False))
    pytester.runpytest_subprocess("-n", "0", "--pgwatch=fail").assert_outcomes(passed=4)
    assert count(engine, User) == count(engine, Booking) == 0
