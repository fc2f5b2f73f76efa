"""What PostgreSQL's own extensions and ICU add, which the server of the demo's wheel hasn't."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import Connection, errors
from psycopg.rows import TupleRow


def create(owner: Connection[TupleRow], statement: LiteralString) -> None:
    """Creates an extension, or a collation; skips the test where the server has none.

    Mark such tests `contrib`: `python -m tests.matrix --contrib` runs them on a server that has all.
    """
    try:
        owner.execute(statement)
    except (errors.FeatureNotSupported, errors.UndefinedFile) as error:
        pytest.skip(f"{error.diag.message_primary}: `python -m tests.matrix --contrib` runs it")
