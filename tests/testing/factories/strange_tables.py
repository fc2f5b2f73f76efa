"""Tables as they may be: in a ring, in parts, joined, with keys of two columns, with names to be quoted."""

from __future__ import annotations

from sqlalchemy import Connection, ForeignKey, ForeignKeyConstraint, event, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class StrangeBase(DeclarativeBase):
    """The tables."""


class Vehicle(StrangeBase):
    """The parent of a joined table."""

    __tablename__ = 'we:ird "v%s'

    id: Mapped[int] = mapped_column('i:d "%s', primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}  # noqa: RUF012


class Car(Vehicle):
    """A row in each of two tables, and one more for each wheel."""

    __tablename__ = "cars"

    id: Mapped[int] = mapped_column(ForeignKey(Vehicle.id), primary_key=True)
    wheels: Mapped[list[Wheel]] = relationship()
    __mapper_args__ = {"polymorphic_identity": "car"}  # noqa: RUF012


class Wheel(StrangeBase):
    """A row that only a relationship adds."""

    __tablename__ = "wheels"

    car_id: Mapped[int] = mapped_column(ForeignKey(Car.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)


class Team(StrangeBase):
    """A team and its captain refer to each other."""

    __tablename__ = "teams"

    id: Mapped[int] = mapped_column(primary_key=True)
    captain_id: Mapped[int | None] = mapped_column(
        ForeignKey("players.id", name="captain", use_alter=True, ondelete="RESTRICT")
    )


class Player(StrangeBase):
    """A player, who may have a deputy, who plays in the same team."""

    __tablename__ = "players"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey(Team.id, ondelete="RESTRICT"))
    deputy_id: Mapped[int | None] = mapped_column(ForeignKey("players.id"))
    mentor_id: Mapped[int | None] = mapped_column(ForeignKey("players.id", ondelete="SET NULL"))


class Measurement(StrangeBase):
    """A row of a partitioned table, which refers to another one."""

    __tablename__ = "measurements"
    __table_args__ = (
        ForeignKeyConstraint(["of_place", "of_number"], ["measurements.place", "measurements.number"]),
        {"postgresql_partition_by": "LIST (place)"},
    )

    place: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    of_place: Mapped[str | None]
    of_number: Mapped[int | None]


class Currency(StrangeBase):
    """A row whose key means something."""

    __tablename__ = "currencies"

    code: Mapped[str] = mapped_column(primary_key=True)


@event.listens_for(Measurement.__table__, "after_create")
def _add_partitions(_table: object, connection: Connection, **_: object) -> None:
    for place in ("north", "south"):
        connection.execute(
            text(f"CREATE TABLE measurements_{place} PARTITION OF measurements FOR VALUES IN ('{place}')")
        )
