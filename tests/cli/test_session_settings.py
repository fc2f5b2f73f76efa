"""Commands in databases and for roles with settings of their own: the same is read and done as without."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from pgwatch_tests import cli
from pgwatch_tests.embedded.server import EmbeddedServer
from tests.servers.sessions import Connect, Database, MakeRole, blocked

# Together where none of them hides what another one does.
SETTINGS: list[dict[str, str]] = [
    {
        "DateStyle": "German",
        "IntervalStyle": "iso_8601",
        "TimeZone": "America/Caracas",
        "bytea_output": "escape",
        "extra_float_digits": "-15",
        "standard_conforming_strings": "off",
        "client_encoding": "LATIN1",
        "client_min_messages": "debug5",
        "search_path": "hostile, pg_catalog",
        "array_nulls": "off",
        "transform_null_equals": "on",
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
    },
    {
        "DateStyle": "SQL, DMY",
        "IntervalStyle": "sql_standard",
        "TimeZone": "<+1245>-12:45",
        "backslash_quote": "off",
        "client_encoding": "SJIS",
        "client_min_messages": "error",
        "quote_all_identifiers": "on",
        "xmlbinary": "hex",
    },
    {
        "DateStyle": "Postgres, MDY",
        "IntervalStyle": "postgres_verbose",
        "enable_seqscan": "off",
        "plan_cache_mode": "force_generic_plan",
        "gin_fuzzy_search_limit": "1",
        "vacuum_freeze_min_age": "0",
    },
    {"DateStyle": "ISO, YMD", "session_replication_role": "replica", "row_security": "off"},
    {"lock_timeout": "1ms", "statement_timeout": "300ms", "idle_in_transaction_session_timeout": "1ms"},
    {"idle_session_timeout": "400ms"},
    {"transaction_timeout": "300ms"},
]
_SINCE = {"idle_session_timeout": 140000, "transaction_timeout": 170000}
MARKED = 3


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs commands on one database."""

    dsn: str
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, exit_code: int = 0) -> str:
        """What it printed."""
        self.capsys.readouterr()
        ended = cli.run([*arguments, "--dsn", self.dsn])
        out, err = self.capsys.readouterr()
        assert ended == exit_code, (arguments, err)
        return out

    def document(self, *arguments: str, exit_code: int = 0) -> dict[str, object]:
        """The JSON document that it printed."""
        return cast(dict[str, object], json.loads(self(*arguments, "--format", "json", exit_code=exit_code)))


@pytest.fixture
def commands(
    database: Database,
    owner: Connection[TupleRow],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Commands:
    """In a database with a baseline, and marked rows since; the history is in the same database."""
    monkeypatch.chdir(home)
    for name in ("PGWATCH_DSN", "DATABASE_URL", "PGWATCH_MARKERS", "PGWATCH_MIN_AGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGWATCH_HISTORY", database.dsn)
    owner.execute(
        "CREATE TABLE account (id int PRIMARY KEY, email text, tags text[], created_at timestamptz)"
    )
    owner.execute("CREATE TABLE booking (id int PRIMARY KEY, account int NOT NULL REFERENCES account)")
    owner.execute("CREATE INDEX ON account USING gin (tags)")
    found = Commands(database.dsn, capsys)
    found("baseline", "-o", "before.json")
    owner.execute(
        "INSERT INTO account SELECT n, CASE WHEN n <= 2 THEN 'größe@test.example.com' ELSE 'kept' END, "
        "CASE WHEN n = 3 THEN ARRAY['a@test.example.com', NULL] END, now() - interval '30 min' "
        "FROM generate_series(1, 5) AS n"
    )
    owner.execute("INSERT INTO booking VALUES (1, 1)")
    return found


@pytest.mark.parametrize("settings", SETTINGS, ids=["=".join(next(iter(one.items()))) for one in SETTINGS])
def test_settings_of_the_database(
    settings: dict[str, str],
    commands: Commands,
    database: Database,
    owner: Connection[TupleRow],
    connect: Connect,
) -> None:
    if any(owner.info.server_version < _SINCE.get(name, 0) for name in settings):
        pytest.skip(f"this server has no {' '.join(settings)} yet")
    for name, value in settings.items():
        owner.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(database.name), sql.Identifier(name), sql.Literal(value)
            )
        )
    check_all(commands, connect)


def test_a_setting_of_the_role(
    commands: Commands, database: Database, server: EmbeddedServer, make_role: MakeRole, connect: Connect
) -> None:
    role, other = make_role("SUPERUSER"), make_role("SUPERUSER")
    with psycopg.connect(database.dsn, autocommit=True) as administrator:
        for setting, value in (("role", other), ("DateStyle", "German"), ("IntervalStyle", "iso_8601")):
            administrator.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    sql.Identifier(role), sql.Identifier(setting), sql.Literal(value)
                )
            )
    check_all(Commands(server.dsn(database.name, role), commands.capsys), connect)


def check_all(commands: Commands, connect: Connect) -> None:
    """Every command that reads or sweeps, with what it should find."""
    check_baseline(commands)
    check_leaks(commands)
    check_locks(commands, connect)
    check_rollback(commands, connect)
    check_doctor(commands)
    assert "public.account" in commands("dashboard", "--once")
    check_sweep(commands, connect)


def check_baseline(commands: Commands) -> None:
    document = json.loads(commands("baseline"))
    assert abs(age_s(document["taken_at"])) < 60


def check_leaks(commands: Commands) -> None:
    document = commands.document("leaks", "--fail", exit_code=1)
    assert (document["total"], document["complete"]) == (MARKED, True)
    [table] = cast(list[dict[str, str]], document["tables"])
    assert 1700 < age_s(table["oldest"]) < 1900
    since = commands.document("leaks", "--since", "before.json", "--any")
    assert since["total"] == 6


def check_locks(commands: Commands, connect: Connect) -> None:
    blocker = connect("pytest:gw0 a.py::test_blocks", autocommit=True)
    waiter = connect("pytest:gw1 a.py::test_waits", autocommit=True)
    for session in (blocker, waiter):
        session.execute(
            "SET lock_timeout = 0; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"
        )
        if session.info.server_version >= 170000:
            session.execute("SET transaction_timeout = 0")
    blocker.autocommit = False
    blocker.execute("UPDATE public.account SET email = email WHERE id = 5")
    blocked(waiter, "UPDATE public.account SET email = email WHERE id = 5")
    document = commands.document("locks")
    [edge] = cast(list[dict[str, object]], document["edges"])
    assert edge["blocker_pid"] == blocker.info.backend_pid
    assert cast(dict[str, object], edge["lock"])["target"] == "row of account (id=5)"
    assert "test_blocks" in commands("locks", "--watch", "0.7")
    commands("locks", "--terminate", str(blocker.info.backend_pid), "--yes")
    waiter.close()


def check_rollback(commands: Commands, connect: Connect) -> None:
    gid = f"gid_{commands.dsn.partition('/test_')[2].partition('?')[0]}"
    session = connect(autocommit=True)
    session.execute(
        sql.SQL("BEGIN; LOCK TABLE public.booking; PREPARE TRANSACTION {}").format(sql.Literal(gid))
    )
    assert "was rolled back" in commands("locks", "--rollback-prepared", gid, "--yes")


def check_doctor(commands: Commands) -> None:
    document = commands.document("doctor")
    assert document["complete"], document
    assert abs(cast(float, cast(dict[str, object], document["clock"])["skew_s"])) < 60


# By their commit times, all rows of this server are of just now.
ANY_AGE = ("--min-age", "0s")


def check_sweep(commands: Commands, connect: Connect) -> None:
    planned = cast(dict[str, object], commands.document("sweep", *ANY_AGE)["planned"])
    assert planned["total"] == MARKED + 1
    swept = commands.document("sweep", "--yes", *ANY_AGE)
    assert cast(dict[str, object], swept["deleted"])["total"] == MARKED + 1
    entries = cast(list[dict[str, str]], commands.document("sweep", "--history")["sweeps"])
    assert [abs(age_s(entry["started_at"])) < 60 for entry in entries] == [True, True]
    session = connect(autocommit=True)
    assert session.execute("SELECT count(*) FROM public.account").fetchone() == (2,)
    assert session.execute("SELECT count(*) FROM public.booking").fetchone() == (0,)


def age_s(moment: str) -> float:
    """How long ago it was; documents give times in UTC."""
    assert moment.endswith("Z"), moment
    then = datetime.fromisoformat(moment)
    return (datetime.now(then.tzinfo) - then).total_seconds()


def test_a_sweep_without_triggers_is_refused(
    commands: Commands,
    database: Database,
    owner: Connection[TupleRow],
    server: EmbeddedServer,
    make_role: MakeRole,
    capsys: pytest.CaptureFixture[str],
) -> None:
    role = make_role()
    owner.execute(
        sql.SQL(
            "ALTER DATABASE {0} SET session_replication_role = replica; ALTER TABLE account OWNER TO {1}; "
            "ALTER TABLE booking OWNER TO {1}; GRANT ALL ON DATABASE {0} TO {1}"
        ).format(sql.Identifier(database.name), sql.Identifier(role))
    )
    assert cli.run(["sweep", "--yes", "--dsn", server.dsn(database.name, role)]) == 2
    assert "session_replication_role is replica" in capsys.readouterr().err
    assert owner.execute("SELECT count(*) FROM account").fetchone() == (5,)
