"""Several at once: of threads, and of tasks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from booking import service
from booking.models import Booking
from sqlalchemy import Engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from tests.factories import BookingFactory, UserFactory, make_people, tomorrow


def test_one_of_many_gets_a_slot(engine: Engine, session: Session) -> None:
    people = make_people()

    def book(_: int) -> bool:
        with Session(engine) as own:
            try:
                service.book(own, people.instructor.id, people.child.id, tomorrow(), Decimal(60))
            except service.RefusedError:
                return False
            return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(book, range(4))) == 1


def test_one_of_two_cancels(engine: Engine, session: Session) -> None:
    booking = BookingFactory.create()

    def cancel(_: int) -> bool:
        with Session(engine) as own:
            try:
                service.cancel(own, booking.id)
            except service.RefusedError:
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(cancel, range(2))) == 1


async def test_factories_in_tasks(url: str) -> None:
    engine = create_async_engine(url)
    async with UserFactory.using(engine):
        parents = await asyncio.gather(*(UserFactory.acreate() for _ in range(5)))
        assert len({parent.email for parent in parents}) == 5
    await engine.dispose()


async def test_a_lesson_in_an_async_session(url: str) -> None:
    engine = create_async_engine(url)
    async with AsyncSession(engine, expire_on_commit=False) as session, BookingFactory.using(session):
        booking = await BookingFactory.acreate()
        found = await session.scalar(select(func.count()).where(Booking.id == booking.id))
        assert found == 1
    await engine.dispose()
