"""Tests that block others with what they do before and after: locks, TRUNCATE, two-phase commit, schemas."""

from __future__ import annotations

import os
import time

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from pgwatch_tests.demo.booking import PARENTS, Booking, Child, Notification, User, email_of
from pgwatch_tests.demo.flaky_suite.stage import Scenario, ScenarioTest, Stage

ADVISORY_KEY = 4711
_KEPT = 15
_MOST_SCHEMAS = 3


def read_notifications(stage: Stage) -> None:
    """Reads a table and keeps its transaction open."""
    with stage.session() as session:
        session.scalars(select(Notification)).all()
        stage.hold(3, 6)


def truncate_notifications(stage: Stage) -> None:
    """A clean-up that waits for the reader, and stops everybody who comes after it."""
    with stage.session() as session:
        session.execute(text("TRUNCATE notifications"))
        session.commit()


def count_notifications(stage: Stage) -> None:
    """Only reads, and has to wait all the same: behind the TRUNCATE."""
    with stage.session() as session:
        session.scalars(select(func.count()).select_from(Notification)).one()
        stage.rest(0.3, 0.8)


def send_notification(stage: Stage) -> None:
    """Inserts behind the TRUNCATE."""
    with stage.session() as session:
        session.add(Notification(recipient=email_of(PARENTS[0]), message="Your lesson is tomorrow"))
        session.commit()


def import_calendar(stage: Stage) -> None:
    """Holds an advisory lock during a statement that takes long."""
    with stage.session() as session:
        session.execute(select(func.pg_advisory_xact_lock(ADVISORY_KEY)))
        stage.meet()
        session.execute(select(func.pg_sleep(stage.some_time_s(4, 7))))
        session.commit()


def export_calendar(stage: Stage) -> None:
    """Waits for the advisory lock."""
    with stage.session() as session:
        session.execute(select(func.pg_advisory_xact_lock(ADVISORY_KEY)))
        stage.rest(0.3, 0.8)


def export_calendar_in_time(stage: Stage) -> None:
    """Waits for the advisory lock, but not for ever: fails with a lock timeout."""
    with stage.session() as session:
        limit_ms = round(stage.some_time_s(2000, 3000))
        session.execute(select(func.set_config("lock_timeout", f"{limit_ms}ms", True)))
        session.execute(select(func.pg_advisory_xact_lock(ADVISORY_KEY)))


def prepare_payment(stage: Stage) -> None:
    """Leaves a prepared transaction for a while: it holds a row, and no session shows it."""
    gid = stage.new_id("payment")
    with stage.session() as session:
        _rename_child(session)
        session.connection().exec_driver_sql(f"PREPARE TRANSACTION '{gid}'")
    try:
        stage.hold(3, 6)
    finally:
        stage.run_outside_transaction(f"ROLLBACK PREPARED '{gid}'")


def pay(stage: Stage) -> None:
    """Updates the row that the prepared transaction holds."""
    with stage.session() as session:
        _rename_child(session)
        session.commit()


def _rename_child(session: Session) -> None:
    parent = select(User.id).where(User.email == email_of(PARENTS[1])).scalar_subquery()
    session.execute(
        update(Child)
        .where(Child.parent_id == parent)
        .values(name="Kim Agnesi")
        .execution_options(synchronize_session=False)
    )


def forget_schema(stage: Stage) -> None:
    """Makes a schema of its own and doesn't drop it; only a few, so that a demo can run for days."""
    with stage.session() as session:
        there = session.scalar(text(r"SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'test\_1%'"))
        if there < _MOST_SCHEMAS:
            name = f"test_{time.time_ns() // 1_000_000}_{os.getpid()}_{stage.chance.randrange(16**6):06x}"
            session.execute(text(f"CREATE SCHEMA {name} CREATE TABLE {name}.bookings (id int)"))
        session.commit()


def begin_run(stage: Stage) -> None:
    """Removes most of what earlier runs left, so that it doesn't grow without bound."""
    marked = User.email.like("%@test.example.com")
    stale = Booking.reference.like(r"booking\_1%", escape="\\")
    with stage.session() as session:
        session.execute(select(func.set_config("lock_timeout", "1s", True)))
        kept_users = select(User.id).where(marked).order_by(User.id.desc()).limit(_KEPT)
        users = list(session.scalars(select(User.id).where(marked, User.id.not_in(kept_users))))
        kept_bookings = select(Booking.id).where(stale).order_by(Booking.id.desc()).limit(_KEPT)
        for statement in (
            delete(Booking).where(stale, Booking.id.not_in(kept_bookings)),
            delete(Booking).where(Booking.parent_id.in_(users)),
            delete(Child).where(Child.parent_id.in_(users)),
            delete(User).where(User.id.in_(users)),
        ):
            session.execute(statement.execution_options(synchronize_session=False))
        session.commit()


BEGIN_RUN = Scenario("begin_run", (ScenarioTest("tests/conftest.py::new_run", begin_run),))
SCENARIOS = (
    Scenario(
        "truncate",
        (
            ScenarioTest("tests/test_mails.py::test_reads_notifications", read_notifications),
            ScenarioTest("tests/conftest.py::clean_notifications", truncate_notifications),
            ScenarioTest("tests/test_mails.py::test_counts_notifications", count_notifications),
            ScenarioTest("tests/test_mails.py::test_reminder_is_sent", send_notification),
        ),
    ),
    Scenario(
        "advisory_lock",
        (
            ScenarioTest("tests/test_calendar.py::test_import", import_calendar),
            ScenarioTest("tests/test_calendar.py::test_export", export_calendar),
            ScenarioTest("tests/test_calendar.py::test_export_in_time", export_calendar_in_time),
        ),
    ),
    Scenario(
        "prepared_transaction",
        (
            ScenarioTest("tests/test_payments.py::test_two_phase_payment", prepare_payment),
            ScenarioTest("tests/test_payments.py::test_pay_at_once", pay),
        ),
    ),
    Scenario("forgotten_schema", (ScenarioTest("tests/test_migrations.py::test_upgrade", forget_schema),)),
)
