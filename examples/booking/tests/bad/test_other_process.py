"""Bad: a program that the test starts leaves its rows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from booking.models import User
from sqlalchemy import Engine, func, select

ROOT = Path(__file__).parents[2]


def test_parents_are_imported(engine: Engine, url: str, unique_email: Callable[[str], str]) -> None:
    emails = [unique_email("parent") for _ in range(2)]
    subprocess.run([sys.executable, "-m", "booking.import_parents", url, *emails], cwd=ROOT, check=True)
    with engine.connect() as connection:
        found = connection.execute(select(func.count()).select_from(User).where(User.email.in_(emails)))
        assert found.scalar_one() == 2
