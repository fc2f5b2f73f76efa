"""Another branch's schema is refused; a first use records it, with the database or on this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.errors import ConfigurationError, RefusedError
from pgwatch_tests.leaks.model import LeftoverKind
from pgwatch_tests.leaks.scan import scan
from pgwatch_tests.run.database.schema_hash import check_schema, migrations_hash
from pgwatch_tests.settings.load import Dsn, Settings
from tests.servers.poolers import pooler
from tests.servers.sessions import Database, MakeRole

FIRST, SECOND = "1" * 16, "2" * 16


@pytest.mark.usefixtures("python")
def test_hash_is_of_a_file_a_directory_or_what_a_command_prints(tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "1.sql").write_text("CREATE TABLE a ()", encoding="utf-8")
    environ = {"PATH": os.environ["PATH"], "NAME": "1.sql"}

    def hash_of(source: str) -> str:
        return migrations_hash(source, tmp_path, environ)

    one, file = hash_of("migrations"), hash_of("migrations/1.sql")
    assert re.fullmatch(r"[0-9a-f]{16}", one)
    assert hash_of('cat "migrations/$NAME"') == file
    (migrations / "2.sql").write_text("", encoding="utf-8")
    assert hash_of("migrations") not in (one, file)
    # What Python leaves there is no migration.
    two = hash_of("migrations")
    (migrations / "__pycache__").mkdir()
    (migrations / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert hash_of("migrations") == two
    for wrong in ("exit 3", "true", "no-such-command-at-all 2>/dev/null"):
        with pytest.raises(ConfigurationError, match="neither a file nor a command that works"):
            hash_of(wrong)


def test_other_migrations_are_refused_until_they_are_recorded(
    database: Database, owner: Connection[TupleRow], server: EmbeddedServer
) -> None:
    settings = Settings(Dsn(database.dsn, "the test"))
    told = check_schema(settings, FIRST, "branch main, anna@here")
    assert told == f"{database.name} is recorded as of these migrations ({FIRST})"
    assert check_schema(settings, FIRST, "") == ""
    with pytest.raises(
        RefusedError, match=rf"other migrations: {FIRST} was recorded .* ago by branch main, anna@here"
    ):
        check_schema(settings, SECOND, "branch other")
    assert check_schema(settings, SECOND, "", migrated=True).endswith(f"({SECOND})")
    with pytest.raises(RefusedError):
        check_schema(settings, FIRST, "")
    # It is no finding of ours, and goes with the database.
    kinds: tuple[LeftoverKind, ...] = ("setting",)
    before = {one.name for one in scan(settings, kinds=kinds).leftovers}
    owner.execute(sql.SQL("ALTER DATABASE {} SET work_mem = '5MB'").format(sql.Identifier(database.name)))
    after = {one.name for one in scan(settings, kinds=kinds).leftovers}
    assert after - before == {f"DATABASE {database.name}: work_mem"}
    assert not any("pgwatch" in name for name in after)
    nowhere = Settings(Dsn(server.dsn("test_none_such"), "the test"))
    assert "isn't there yet" in check_schema(nowhere, FIRST, "")


def test_database_is_known_where_a_pooler_or_a_service_file_calls_it_otherwise(
    database: Database, server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = conninfo_to_dict(database.dsn)
    file = tmp_path / "services"
    lines = [f"{word}={place[word]}" for word in ("host", "port", "user", "dbname")]
    file.write_text("\n".join(["[mine]", *lines, ""]), encoding="utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    told = check_schema(Settings(Dsn("service=mine", "the test")), FIRST, "")
    assert told == f"{database.name} is recorded as of these migrations ({FIRST})"
    with (
        pooler(server, "transaction", aliases={"app": database.name}) as pooled,
        pytest.raises(RefusedError, match=f"^{database.name} has the schema of other migrations"),
    ):
        check_schema(Settings(Dsn(pooled.dsn("app"), "the test")), SECOND, "")


def test_role_that_may_not_set_it_keeps_it_on_this_machine(
    database: Database, owner: Connection[TupleRow], server: EmbeddedServer, make_role: MakeRole
) -> None:
    role = make_role()
    owner.execute(
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database.name), sql.Identifier(role))
    )
    settings = Settings(Dsn(server.dsn(database.name, role), "the test"))
    assert "on this machine only" in check_schema(settings, FIRST, "anna")
    assert check_schema(settings, FIRST, "") == ""
    with pytest.raises(RefusedError, match=r"recorded .* ago by anna"):
        check_schema(settings, SECOND, "")
    # Somebody who may has the database keep it: from then on that counts.
    above = Settings(Dsn(database.dsn, "the test"))
    check_schema(above, SECOND, "", migrated=True)
    assert check_schema(settings, SECOND, "") == ""
    owner.execute(sql.SQL("ALTER DATABASE {} OWNER TO postgres").format(sql.Identifier(database.name)))
