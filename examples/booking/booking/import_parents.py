"""Imports parents, as a program of its own: `python -m booking.import_parents URL EMAIL…`."""

from __future__ import annotations

import sys

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from booking.service import register


def main(url: str, *emails: str) -> None:
    """Registers a parent for each address."""
    engine = create_engine(url)
    with Session(engine) as session:
        for email in emails:
            register(session, email, "Imported")
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
