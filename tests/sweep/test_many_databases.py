"""Several databases: one after the other, each with its outcome, and an end to all of them."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import CannotConnectError, ConfigurationError, RefusedError
from pgwatch_tests.fleet.servers import Server
from pgwatch_tests.postgres.sessions.session import WorkCancelledError
from pgwatch_tests.settings.load import Dsn, Settings
from pgwatch_tests.sweep.many_databases import NOT_REACHED, SweepOfDatabases, SweepOfServers
from pgwatch_tests.sweep.model import NotSwept, Orphan, SweepsOfDatabases
from pgwatch_tests.sweep.request import SweepRequest
from tests.servers.databases import Databases
from tests.sweep.plan.fakes import Sweeps
from tests.sweep.reports import NOTHING
from tests.waiting import PATIENCE_S, wait_until


def of(
    server: EmbeddedServer, sweeps: Sweeps, *patterns: str, request: SweepRequest | None = None
) -> SweepOfDatabases:
    settings = Settings(Dsn(server.dsn(), "the test"))
    return SweepOfDatabases(settings, patterns, request or SweepRequest(), make_sweep=sweeps.make)


def test_each_has_its_outcome(server: EmbeddedServer, databases: Databases) -> None:
    names = [databases.make(str(number)) for number in range(4)]
    sweeps = Sweeps(
        {names[1]: RefusedError("no test database"), names[2]: CannotConnectError("nobody there")}
    )

    outcome = of(server, sweeps, f"{databases.prefix}*", "nowhere").run()

    assert [report.database for report in outcome.sweeps] == [names[0], names[3]]
    assert outcome.not_swept == (
        NotSwept(names[1], "no test database"),
        NotSwept(names[2], "nobody there", exit_code=3),
        NotSwept("nowhere", "no such database", exit_code=4),
    )


def test_databases_left_behind_are_looked_for_once(server: EmbeddedServer, databases: Databases) -> None:
    names = [databases.make(str(number)) for number in range(4)]
    orphans = (Orphan("databases", names[2], True), Orphan("databases", names[3], False, "run_alive"))
    sweeps = Sweeps({names[0]: RefusedError("being swept"), names[1]: replace(NOTHING, orphans=orphans)})

    outcome = of(server, sweeps, f"{databases.prefix}*").run()

    # What is dropped isn't swept any more.
    assert [sweep.database for sweep in sweeps.made] == [names[0], names[1], names[3]]
    assert ["databases" in request.kinds for request in sweeps.requests] == [True, True, False]
    assert [report.database for report in outcome.sweeps] == [names[1], names[3]]
    only = Sweeps()
    of(server, only, f"{databases.prefix}*", request=SweepRequest(kinds=("databases",))).run()
    assert [sweep.database for sweep in only.made] == [names[0]]


def test_if_none_can_be_swept_that_is_an_error(server: EmbeddedServer, databases: Databases) -> None:
    first, second = databases.make("1"), databases.make("2")
    refused = Sweeps(default=RefusedError("a standby"))

    with pytest.raises(
        RefusedError, match=f"^no database was swept: {first}: a standby; {second}: a standby$"
    ):
        of(server, refused, f"{databases.prefix}*").run()
    with pytest.raises(RefusedError, match=r"^a standby$"):
        of(server, refused, first).run()
    with pytest.raises(ConfigurationError, match="no database that could be checked matches"):
        of(server, refused, "nowhere").run()


def test_stop_ends_all_after_the_one_that_runs(server: EmbeddedServer, databases: Databases) -> None:
    names = [databases.make(str(number)) for number in range(3)]
    sweeps = Sweeps(waits=True)
    sweep = of(server, sweeps, f"{databases.prefix}*")
    outcomes: list[SweepsOfDatabases] = []
    thread = threading.Thread(target=lambda: outcomes.append(sweep.run()), daemon=True)
    thread.start()
    wait_until(lambda: sweeps.made and sweeps.made[0].running.is_set())
    sweep.stop()
    thread.join(PATIENCE_S)

    (outcome,) = outcomes
    assert [(report.database, report.interrupted) for report in outcome.sweeps] == [(names[0], True)]
    assert outcome.not_swept == (NotSwept(names[1], NOT_REACHED), NotSwept(names[2], NOT_REACHED))


@pytest.mark.parametrize("before", [True, False])
def test_cancel_is_an_error(server: EmbeddedServer, databases: Databases, before: bool) -> None:
    databases.make("1")
    sweeps = Sweeps(waits=True)
    sweep = of(server, sweeps, f"{databases.prefix}*")
    errors: list[BaseException] = []

    def run() -> None:
        try:
            sweep.run()
        except WorkCancelledError as error:
            errors.append(error)

    if before:
        sweep.cancel()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not before:
        wait_until(lambda: sweeps.made and sweeps.made[0].running.is_set())
        sweep.cancel()
    thread.join(PATIENCE_S)

    assert len(errors) == 1


def test_servers_of_a_fleet(server: EmbeddedServer, databases: Databases) -> None:
    names = [databases.make(str(number)) for number in range(3)]
    globs = (f"{databases.prefix}*",)
    sweeps = Sweeps({names[1]: RefusedError("no test database")})
    fleet = (
        Server("one", Dsn(server.dsn(), "one"), globs),
        Server("two", Dsn(server.dsn(names[2]), "two")),
        Server("dead", Dsn("postgresql://u:verysecret@127.0.0.1:1/x", "dead"), globs),
        Server("empty", Dsn(server.dsn(), "empty"), ("no_such_*",)),
    )
    began: list[tuple[str, str]] = []
    ended: list[str] = []
    settings = Settings(Dsn("", "nowhere"))

    def begin(name: str, database: str) -> None:
        began.append((name, database))

    sweep = SweepOfServers(
        settings, fleet, SweepRequest(), 2, begin=begin, end=ended.append, make_sweep=sweeps.make
    )
    outcome = sweep.run()

    swept = [(report.server, report.database) for report in outcome.sweeps]
    assert swept == [("one", names[0]), ("one", names[2]), ("two", names[2])]
    refused, dead = outcome.not_swept
    assert refused == NotSwept(names[1], "no test database", "one")
    assert (dead.server, dead.database, dead.exit_code) == ("dead", "", 3)
    assert "verysecret" not in str(outcome)
    assert outcome.servers == ("one", "two", "dead", "empty")
    # Databases that were left behind are looked for once per server.
    assert sorted("databases" in request.kinds for request in sweeps.requests) == [False, False, True, True]
    assert set(began) == {*(("one", name) for name in names), ("two", "")}
    assert sorted(ended) == ["dead", "empty", "one", "two"]
    with pytest.raises(ConfigurationError, match=r"^no database of these servers matches 'no_such_\*'$"):
        SweepOfServers(settings, fleet[3:], SweepRequest(), 2).run()


@pytest.mark.parametrize("cancel", [False, True])
def test_an_end_ends_all_servers(server: EmbeddedServer, databases: Databases, cancel: bool) -> None:
    name = databases.make("1")
    sweeps = Sweeps(waits=True)
    fleet = [Server(f"s{number}", Dsn(server.dsn(), "x"), (name,)) for number in range(4)]
    sweep = SweepOfServers(Settings(Dsn("", "")), fleet, SweepRequest(), 2, make_sweep=sweeps.make)
    outcomes: list[SweepsOfDatabases | WorkCancelledError] = []

    def run() -> None:
        try:
            outcomes.append(sweep.run())
        except WorkCancelledError as error:
            outcomes.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: len(sweeps.made) == 2 and all(one.running.is_set() for one in sweeps.made))
    (sweep.cancel if cancel else sweep.stop)()
    thread.join(PATIENCE_S)

    (outcome,) = outcomes
    assert len(sweeps.made) == 2
    if cancel:
        assert isinstance(outcome, WorkCancelledError)
    else:
        assert isinstance(outcome, SweepsOfDatabases)
        assert [report.interrupted for report in outcome.sweeps] == [True, True]
        assert [(one.server, one.reason) for one in outcome.not_swept] == [
            ("s2", NOT_REACHED),
            ("s3", NOT_REACHED),
        ]
