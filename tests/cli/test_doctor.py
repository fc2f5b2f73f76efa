"""`pgwatch-tests doctor` as people and pipelines run it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pgwatch_tests.embedded.server import EmbeddedServer
from tests.cli.running import pgwatch
from tests.servers.sessions import Connect, Database, MakeRole


def doctor(home: Path, dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return pgwatch(home, "doctor", *arguments, extra={"PGWATCH_DSN": dsn})


def test_the_exit_codes_of_a_gate(
    server: EmbeddedServer, database: Database, connect: Connect, make_role: MakeRole, tmp_path: Path
) -> None:
    dsn = server.dsn(database.name, role := make_role())
    found = doctor(tmp_path, dsn, "--fail")
    assert (found.returncode, found.stderr) == (1, "")
    statements = [line.strip() for line in found.stdout.splitlines() if line.startswith("      GRANT ")]
    assert statements == [f'GRANT pg_monitor TO "{role}";', f'GRANT pg_signal_backend TO "{role}";']
    assert "2 of 7 features don't work" in found.stdout
    assert doctor(tmp_path, dsn).returncode == 0
    admin = connect(autocommit=True)
    for statement in statements:
        admin.execute(statement.encode())
    well = doctor(tmp_path, dsn, "--fail")
    assert (well.returncode, well.stderr) == (0, "")
    assert "Everything works that can work for this role" in well.stdout
    connect().execute("LOCK TABLE pg_auth_members")
    unknown = doctor(tmp_path, dsn, "--fail")
    assert unknown.returncode == 4
    assert "not checked" in unknown.stdout


def test_the_document(
    server: EmbeddedServer, database: Database, make_role: MakeRole, tmp_path: Path
) -> None:
    dsn = server.dsn(database.name, role := make_role())
    done = doctor(tmp_path, dsn, "--format", "json", "-o", "doctor.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    document = json.loads((tmp_path / "doctor.json").read_text())
    assert document["schema"] == "pgwatch-tests.doctor/1"
    assert document["connection"]["user"] == role
    assert document["connection"]["database"] == database.name
    assert (document["works"], document["complete"], document["not_checked"]) == (False, True, [])
    states = {feature["id"]: feature["status"] for feature in document["features"]}
    assert states == {
        "lock_tree": "works",
        "session_details": "missing",
        "act_on_sessions": "missing",
        "prepared_transactions": "partly",
        "count_leaks": "works",
        "maintenance_database": "works",
        "row_keys": "works",
    }
    assert {one["name"] for one in document["settings"]} >= {"log_lock_waits", "deadlock_timeout"}
    assert document["clock"]["off"] is False


@pytest.mark.parametrize("form", ["table", "json"])
def test_no_server_is_one_line_without_the_password(form: str, tmp_path: Path) -> None:
    done = doctor(tmp_path, "postgresql://u:hunter2@127.0.0.1:1/d", "--fail", "--format", form)
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr
