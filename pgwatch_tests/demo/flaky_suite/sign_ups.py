"""Tests of signing up: one address that two tests share, and rows that are left behind."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from sqlalchemy import delete, select

from pgwatch_tests.demo.booking import FIRST_LESSON, INSTRUCTORS, Booking, Child, User, email_of
from pgwatch_tests.demo.flaky_suite.stage import Scenario, ScenarioTest, Stage

STATIC_EMAIL = "parent@test.example.com"


def _parent(stage: Stage, email: str) -> User:
    return User(
        email=email, clerk_id=stage.new_id("clerk"), first_name="Test", last_name="Parent", role="PARENT"
    )


def sign_up_first(stage: Stage) -> None:
    """Inserts the address that another test inserts as well, and takes its time before the end."""
    with stage.session() as session:
        session.execute(delete(User).where(User.email == STATIC_EMAIL))
        session.commit()
        session.add(_parent(stage, STATIC_EMAIL))
        session.flush()
        stage.hold(3, 6)
        if stage.chance.random() < 0.5:
            session.rollback()
            return
        session.commit()
        session.execute(delete(User).where(User.email == STATIC_EMAIL))
        session.commit()


def sign_up_second(stage: Stage) -> None:
    """Waits for the first one's transaction; fails if that commits."""
    with stage.session() as session:
        session.add(_parent(stage, STATIC_EMAIL))
        session.flush()
        stage.rest(0.3, 1)


def forget_parent(stage: Stage) -> None:
    """Signs somebody up and has no clean-up."""
    with stage.session() as session:
        session.add(_parent(stage, stage.new_email("parent")))
        session.commit()
        stage.rest(0.3, 1)


def forget_family(stage: Stage) -> None:
    """Leaves a parent with children."""
    with stage.session() as session:
        parent = _parent(stage, stage.new_email("family"))
        session.add(parent)
        session.flush()
        for _ in range(stage.chance.randint(1, 2)):
            session.add(_child(stage, parent))
        session.commit()
        stage.rest(0.3, 1)


def forget_booking(stage: Stage) -> None:
    """Leaves a parent, a child and a booking of theirs."""
    with stage.session() as session:
        parent = _parent(stage, stage.new_email("booking"))
        session.add(parent)
        session.flush()
        child = _child(stage, parent)
        session.add(child)
        session.flush()
        session.add(
            Booking(
                reference=stage.new_id("booking"),
                parent_id=parent.id,
                instructor_id=session.scalars(
                    select(User.id).where(User.email == email_of(INSTRUCTORS[2]))
                ).one(),
                child_id=child.id,
                scheduled_at=FIRST_LESSON + timedelta(days=365, minutes=stage.seed),
                status="CONFIRMED",
                amount=Decimal("50.00"),
            )
        )
        session.commit()
        stage.rest(0.3, 1)


def _child(stage: Stage, parent: User) -> Child:
    return Child(parent_id=parent.id, name=stage.new_id("child"), birth_date=date(2019, 3, 14))


FORGOTTEN_FAMILY = Scenario(
    "forgotten_family", (ScenarioTest("tests/test_children.py::test_add_children", forget_family),)
)
SCENARIOS = (
    Scenario(
        "static_email",
        (
            ScenarioTest("tests/test_sign_up.py::test_parent_signs_up", sign_up_first),
            ScenarioTest("tests/test_welcome.py::test_new_parent_gets_a_mail", sign_up_second),
        ),
    ),
    FORGOTTEN_FAMILY,
    Scenario(
        "forgotten_parent", (ScenarioTest("tests/test_sign_up.py::test_email_is_stored", forget_parent),)
    ),
    Scenario(
        "forgotten_booking", (ScenarioTest("tests/test_booking.py::test_books_a_lesson", forget_booking),)
    ),
)
