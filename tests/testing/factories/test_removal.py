"""What factories take away: what they made, and what refers to it, and nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, date, datetime

import pytest
from factory.declarations import LazyAttribute, Sequence
from sqlalchemy import Column, Engine, NullPool, Table, Text, create_engine, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.schema import CreateSchema

from pgwatch_tests.demo.booking import Booking, Child, User, add_real_rows
from pgwatch_tests.demo.factories import BookingFactory, ChildFactory, UserFactory
from pgwatch_tests.testing import Unique, UniqueFactory, rollback_session
from pgwatch_tests.testing.factories import removal
from pgwatch_tests.testing.removed_rows import RowsStayError
from tests.testing.factories.strange_tables import Car, Currency, Measurement, Player, Team, Vehicle, Wheel


def count(engine: Engine, of: type) -> int:
    """Returns how many rows there are, committed."""
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(of)).scalar_one())


def test_rows_that_refer_go_too_whoever_wrote_them_and_real_ones_stay(engine: Engine) -> None:
    with Session(engine) as session:
        add_real_rows(session)
    real = count(engine, User), count(engine, Child), count(engine, Booking)
    with UserFactory.using(engine) as users:
        made = users.create(instructor=True)
        # The application's own rows, of which no factory knows, some of them late.
        with Session(engine) as session:
            child = Child(parent_id=made.id, name="Kim", birth_date=date(2018, 5, 17))
            session.add(child)
            session.flush()
            parent = session.scalars(select(User).where(User.role == "PARENT")).first()
            assert parent is not None
            session.add(
                Booking(
                    reference="of the application",
                    parent_id=parent.id,
                    instructor_id=made.id,
                    child_id=child.id,
                    scheduled_at=datetime.now(UTC),
                    status="CONFIRMED",
                    amount=1,
                )
            )
            session.commit()
        outcome = users.cleanup()
        assert outcome.removed == {
            "public.bookings": 1,
            "public.children": 1,
            "public.instructor_profiles": 1,
            "public.users": 1,
        }
        assert users.cleanup().removed == {}
    assert (count(engine, User), count(engine, Child), count(engine, Booking)) == real


class TeamFactory(UniqueFactory[Team]):
    """A team."""

    class Meta:
        model = Team


class PlayerFactory(UniqueFactory[Player]):
    """A player of `team`."""

    class Meta:
        model = Player

    class Params:
        team: object = None

    team_id = LazyAttribute(lambda player: player.team.id)


def test_rings_of_restricting_keys(engine: Engine) -> None:
    with TeamFactory.using(engine) as teams:
        team, other = teams.create_batch(2)
        captain = PlayerFactory.create(team=team)
        deputy = PlayerFactory.create(team=team, deputy_id=captain.id)
        # A row that stays, but is changed by the server.
        with Session(engine) as session:
            kept_team = Team()
            session.add(kept_team)
            session.flush()
            session.add(Player(team_id=kept_team.id, mentor_id=captain.id))
            session.execute(
                text("UPDATE teams SET captain_id = :deputy WHERE id = :team"),
                {"deputy": deputy.id, "team": team.id},
            )
            session.execute(
                text("UPDATE players SET deputy_id = :deputy WHERE id = :id"),
                {"deputy": deputy.id, "id": captain.id},
            )
            session.commit()
            assert other.id != kept_team.id
        assert teams.cleanup().removed == {"public.players": 2, "public.teams": 2}
    with Session(engine) as session:
        assert session.scalars(select(Player.mentor_id)).all() == [None]


class CarFactory(UniqueFactory[Car]):
    """A car with four wheels."""

    class Meta:
        model = Car

    wheels = LazyAttribute(lambda _: [Wheel(number=number) for number in range(4)])


class MeasurementFactory(UniqueFactory[Measurement]):
    """A measurement in the north."""

    class Meta:
        model = Measurement

    place = "north"
    number = Sequence(lambda number: number)


@pytest.mark.parametrize("engine", ["psycopg", "psycopg2"], indirect=True)
def test_joined_tables_relationships_partitions_and_names_to_be_quoted(engine: Engine) -> None:
    with CarFactory.using(engine) as cars:
        cars.create_batch(2)
        first = MeasurementFactory.create()
        second = MeasurementFactory.create(place="south", of_place=first.place, of_number=first.number)
        with Session(engine) as session:
            session.add(Measurement(place="south", number=-1, of_place="south", of_number=second.number))
            session.commit()
        assert cars.cleanup().removed == {
            "public.wheels": 8,
            "public.cars": 2,
            'public."we:ird ""v%s"': 2,
            "public.measurements_north": 1,
            "public.measurements_south": 2,
        }
    assert [count(engine, table) for table in (Vehicle, Wheel, Measurement)] == [0, 0, 0]


def test_a_key_that_was_rolled_back_is_somebody_elses(engine: Engine) -> None:
    class CurrencyFactory(UniqueFactory[Currency]):
        class Meta:
            model = Currency
            sqlalchemy_session_persistence = "flush"

    with Session(engine) as session, CurrencyFactory.using(session) as currencies:
        currencies.create(code="EUR")
        session.rollback()
        currencies.create(code="CHF")
        session.close()
        with session.begin_nested() as savepoint:
            currencies.create(code="GBP")
            savepoint.rollback()
        session.commit()
        with _other(engine) as other:
            other.add_all(Currency(code=code) for code in ("CHF", "EUR", "GBP"))
            other.commit()
    with Session(engine) as session:
        assert session.scalars(select(Currency.code).order_by("code")).all() == ["CHF", "EUR", "GBP"]


def _other(engine: Engine) -> Session:
    """Returns a session on a connection of its own."""
    return Session(create_engine(engine.url, poolclass=NullPool))


def test_what_somebody_has_locked_stays_until_the_next_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "LOCK_TIMEOUT_S", 0.05)
    with _other(engine) as other:
        users = UserFactory.using(engine)

        def make_and_lock() -> None:
            id_ = users.create().id
            other.execute(text("SELECT FROM users WHERE id = :id FOR UPDATE"), {"id": id_})

        with pytest.raises(RowsStayError) as told, users:
            make_and_lock()
        said = "rows stay: 1 of users (another session has locked it)"
        assert str(told.value) == said
        assert count(engine, User) == 1
        assert users.cleanup().staying

        def fail() -> None:
            with users:
                make_and_lock()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as with_note:
            fail()
        assert with_note.value.__notes__ == [said.replace("1 of", "2 of")]
        other.rollback()
    assert users.cleanup().removed == {"public.users": 2}
    assert count(engine, User) == 0


def test_a_session_with_an_open_transaction_does_not_hold_it_up(engine: Engine) -> None:
    with Session(engine) as session, BookingFactory.using(session) as bookings:
        made = bookings.create()
        made.status = "CANCELLED"
        session.flush()
    assert count(engine, Booking) == 0


def test_a_lost_connection_does_not_keep_it(engine: Engine) -> None:
    with Session(engine) as session, UserFactory.using(session) as users:
        users.create()
        pid = session.scalar(select(func.pg_backend_pid()))
        with _other(engine) as other:
            other.execute(select(func.pg_terminate_backend(pid)))
    assert count(engine, User) == 0


@pytest.mark.parametrize("by_path", [True, False], ids=["search_path", "schema_translate_map"])
def test_rows_of_the_same_name_in_another_schema_stay(engine: Engine, by_path: bool) -> None:
    tenant = {"schema_translate_map": {None: 'Te"nant'}}
    with engine.begin() as connection:
        connection.execute(CreateSchema('Te"nant'))
        User.metadata.create_all(connection.execution_options(**tenant))
    with Session(engine) as session:
        add_real_rows(session)
    real = count(engine, User)
    with engine.connect() as connection:
        if not by_path:
            connection = connection.execution_options(**tenant)
        with Session(connection) as session, UserFactory.using(session) as users:
            if by_path:
                session.execute(text("""SET LOCAL search_path = 'Te"nant'"""))
            assert users.create(instructor=True).id == 1
            connection.commit()
    assert count(engine, User) == real
    with engine.execution_options(**tenant).connect() as connection:
        assert not connection.scalars(select(User)).all()


@pytest.mark.parametrize("by_hand", [True, False])
def test_in_a_transaction_that_the_test_rolls_back_they_go_in_it(engine: Engine, by_hand: bool) -> None:
    with ExitStack() as stack:
        if by_hand:
            connection = stack.enter_context(engine.connect())
            stack.callback(connection.begin().rollback)
            session = Session(connection, join_transaction_mode="create_savepoint")
        else:
            session = stack.enter_context(rollback_session(engine))
        before = session.scalar(text("SHOW lock_timeout"))
        with UserFactory.using(session) as users:
            kept = Currency(code="EUR")
            session.add(kept)
            made = users.create()
            session.add(Child(parent_id=made.id, name="Kim", birth_date=date(2018, 5, 17)))
            session.commit()
            assert users.cleanup().removed == {"public.children": 1, "public.users": 1}
            users.create()
        assert session.scalars(select(User)).all() == []
        assert session.scalars(select(Currency.code)).all() == ["EUR"]
        assert session.scalar(text("SHOW lock_timeout")) == before
        users.create()
    assert users.cleanup().removed == {}


def test_a_table_without_a_primary_key(engine: Engine) -> None:
    class NoteBase(DeclarativeBase): ...

    class Note(NoteBase):
        __table__ = Table("notes", NoteBase.metadata, Column("text", Text))
        __mapper_args__ = {"primary_key": [__table__.c.text]}  # noqa: RUF012

    class NoteFactory(UniqueFactory[Note]):
        class Meta:
            model = Note

        text = Unique.id("note")

    NoteBase.metadata.create_all(engine)
    with NoteFactory.using(engine) as notes:
        notes.create_batch(2)
        assert notes.cleanup().removed == {"public.notes": 2}


TRIGGERS = """
    CREATE FUNCTION touch_parent() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE users SET last_name = 'touched' WHERE id = OLD.parent_id; RETURN OLD; END $$;
    CREATE TRIGGER touch AFTER DELETE ON children FOR EACH ROW EXECUTE FUNCTION touch_parent();
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
    CREATE TRIGGER keep BEFORE DELETE ON currencies FOR EACH ROW EXECUTE FUNCTION keep();
"""


def test_triggers(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(TRIGGERS)

    class CurrencyFactory(UniqueFactory[Currency]):
        class Meta:
            model = Currency

    with ChildFactory.using(engine) as children:
        children.create_batch(2)
        assert children.cleanup().removed == {"public.children": 2, "public.users": 2}
        CurrencyFactory.create(code="EUR")
        [staying] = children.cleanup().staying
        assert (staying.table, staying.rows, staying.reason) == (
            "public.currencies",
            1,
            "a rule or trigger keeps it",
        )
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER keep ON currencies")


def test_a_failed_call_of_a_natural_key_takes_no_real_row(engine: Engine) -> None:
    class CurrencyFactory(UniqueFactory[Currency]):
        class Meta:
            model = Currency

    with Session(engine) as session:
        session.add(Currency(code="EUR"))
        session.commit()
    with CurrencyFactory.using(engine) as currencies:
        with pytest.raises(IntegrityError):
            currencies.create(code="EUR")
        assert currencies.cleanup().removed == {}
    assert count(engine, Currency) == 1


def test_thousands_that_the_test_flushes_itself(engine: Engine) -> None:
    class UnflushedFactory(MeasurementFactory):
        class Meta:
            model = Measurement
            sqlalchemy_session_persistence = None

    with Session(engine) as session, UnflushedFactory.using(session) as many:
        session.add(Measurement(place="south", number=-1))
        many.create_batch(1500)
        session.commit()
        assert many.cleanup().removed == {"public.measurements_north": 1500}
    assert count(engine, Measurement) == 1
