"""A process that owns a schema and databases until it is killed: `python -m` this module, and a DSN."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack

from pgwatch_tests.testing import isolated_database, isolated_schema, prepared_databases
from tests.testing.isolation.catalogs import zoo


def own(dsn: str) -> None:
    """Makes one of each, tells their names and sleeps."""
    with ExitStack() as stack:
        stack.enter_context(prepared_databases(dsn, zoo(), ahead=1))
        made = [
            isolated_schema(dsn, zoo()),
            isolated_database(dsn, zoo()),
            isolated_database(dsn, zoo(), scope="worker"),
        ]
        print(json.dumps([stack.enter_context(resource).name for resource in made]), flush=True)
        time.sleep(600)


if __name__ == "__main__":
    own(sys.argv[1])
