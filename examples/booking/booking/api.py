"""The application over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from booking import service
from booking.models import Booking, User


class NewUser(BaseModel):
    """Who wants to register."""

    email: str
    name: str
    role: str = "PARENT"


class ShownUser(NewUser):
    """A user."""

    model_config = ConfigDict(from_attributes=True)
    id: int


class NewBooking(BaseModel):
    """Which lesson is wanted."""

    instructor_id: int
    child_id: int
    scheduled_at: datetime
    minutes: int = 60


class ShownBooking(BaseModel):
    """A lesson."""

    model_config = ConfigDict(from_attributes=True)
    id: int
    instructor_id: int
    child_id: int
    scheduled_at: datetime
    status: str
    amount: Decimal


def _session(request: Request) -> Iterator[Session]:
    with Session(request.app.state.engine, expire_on_commit=False) as session:
        yield session


@contextmanager
def _refusals(status: int) -> Iterator[None]:
    """Answers with a status where the application says no."""
    try:
        yield
    except service.RefusedError as error:
        raise HTTPException(status, str(error)) from None


InSession = Annotated[Session, Depends(_session)]


def create_app(engine: Engine) -> FastAPI:
    """Returns the application on a database."""
    app = FastAPI(title="Booking")
    app.state.engine = engine

    @app.post("/users", status_code=201, response_model=ShownUser)
    def register(user: NewUser, session: InSession) -> User:
        with _refusals(409):
            return service.register(session, user.email, user.name, user.role)

    @app.get("/users/{user_id}", response_model=ShownUser)
    def user(user_id: int, session: InSession) -> User:
        found = session.get(User, user_id)
        if found is None:
            raise HTTPException(404, "there is no such user")
        return found

    @app.get("/prices/{minutes}")
    def price(minutes: int, session: InSession) -> Decimal:
        with _refusals(404):
            return service.price_of(session, minutes)

    @app.post("/bookings", status_code=201, response_model=ShownBooking)
    def book(wanted: NewBooking, session: InSession) -> Booking:
        with _refusals(409):
            amount = service.price_of(session, wanted.minutes)
            return service.book(session, wanted.instructor_id, wanted.child_id, wanted.scheduled_at, amount)

    @app.get("/bookings/{booking_id}", response_model=ShownBooking)
    def booking(booking_id: int, session: InSession) -> Booking:
        found = session.get(Booking, booking_id)
        if found is None:
            raise HTTPException(404, "there is no such lesson")
        return found

    @app.post("/bookings/{booking_id}/cancel", response_model=ShownBooking)
    def cancel(booking_id: int, session: InSession) -> Booking:
        with _refusals(409):
            return service.cancel(session, booking_id)

    @app.get("/instructors/{instructor_id}/bookings", response_model=list[ShownBooking])
    def lessons(instructor_id: int, session: InSession) -> list[Booking]:
        return list(service.lessons_of(session, instructor_id))

    return app
