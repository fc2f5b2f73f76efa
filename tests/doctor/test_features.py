"""What is said to work is tried, and so is what is said not to; the printed statements make it work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from pgwatch_tests.doctor.examination import examine
from pgwatch_tests.doctor.features import grant_role
from pgwatch_tests.doctor.model import Examination, Feature, Role
from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.settings.load import Dsn, Settings
from tests.leaks.scanning import scanned
from tests.locks.looking import look, target_of
from tests.servers.sessions import Connect, Database, MakeRole, blocked, unique_name

Session = Connection[TupleRow]

EVIL_ROLE = 'we"ird; DROP ROLE postgres \\ ä\n'


def examined(dsn: str) -> Examination:
    return examine(Settings(dsn=Dsn(dsn, "the test")))


def feature(found: Examination, id_: str) -> Feature:
    [one] = [feature for feature in found.features if feature.id == id_]
    return one


def run_all(admin: Session, statements: tuple[str, ...]) -> None:
    assert statements
    for statement in statements:
        admin.execute(statement.encode())


@pytest.fixture
def admin(connect: Connect) -> Session:
    """A superuser's session in the test's database."""
    return connect(autocommit=True)


@pytest.fixture
def evil_role(server: EmbeddedServer, database: Database) -> Iterator[str]:
    """A role with a name that has to be quoted well."""
    name = f"{EVIL_ROLE}{unique_name()[-8:]}"
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:
        administrator.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    yield name
    with psycopg.connect(database.dsn, autocommit=True) as administrator:
        administrator.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        administrator.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def sees_queries(dsn: str, victim: Session) -> bool:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT query FROM pg_stat_activity WHERE pid = %s", [victim.info.backend_pid]
        ).fetchone()
    assert row is not None
    return bool(row[0] != "<insufficient privilege>")


def can_end(dsn: str, victim: Session) -> bool:
    """Tries to cancel what `victim` does, which is nothing: the privilege is the same as for its end."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        try:
            row = connection.execute("SELECT pg_cancel_backend(%s)", [victim.info.backend_pid]).fetchone()
        except errors.InsufficientPrivilege:
            return False
    assert row is not None
    return bool(row[0])


def ends(dsn: str, victim: Session) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("SELECT pg_terminate_backend(%s)", [victim.info.backend_pid]).fetchone()
    assert row == (True,)
    with pytest.raises(psycopg.OperationalError):
        victim.execute("SELECT 1")


@pytest.mark.parametrize(
    ("options", "memberships", "details", "acting"),
    [
        ("SUPERUSER", "", "works", "works"),
        ("", "pg_monitor", "works", "missing"),
        ("", "pg_read_all_stats", "works", "missing"),
        ("", "pg_signal_backend", "missing", "works"),
        ("", "pg_monitor, pg_signal_backend", "works", "works"),
        ("NOINHERIT", "pg_monitor, pg_signal_backend", "missing", "missing"),
        ("NOINHERIT", "", "missing", "missing"),
        ("", "", "missing", "missing"),
    ],
)
def test_verdicts_are_what_the_role_can_do(
    options: LiteralString,
    memberships: str,
    details: str,
    acting: str,
    server: EmbeddedServer,
    database: Database,
    connect: Connect,
    make_role: MakeRole,
    admin: Session,
) -> None:
    role = make_role(options)
    if memberships:
        admin.execute(f'GRANT {memberships} TO "{role}"'.encode())
    if options == "NOINHERIT" and memberships and admin.info.server_version < 150000:
        details = "works"  # where membership alone shows them
    dsn = server.dsn(database.name, role)
    victim, superuser = connect(user=make_role()), connect()

    found = examined(dsn)

    assert feature(found, "session_details").status == details
    assert feature(found, "act_on_sessions").status == acting
    assert sees_queries(dsn, victim) is (details == "works")
    assert can_end(dsn, victim) is (acting == "works")
    is_superuser = options == "SUPERUSER"
    assert can_end(dsn, superuser) is is_superuser
    assert ("superusers'" in feature(found, "act_on_sessions").detail) is not is_superuser
    assert isinstance(found.role, Role)
    assert found.role.superuser is is_superuser
    assert feature(found, "lock_tree").status == "works"
    # What was printed makes it work.
    for one in ("session_details", "act_on_sessions"):
        if feature(found, one).status == "missing":
            run_all(admin, feature(found, one).fix)
    assert sees_queries(dsn, victim)
    assert feature(examined(dsn), "session_details").status == "works"
    assert feature(examined(dsn), "act_on_sessions").status == "works"
    ends(dsn, victim)


def test_statements_for_a_name_of_ill_will(
    server: EmbeddedServer, database: Database, connect: Connect, evil_role: str, admin: Session
) -> None:
    admin.execute('CREATE SCHEMA "S ""x"; CREATE TABLE "S ""x"."t;\n--" (id int PRIMARY KEY, email text)')
    admin.execute("CREATE TABLE pol (email text); ALTER TABLE pol ENABLE ROW LEVEL SECURITY")
    dsn = server.dsn(database.name, evil_role)
    found = examined(dsn)
    assert found.place.user == evil_role
    assert not found.works
    for one in found.features:
        for statement in one.fix:
            assert statement.isprintable()
            admin.execute(statement.encode())
    after = examined(dsn)
    assert after.works
    assert {one.id for one in after.features if one.status != "works"} == {"prepared_transactions"}
    assert scanned(dsn).complete
    assert sees_queries(dsn, connect())


def test_counting_is_said_to_work_exactly_where_it_does(
    server: EmbeddedServer, database: Database, make_role: MakeRole, admin: Session
) -> None:
    role = make_role()
    dsn = server.dsn(database.name, role)
    admin.execute("CREATE TABLE free (email text)")
    admin.execute(f'GRANT SELECT ON free TO "{role}"'.encode())
    assert feature(examined(dsn), "count_leaks").status == "works"
    assert scanned(dsn).complete

    admin.execute("CREATE SCHEMA s; CREATE TABLE s.a (email text); CREATE TABLE denied (email text)")
    admin.execute(
        "CREATE TABLE partial (email text, hidden text); CREATE MATERIALIZED VIEW m AS SELECT 'x'::text"
    )
    admin.execute(f'GRANT SELECT ON s.a TO "{role}"; GRANT SELECT (email) ON partial TO "{role}"'.encode())
    admin.execute("CREATE TABLE pol (email text); ALTER TABLE pol ENABLE ROW LEVEL SECURITY")
    admin.execute(f'GRANT SELECT ON pol TO "{role}"'.encode())
    admin.execute("CREATE TABLE root (email text) PARTITION BY LIST (email)")
    admin.execute("CREATE TABLE leaf PARTITION OF root DEFAULT")

    counting = feature(examined(dsn), "count_leaks")
    skipped = {f"{table.schema}.{table.table}" for table in scanned(dsn).skipped}

    assert counting.status == "missing"
    assert skipped == {"s.a", "public.denied", "public.partial", "public.m", "public.pol", "public.root"}
    assert counting.detail == (
        "1 of 7 tables can be read in full; no SELECT or no USAGE for 5: public.denied, public.m, "
        "public.partial and 2 more; row-level security hides rows of 1: public.pol"
    )
    run_all(admin, counting.fix)
    assert feature(examined(dsn), "count_leaks").status == "works"
    assert scanned(dsn).complete


def test_many_tables_are_granted_at_once(
    server: EmbeddedServer, database: Database, make_role: MakeRole, admin: Session
) -> None:
    dsn = server.dsn(database.name, role := make_role())
    admin.execute(
        "DO $$ BEGIN FOR n IN 1..11 LOOP EXECUTE format('CREATE TABLE t%s (c text)', n); END LOOP; END $$"
    )
    counting = feature(examined(dsn), "count_leaks")
    assert counting.fix == (f'GRANT SELECT ON ALL TABLES IN SCHEMA "public" TO "{role}";',)
    run_all(admin, counting.fix)
    assert scanned(dsn).complete


def test_foreign_tables_are_told_apart(database: Database, admin: Session) -> None:
    admin.execute("CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere")
    admin.execute("CREATE FOREIGN TABLE elsewhere (email text) SERVER far")
    counting = feature(examined(database.dsn), "count_leaks")
    assert counting.detail == "0 of 0 tables can be read in full; 1 foreign table is never counted"


def test_names_of_rows(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole, admin: Session
) -> None:
    dsn = server.dsn(database.name, make_role())
    admin.execute("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (42)")
    holder, waiter = connect(), connect()
    holder.execute("UPDATE t SET n = 1")
    blocked(waiter, "UPDATE t SET n = 2")
    pids = waiter.info.backend_pid, holder.info.backend_pid
    names = feature(examined(dsn), "row_keys")
    assert (names.status, target_of(look(dsn), *pids)) == ("partly", "row of t (at 0,1)")
    run_all(admin, names.fix)
    assert (feature(examined(dsn), "row_keys").status, target_of(look(dsn), *pids)) == (
        "works",
        "row of t (id=42)",
    )


def test_prepared_transactions(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole
) -> None:
    role = make_role()
    dsn = server.dsn(database.name, role)
    for gid, session in ((f"{database.name}_own", connect(user=role)), (f"{database.name}_other", connect())):
        session.execute("SELECT 1")
        session.execute(sql.SQL("PREPARE TRANSACTION {}").format(sql.Literal(gid)))
        session.commit()
    found = feature(examined(dsn), "prepared_transactions")
    assert found.status == "partly"
    assert "(1 of 2 belong to other roles)" in found.detail
    assert found.fix == ()

    def roll_back(dsn: str, which: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            gid = sql.Literal(f"{database.name}_{which}")
            connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(gid))

    with pytest.raises(errors.InsufficientPrivilege):
        roll_back(dsn, "other")
    roll_back(dsn, "own")
    assert feature(examined(database.dsn), "prepared_transactions").status == "works"
    roll_back(database.dsn, "other")


@pytest.fixture
def no_connect(server: EmbeddedServer) -> Iterator[Callable[[], None]]:
    """Takes CONNECT on the database postgres away from PUBLIC, until the test ends."""
    with psycopg.connect(server.dsn(), autocommit=True) as administrator:

        def take_away() -> None:
            administrator.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")

        yield take_away
        administrator.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")


def test_the_maintenance_database(
    server: EmbeddedServer,
    database: Database,
    make_role: MakeRole,
    admin: Session,
    no_connect: Callable[[], None],
) -> None:
    role = make_role()
    dsn = server.dsn(database.name, role)
    assert feature(examined(dsn), "maintenance_database").status == "works"
    no_connect()
    refused = feature(examined(dsn), "maintenance_database")
    assert refused.status == "missing"
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(server.dsn("postgres", role))
    run_all(admin, refused.fix)
    assert feature(examined(dsn), "maintenance_database").status == "works"
    psycopg.connect(server.dsn("postgres", role)).close()
    admin.execute(f'REVOKE CONNECT ON DATABASE postgres FROM "{role}"'.encode())


def test_grants_take_effect_for_roles_that_dont_inherit() -> None:
    role = Role("r", superuser=False, inherits=False, reads_all_stats=False, signals_backends=False)
    assert grant_role("pg_monitor", role, 160000) == ('GRANT pg_monitor TO "r" WITH INHERIT TRUE;',)
    assert grant_role("pg_monitor", role, 150009) == ('GRANT pg_monitor TO "r";', 'ALTER ROLE "r" INHERIT;')
