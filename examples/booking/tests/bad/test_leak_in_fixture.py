"""Bad: a fixture for the module that leaves its row."""

from __future__ import annotations

import pytest
from booking import service
from booking.models import User
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from pgwatch_tests.testing import unique_email


@pytest.fixture(scope="module")
def instructor(engine: Engine) -> User:
    """An instructor for all tests of this module."""
    with Session(engine, expire_on_commit=False) as session:
        return service.register(session, unique_email("instructor"), "Ines", "INSTRUCTOR")


def test_an_instructor_has_no_lessons_at_first(engine: Engine, instructor: User) -> None:
    with Session(engine) as session:
        assert service.lessons_of(session, instructor.id) == []
