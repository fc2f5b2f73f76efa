"""A database of a run's own: copied, led to, dropped, kept, and an orphan after kill -9."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import RefusedError
from pgwatch_tests.run.database.lane import Lane
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.request import SweepRequest
from pgwatch_tests.sweep.run import Sweep
from tests.servers.databases import Databases
from tests.servers.sessions import Connect, Database, MakeRole

MAKE = """
import sys
from pgwatch_tests.run.database.lane import Lane
from pgwatch_tests.settings.load import Dsn, Settings
lane = Lane(Settings(Dsn(sys.argv[1], "test")))
print(lane.name, flush=True)
sys.stdin.read()
"""


def settings(dsn: str) -> Settings:
    return Settings(Dsn(dsn, "the test"))


def names(administrator: Connection[TupleRow]) -> set[str]:
    return {name for (name,) in administrator.execute("SELECT datname FROM pg_database")}


@pytest.fixture
def source(databases: Databases, server: EmbeddedServer) -> Database:
    """A database with a row, and settings of its own."""
    name = databases.make("source", rows=3)
    databases.alter(name, """SET search_path = "$user", 'Odd, name', public""")
    databases.alter(name, "SET work_mem = '5MB'")
    return Database(name, server.dsn(name))


def test_lane_is_a_copy_that_the_command_is_led_to(
    source: Database, server: EmbeddedServer, owner: Connection[TupleRow]
) -> None:
    url = source.dsn.replace("postgresql://", "postgresql+psycopg://") + "&application_name=suite"
    environ = {"DATABASE_URL": url, "PGDATABASE": source.name}
    lane = Lane(settings(source.dsn), environ=environ)
    assert not lane.remarks
    assert lane.environment["DATABASE_URL"] == url.replace(f"/{source.name}?", f"/{lane.name}?")
    assert lane.environment["PGDATABASE"] == lane.name
    for dsn in (lane.settings.dsn.value, lane.environment["PGWATCH_DSN"]):
        with psycopg.connect(dsn) as inside:
            assert inside.execute("SELECT current_database()").fetchone() == (lane.name,)
            assert inside.execute("SHOW search_path").fetchone() == ('"$user", "Odd, name", public',)
            assert inside.execute("SHOW work_mem").fetchone() == ("5MB",)
            assert inside.execute("SELECT count(*) FROM users").fetchone() == (3,)
    # Nobody of ours is in the source, and whoever is in the lane at the end doesn't keep it.
    assert owner.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [source.name]
    ).fetchone() == (0,)
    left = psycopg.connect(lane.settings.dsn.value)
    assert lane.close() == ""
    left.close()
    assert lane.name not in names(owner)


def test_template_in_use_is_refused_with_who_uses_it(
    source: Database,
    connect: Connect,
    owner: Connection[TupleRow],
    server: EmbeddedServer,
    make_role: MakeRole,
) -> None:
    before = names(owner)
    with pytest.raises(
        RefusedError, match='no lane can be made from none: template database "none" does not exist'
    ):
        Lane(settings(source.dsn), "none")
    role = make_role()
    with pytest.raises(RefusedError, match="needs CREATEDB"):
        Lane(settings(server.dsn(source.name, role)))
    somebody = connect("psql of anna", source.name)
    with pytest.raises(
        RefusedError, match=r"can't be copied while others are connected to it: pid \d+ \(psql of anna\)"
    ):
        Lane(settings(source.dsn))
    somebody.close()
    empty = Lane(settings(source.dsn), "template0")
    assert empty.close() == ""
    assert names(owner) == before


def test_lane_of_a_failed_run_is_kept_for_a_day(source: Database, owner: Connection[TupleRow]) -> None:
    lane = Lane(settings(source.dsn))
    assert lane.close(kept=True).startswith(f"the lane {lane.name} is kept until ")
    request = SweepRequest(kinds=("databases",), dry_run=True, min_age_s=0.0)
    database = owner.info.dbname
    here = settings(source.dsn.replace(source.name, database))
    [kept] = [one for one in Sweep(here, request).run().orphans if one.name == lane.name]
    assert not kept.removed
    owner.execute(f"DROP DATABASE {lane.name}".encode())


def test_killed_run_leaves_an_orphan_to_a_sweep(
    source: Database, database: Database, owner: Connection[TupleRow], python: str
) -> None:
    request = SweepRequest(kinds=("databases",), dry_run=False, min_age_s=0.0)

    def swept() -> dict[str, bool]:
        return {
            one.name: one.removed
            for one in Sweep(settings(database.dsn), replace(request, dry_run=True)).run().orphans
        }

    with subprocess.Popen(
        [python, "-c", MAKE, source.dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        name = running.stdout.readline().strip()
        assert swept().get(name) is False
        running.kill()
        running.wait()
    assert swept().get(name) is True
    owner.execute(f"DROP DATABASE {name}".encode())
