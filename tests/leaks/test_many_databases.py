"""Several databases at once: each has its report, or a reason why there is none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import psycopg
import pytest
from psycopg import sql

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import ConfigurationError, NoAnswerError
from pgwatch_tests.fleet.servers import Server
from pgwatch_tests.leaks import many_databases
from pgwatch_tests.leaks.many_databases import Choice, scan_databases, scan_servers
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, LeftoverKind, NotChecked
from pgwatch_tests.settings.load import Dsn, MarkerSetting, Settings
from tests.leaks.scanning import make_slow_table, settings
from tests.servers.databases import Databases
from tests.servers.sessions import MakeRole, unique_name
from tests.waiting import PATIENCE_S, wait_until

KINDS: tuple[LeftoverKind, ...] = ("schema",)


def scanned(
    server: EmbeddedServer, *patterns: str, user: str = "postgres", at_once: int = 4
) -> LeaksOfDatabases:
    return scan_databases(settings(server.dsn(user=user)), patterns, KINDS, at_once)


def test_all_that_match_are_checked(server: EmbeddedServer, databases: Databases) -> None:
    names = [databases.make(f"{number}", number) for number in range(6)]
    databases.make("Other", 50)

    leaks = scanned(server, f"{databases.prefix}_[0-9]")

    assert [(one.database, one.total) for one in leaks.databases] == list(zip(names, range(6), strict=True))
    assert (leaks.total, leaks.complete, leaks.not_checked) == (15, True, ())
    assert {one.kinds_checked for one in leaks.databases} == {("schema",)}


def test_hostile_names(server: EmbeddedServer, databases: Databases) -> None:
    name = databases.make("a 'b' \"c\" %s \\ =ü*", 2)

    (report,) = scanned(server, name).databases

    assert (report.database, report.total) == (name, 2)


def test_what_cant_be_checked_is_named(
    server: EmbeddedServer, databases: Databases, make_role: MakeRole
) -> None:
    plain = make_role()
    reached = databases.make("reached", 0)
    denied, closed = databases.make("denied"), databases.make("closed", 0, "ALLOW_CONNECTIONS false")
    template = databases.make("template", 3, "")
    databases.alter(template, "IS_TEMPLATE true")
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(
            sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(denied))
        )

    leaks = scanned(server, f"{databases.prefix}*", "nowhere", template, user=plain)

    assert [one.database for one in leaks.databases] == [reached]
    reasons = {one.database: one.reason for one in leaks.not_checked}
    assert set(reasons) == {denied, closed, template, "nowhere"}
    assert f'permission denied for database "{denied}"' in reasons[denied]
    assert reasons[closed] == "doesn't allow connections"
    assert reasons[template] == "a template: never checked"
    assert reasons["nowhere"] == "no such database"
    assert not leaks.complete


def test_templates_never_match(server: EmbeddedServer) -> None:
    leaks = scanned(server, "template*", "postgres")

    assert [one.database for one in leaks.databases] == ["postgres"]
    assert leaks.not_checked == ()


@pytest.mark.parametrize("pattern", ["no_such_*", "nowhere", "template1"])
def test_nothing_to_check_is_refused(server: EmbeddedServer, pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="no database that could be checked matches"):
        scanned(server, pattern)


def test_a_marker_that_isnt_one_is_no_matter_of_a_database(
    server: EmbeddedServer, databases: Databases
) -> None:
    name = databases.make("a")
    wrong = settings(server.dsn(), (MarkerSetting("bad", "^(", regex=True),))

    with pytest.raises(ConfigurationError, match="rejects the regular expression"):
        scan_databases(wrong, [name])


def test_a_password_is_in_no_reason(server: EmbeddedServer, databases: Databases) -> None:
    name = databases.make("limited")
    databases.alter(name, "CONNECTION LIMIT 0")
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        role = unique_name("test_role")
        administrator.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        try:
            dsn = server.dsn(user=role).replace("@", ":verysecret@", 1)
            leaks = scan_databases(Settings(Dsn(dsn, "the test")), [name, "postgres"])
        finally:
            administrator.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    (refused,) = leaks.not_checked
    assert refused.database == name
    assert "too many connections" in refused.reason
    assert "verysecret" not in refused.reason


class Connections:
    """How many of our sessions are in databases with a prefix, at most."""

    def __init__(self, server: EmbeddedServer, prefix: str) -> None:
        self._observer = psycopg.connect(server.dsn(), autocommit=True)
        self._prefix = prefix

    def now(self, query: str = "%") -> int:
        row = self._observer.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, %s)"
            " AND application_name = 'pgwatch-tests' AND query LIKE %s",
            [self._prefix, query],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        self._observer.close()


def test_connections_are_bounded_and_an_end_ends_all(server: EmbeddedServer, databases: Databases) -> None:
    for number in range(5):
        name = databases.make(str(number))
        with psycopg.connect(server.dsn(name), autocommit=True) as inside:
            make_slow_table(inside, "slow")
    connections = Connections(server, databases.prefix)
    steps: list[tuple[int, int]] = []
    outcome: list[BaseException | LeaksOfDatabases] = []

    def progress(done: int, total: int) -> None:
        steps.append((done, total))
        if done == 1:
            raise KeyboardInterrupt

    def run() -> None:
        try:
            outcome.append(scan_databases(settings(server.dsn()), [f"{databases.prefix}*"], (), 2, progress))
        except KeyboardInterrupt as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: connections.now("%count(*)%") == 2)
    assert connections.now() == 2
    # The first one is over, the second goes on, a third begins at most.
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name = 'pgwatch-tests'",
            [f"{databases.prefix}_0"],
        )
    thread.join(PATIENCE_S)

    assert [type(one) for one in outcome] == [KeyboardInterrupt]
    assert steps == [(0, 5), (1, 5)]
    wait_until(lambda: connections.now() == 0)
    connections.close()


def test_a_lost_connection_is_about_one_database(server: EmbeddedServer, databases: Databases) -> None:
    slow, quick = databases.make("slow"), databases.make("quick", 3)
    with psycopg.connect(server.dsn(slow), autocommit=True) as inside:
        make_slow_table(inside, "slow")
    ended = threading.Event()

    def progress(done: int, total: int) -> None:
        if done != 1 or ended.is_set():
            return
        ended.set()
        with psycopg.connect(server.dsn(), autocommit=True) as administrator:
            wait_until(
                lambda: administrator.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = %s AND application_name = 'pgwatch-tests' AND state = 'active'",
                    [slow],
                ).fetchone()
            )

    leaks = scan_databases(settings(server.dsn()), [slow, quick], (), 2, progress)

    assert [(one.database, one.total) for one in leaks.databases] == [(quick, 3)]
    ((database, reason),) = [(one.database, one.reason) for one in leaks.not_checked]
    assert database == slow
    assert reason.startswith("the connection was lost")
    assert isinstance(leaks.not_checked[0], NotChecked)


@pytest.fixture
def silent() -> Iterator[str]:
    """The DSN of a server that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"postgresql://ci:verysecret@127.0.0.1:{listener.getsockname()[1]}/app"


def test_servers_of_a_fleet(server: EmbeddedServer, databases: Databases, silent: str) -> None:
    names = [databases.make(str(number), number) for number in range(3)]
    dead = "postgresql://ci:verysecret@127.0.0.1:1/app"
    globs = (f"{databases.prefix}*",)
    fleet = (
        Server("one", Dsn(server.dsn(), "one"), globs),
        Server("two", Dsn(server.dsn(names[2]), "two")),
        Server("silent", Dsn(silent, "silent"), globs),
        Server("empty", Dsn(server.dsn(), "empty"), ("no_such_*",)),
        Server("dead", Dsn(dead, "dead"), globs),
        Server("wrong", Dsn(server.dsn(user="nobody_of_that_name"), "wrong")),
        Server("no_dsn", Dsn("mysql://x", "no_dsn")),
        Server("typo", Dsn(server.dsn(), "typo"), ("nowhere", names[0])),
    )
    quick = replace(settings(server.dsn()), connect_timeout_s=1.0)

    leaks = scan_servers(quick, fleet, KINDS, 4)

    assert [(one.server, one.database, one.total) for one in leaks.databases] == [
        *(("one", name, number) for number, name in enumerate(names)),
        *(("two", names[2], 2), ("typo", names[0], 0)),
    ]
    assert leaks.servers == tuple(one.name for one in fleet)
    reasons = {one.server: (one.database, one.reason, one.exit_code) for one in leaks.not_checked}
    assert set(reasons) == {"silent", "dead", "wrong", "no_dsn", "typo"}
    assert reasons["silent"] == ("", "cannot connect: no answer from the server in 1 s", 3)
    assert reasons["dead"][1:2] != reasons["silent"][1:2]
    assert reasons["dead"][2] == 3
    assert 'role "nobody_of_that_name" does not exist' in reasons["wrong"][1]
    assert reasons["no_dsn"] == ("", "no_dsn is a 'mysql' URL; a postgresql:// URL is needed", 2)
    assert reasons["typo"] == ("nowhere", "no such database", 4)
    assert "verysecret" not in str(leaks)
    with pytest.raises(ConfigurationError, match=r"^no database of 1 server matches 'no_such_\*'$"):
        scan_servers(quick, (fleet[3],), KINDS)


def test_a_server_that_answers_no_more_isnt_asked_for_each_database() -> None:
    asked: list[str] = []

    class Silent:
        def __init__(self, settings: Settings, *_: object, **__: object) -> None:
            asked.append(settings.dsn.value)

        def run(self) -> LeakReport:
            raise NoAnswerError("no answer")

        def stop(self) -> None: ...

        def cancel(self) -> None: ...

    chosen = Choice(tuple(f"d{number}" for number in range(9)), ())
    with (
        patch.object(many_databases, "LeakScan", Silent),
        patch.object(many_databases, "databases_of", lambda _: []),
        patch.object(many_databases, "choose_any", lambda *_: chosen),
    ):
        leaks = scan_servers(settings(""), (Server("a", Dsn("host=a", "a"), ("d*",)),), (), 1)

    assert len(asked) == 2
    assert [one.database for one in leaks.not_checked] == list(chosen.names)
    told = [one.reason for one in leaks.not_checked]
    assert told.count("not tried: the server doesn't answer any more") == 7
