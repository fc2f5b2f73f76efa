"""SQLAlchemy Core, ORM and async, psycopg async, threads beside tasks: the same bugs, found the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgwatch_tests.testing import Outcome, interleave, interleave_async, replay, replay_async
from tests.testing.interleaving.conftest import Book, Shop


class Base(DeclarativeBase):
    """The models of these tests."""


class Slot(Base):
    """A slot that counts how often it was taken."""

    __tablename__ = "slot"
    id: Mapped[int] = mapped_column(primary_key=True)
    taken: Mapped[int]


Driver = Literal["psycopg", "psycopg2"]
both = pytest.mark.parametrize("driver", get_args(Driver))


def sqlalchemy_url(shop: Shop, driver: Driver = "psycopg") -> str:
    info = shop.administrator.info
    return f"postgresql+{driver}://{info.user}@/{info.dbname}?host={info.host}&port={info.port}"


@both
def test_sqlalchemy_core_and_orm(shop: Shop, driver: Driver) -> None:
    engine = create_engine(sqlalchemy_url(shop, driver), pool_pre_ping=True)

    def core(slot: int) -> None:
        with engine.begin() as connection:
            taken = connection.execute(
                text("SELECT taken FROM slot WHERE id = :id"), {"id": slot}
            ).scalar_one()
            connection.execute(
                text("UPDATE slot SET taken = :taken WHERE id = :id"), {"id": slot, "taken": taken + 1}
            )

    def orm(slot: int) -> None:
        with Session(engine) as session:
            loaded = session.get_one(Slot, slot)
            loaded.taken += 1
            session.commit()

    def orm_for_update(slot: int) -> None:
        with Session(engine) as session:
            loaded = session.get_one(Slot, slot, with_for_update=True)
            loaded.taken += 1
            session.commit()

    try:
        for functions, is_bad in (
            ((core, orm), True),
            ((orm, orm), True),
            ((orm_for_update, orm_for_update), False),
        ):
            found = interleave(*functions, setup=shop.slot)
            assert found.complete, found
            assert bool(found.bad) is is_bad, found
    finally:
        engine.dispose()


@both
def test_sqlalchemy_wraps_the_deadlock(shop: Shop, driver: Driver) -> None:
    engine = create_engine(sqlalchemy_url(shop, driver))

    def move(first: int) -> Callable[[tuple[int, int]], str]:
        def moved(slots: tuple[int, int]) -> str:
            try:
                with engine.begin() as connection:
                    for slot in (slots[first], slots[1 - first]):
                        connection.execute(
                            text("UPDATE slot SET taken = taken + 1 WHERE id = :id"), {"id": slot}
                        )
            except OperationalError as error:
                return type(error.orig).__name__
            return "moved"

        return moved

    try:
        found = interleave(move(0), move(1), setup=shop.two_slots, invariant=lambda *_: True)
        assert {one.value for schedule in found.deadlocks for one in schedule.outcomes} == {
            "moved",
            "DeadlockDetected",
        }
    finally:
        engine.dispose()


@both
def test_a_unique_violation_by_sqlalchemy_is_an_outcome(shop: Shop, driver: Driver) -> None:
    engine = create_engine(sqlalchemy_url(shop, driver))

    def book(slot: int) -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO unique_booking (slot) VALUES (:slot)"), {"slot": slot})

    try:
        found = interleave(book, book, setup=shop.slot)
        found.assert_holds()
        errors: list[Outcome[object]] = []
        interleave(
            book,
            book,
            setup=shop.slot,
            invariant=lambda _, outcomes: errors.extend(outcomes),
            max_schedules=1,
        )
        assert [one.signature for one in errors] == ["None", "IntegrityError 23505"]
        assert isinstance(errors[1].error, IntegrityError)
    finally:
        engine.dispose()


@both
@pytest.mark.parametrize("level", ["REPEATABLE READ", None])
@pytest.mark.parametrize("question", ["SELECT 1", "SELECT set_config('shop.tenant', '7', true)"])
def test_a_question_that_takes_the_snapshot_is_a_step(
    shop: Shop, driver: Driver, level: Literal["REPEATABLE READ"] | None, question: str
) -> None:
    """The level is the engine's, or that of the functions' transactions is known to the server alone."""
    engine = create_engine(sqlalchemy_url(shop, driver), **({"isolation_level": level} if level else {}))
    if level is None:
        name = psycopg.sql.Identifier(shop.administrator.info.dbname)
        default = psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'")
        shop.administrator.execute(default.format(name))

    def count(slot: int) -> None:
        with engine.begin() as connection:
            connection.execute(text(question))
            connection.execute(text("UPDATE slot SET taken = taken + 1 WHERE id = :id"), {"id": slot})

    seen = set()
    try:
        interleave(
            count, count, setup=shop.slot, invariant=lambda _, each: seen.add(" ".join(map(str, each)))
        )
    finally:
        engine.dispose()

    # One after the other, neither fails.
    failed = "OperationalError 40001"
    assert seen == {"None None", f"None {failed}", f"{failed} None"}


def test_psycopg2_has_levels_savepoints_faults_and_replays(shop: Shop) -> None:
    engine = create_engine(sqlalchemy_url(shop, "psycopg2"), pool_pre_ping=True)

    def counted(slot: int) -> bool:
        with engine.begin() as connection:
            with connection.begin_nested():
                connection.execute(text("SELECT taken FROM slot WHERE id = :id"), {"id": slot})
            connection.execute(text("UPDATE slot SET taken = taken + 1 WHERE id = :id"), {"id": slot})
        return True

    def retried(slot: int) -> bool:
        for _ in range(3):
            try:
                return counted(slot)
            except OperationalError:
                continue
        return False

    def is_two(slot: int, _: object) -> bool:
        return shop.administrator.execute("SELECT taken FROM slot WHERE id = %s", [slot]).fetchone() == (2,)

    try:
        found = interleave(retried, retried, setup=shop.slot, invariant=is_two, faults=True)
        assert {step.fault for schedule in found.bad for step in schedule.steps} == {"", "c"}, found
        assert {len(one.letters) for one in found.bad} == {len("AAAcAAABBB")}
        again = replay(found.bad[0].id, retried, retried, setup=shop.slot, invariant=is_two)
        assert [one.id for one in again.bad] == [found.bad[0].id]

        strict = interleave(
            counted, counted, setup=shop.slot, invariant=lambda *_: False, isolation="SERIALIZABLE"
        )
        assert strict.complete, strict
        ends = {one.signature for schedule in strict.bad for one in schedule.outcomes}
        assert ends == {"True", "OperationalError 40001"}
        with engine.connect() as connection:
            assert connection.get_isolation_level() == "READ COMMITTED"

        apart = engine.execution_options(isolation_level="AUTOCOMMIT")

        def counts(slot: int) -> None:
            with apart.connect() as connection:
                connection.execute(text("UPDATE slot SET taken = taken + 1 WHERE id = :id"), {"id": slot})

        each = interleave(counts, counts, setup=shop.slot, invariant=is_two)
        each.assert_holds()
        assert each.explored == 2
    finally:
        engine.dispose()


async def test_async_psycopg(shop: Shop) -> None:
    connections = [await psycopg.AsyncConnection.connect(shop.dsn) for _ in range(2)]

    def booker(number: int) -> Callable[[int], object]:
        async def book(slot: int) -> bool:
            async with connections[number].transaction():
                cursor = await connections[number].execute(
                    "SELECT count(*) FROM booking WHERE slot = %s", [slot]
                )
                if await cursor.fetchone() != (0,):
                    return False
                await connections[number].execute("INSERT INTO booking (slot) VALUES (%s)", [slot])
            return True

        return book

    async def make() -> int:
        return shop.slot()

    try:
        found = await interleave_async(booker(0), booker(1), setup=make, invariant=shop.is_booked_once)
        assert found.complete, found
        assert found.bad
        again = await replay_async(
            found.bad[0].id, booker(0), booker(1), setup=make, invariant=shop.is_booked_once
        )
        assert [one.id for one in again.bad] == [found.bad[0].id]
    finally:
        for connection in connections:
            await connection.close()


async def test_sqlalchemy_async_beside_a_thread(shop: Shop, bookers: list[Book]) -> None:
    engine = create_async_engine(sqlalchemy_url(shop))

    async def book(slot: int) -> bool:
        async with engine.begin() as connection:
            found = await connection.execute(
                text("SELECT count(*) FROM booking WHERE slot = :slot"), {"slot": slot}
            )
            if found.scalar_one():
                return False
            await connection.execute(text("INSERT INTO booking (slot) VALUES (:slot)"), {"slot": slot})
        return True

    try:
        for other in (book, bookers[0]):
            found = await interleave_async(book, other, setup=shop.slot, invariant=shop.is_booked_once)
            assert found.complete, found
            assert found.bad
    finally:
        await engine.dispose()
