"""Tests of booking lessons: they want the same slot, the same row, or each other's rows."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from pgwatch_tests.demo.booking import (
    FIRST_LESSON,
    INSTRUCTORS,
    PARENTS,
    Booking,
    Child,
    InstructorProfile,
    User,
    email_of,
)
from pgwatch_tests.demo.flaky_suite.stage import Scenario, ScenarioTest, Stage


def _user_id(session: Session, name: str) -> int:
    return session.scalars(select(User.id).where(User.email == email_of(name))).one()


def _booking(stage: Stage, session: Session, instructor: str, minutes: int) -> Booking:
    parent_id = _user_id(session, PARENTS[0])
    return Booking(
        reference=stage.new_id("booking"),
        parent_id=parent_id,
        instructor_id=_user_id(session, instructor),
        child_id=session.scalars(select(Child.id).where(Child.parent_id == parent_id)).one(),
        scheduled_at=FIRST_LESSON + timedelta(days=30, minutes=minutes),
        status="CONFIRMED",
        amount=Decimal("50.00"),
    )


def book_slot_first(stage: Stage) -> None:
    """Books a slot that others want too. If it commits, they fail; now and then it forgets to clean up."""
    with stage.session() as session:
        booking = _booking(stage, session, INSTRUCTORS[0], stage.seed)
        session.add(booking)
        session.flush()
        stage.hold(3, 6)
        if stage.chance.random() < 0.3:
            session.rollback()
            return
        session.commit()
        if stage.chance.random() < 0.7:
            session.execute(delete(Booking).where(Booking.id == booking.id))
            session.commit()


def book_slot_too(stage: Stage) -> None:
    """Waits for the booking of the same slot to be decided."""
    with stage.session() as session:
        session.add(_booking(stage, session, INSTRUCTORS[0], stage.seed))
        session.flush()
        stage.rest(0.3, 0.8)


def change_rate(stage: Stage, hold: bool) -> None:
    """Updates the profile that all tests of rates use: one after the other."""
    with stage.session() as session:
        instructor = _user_id(session, INSTRUCTORS[1])
        rate = Decimal(stage.chance.randint(40, 60))
        session.execute(
            update(InstructorProfile)
            .where(InstructorProfile.user_id == instructor)
            .values(hourly_rate=rate)
            .execution_options(synchronize_session=False)
        )
        if hold:
            stage.hold(2, 5)
        else:
            stage.rest(0.5, 1)
        session.commit()


def leave_transaction_open(stage: Stage) -> None:
    """A fixture that locks an instructor and goes on to something slow: idle in transaction."""
    with stage.session() as session:
        session.scalars(select(User).where(User.email == email_of(INSTRUCTORS[2])).with_for_update()).one()
        stage.hold(5, 8)


def rename_instructor(stage: Stage) -> None:
    """Updates the row that the fixture holds."""
    with stage.session() as session:
        session.execute(
            update(User)
            .where(User.email == email_of(INSTRUCTORS[2]))
            .values(first_name="Grace")
            .execution_options(synchronize_session=False)
        )
        session.commit()


def book_held_instructor(stage: Stage) -> None:
    """Inserts a row that refers to the one that the fixture holds: the foreign key's check waits."""
    with stage.session() as session:
        session.add(_booking(stage, session, INSTRUCTORS[2], stage.seed))
        session.flush()
        stage.rest(0.3, 0.8)


def touch_parents(stage: Stage, names: tuple[str, str]) -> None:
    """Updates two rows; another test does so in the opposite order: one of them is a deadlock's victim."""
    with stage.session() as session:
        for number, name in enumerate(names):
            session.execute(
                update(User)
                .where(User.email == email_of(name))
                .values(last_name=name.partition(".")[2].capitalize())
                .execution_options(synchronize_session=False)
            )
            if number == 0:
                stage.meet()
                stage.rest(0.3, 0.6)
        stage.rest(0.3, 0.8)
        session.commit()


SCENARIOS = (
    Scenario(
        "last_slot",
        (
            ScenarioTest("tests/test_booking.py::test_books_the_last_slot", book_slot_first),
            ScenarioTest("tests/test_booking.py::test_second_parent_refused", book_slot_too),
            ScenarioTest("tests/test_waiting_list.py::test_slot_offered_once", book_slot_too),
        ),
    ),
    Scenario(
        "same_row",
        (
            ScenarioTest("tests/test_rates.py::test_raise_applies_at_once", partial(change_rate, hold=True)),
            ScenarioTest("tests/test_rates.py::test_rate_is_rounded", partial(change_rate, hold=False)),
            ScenarioTest(
                "tests/test_invoices.py::test_new_rate_on_invoice", partial(change_rate, hold=False)
            ),
        ),
    ),
    Scenario(
        "open_transaction",
        (
            ScenarioTest("tests/test_calendar.py::test_sync_with_calendar", leave_transaction_open),
            ScenarioTest("tests/test_instructors.py::test_rename_instructor", rename_instructor),
            ScenarioTest("tests/test_booking.py::test_books_with_instructor", book_held_instructor),
        ),
    ),
    Scenario(
        "deadlock",
        (
            ScenarioTest(
                "tests/test_families.py::test_merge_families", partial(touch_parents, names=PARENTS[:2])
            ),
            ScenarioTest(
                "tests/test_families.py::test_split_family", partial(touch_parents, names=PARENTS[1::-1])
            ),
        ),
    ),
)
