"""The embedded server: starts, stops, keeps to itself, and never outlives its owner."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

import pgwatch_tests
from pgwatch_tests.embedded.server import EmbeddedServer, ServerPrograms, find_programs, free_directory
from pgwatch_tests.errors import ConfigurationError
from tests.embedded.processes import assert_gone, owner
from tests.servers.server_places import server_directory
from tests.waiting import wait_until

ROOT = os.geteuid() == 0


@pytest.fixture
def server_of_its_own(programs: ServerPrograms, template: Path) -> Iterator[EmbeddedServer]:
    """A server that the test may stop."""
    with EmbeddedServer(programs, server_directory(), template=template) as started:
        yield started


def ask(server: EmbeddedServer, query: str) -> object:
    """The single value that a query returns, if it returns one."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


def test_leaves_nothing(programs: ServerPrograms) -> None:
    progress: list[str] = []
    server = EmbeddedServer(programs, server_directory())
    server.start(progress.append)
    family = [*psutil.Process(server.pid).children(), psutil.Process(server.pid)]
    assert ask(server, "SELECT 1") == 1
    server.close()
    assert not server.directory.exists()
    assert not [process for process in family if process.is_running()]
    assert len(progress) >= 2


@pytest.mark.parametrize("fast", [True, False])
def test_restart_keeps_the_data(server_of_its_own: EmbeddedServer, fast: bool) -> None:
    server = server_of_its_own
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("CREATE TABLE thing AS SELECT 42 AS number")
        connection.execute("SET synchronous_commit = on")
    before = server.pid
    server.restart(fast)
    assert server.pid != before
    assert ask(server, "SELECT number FROM thing") == 42
    assert ("not properly shut down" in server.log_tail(50)) is not fast


def test_stopped_server_has_no_pid_and_stops_again(server_of_its_own: EmbeddedServer) -> None:
    server_of_its_own.stop()
    server_of_its_own.stop()
    with pytest.raises(RuntimeError):
        _ = server_of_its_own.pid
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server_of_its_own.dsn())


def test_listens_on_no_network_and_is_private(server_of_its_own: EmbeddedServer) -> None:
    server = server_of_its_own
    assert ask(server, "SHOW listen_addresses") == ""
    assert not [c for c in psutil.Process(server.pid).net_connections("inet") if c.status == "LISTEN"]
    for directory in (
        server.data_directory,
        Path(str(ask(server, "SHOW unix_socket_directories")).strip('"')),
    ):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.directory.stat().st_mode) == (0o711 if ROOT else 0o700)


def test_settings_override_the_defaults(programs: ServerPrograms, template: Path) -> None:
    settings = {"deadlock_timeout": "3s", "cluster_name": "it's a test"}
    with EmbeddedServer(programs, server_directory(), settings, template) as server:
        assert ask(server, "SHOW deadlock_timeout") == "3s"
        assert ask(server, "SHOW cluster_name") == "it's a test"
        assert ask(server, "SHOW fsync") == "off"
        ask(server, "ALTER SYSTEM SET deadlock_timeout = '4s'")
        server.restart()
        assert ask(server, "SHOW deadlock_timeout") == "4s"


def test_a_bad_setting_is_told_and_leaves_nothing(programs: ServerPrograms, template: Path) -> None:
    server = EmbeddedServer(programs, server_directory(), {"max_connections": "none"}, template)
    with pytest.raises(ConfigurationError, match="max_connections"), server:
        pass
    assert not server.directory.exists()


def test_a_directory_that_exists_is_refused_and_kept(programs: ServerPrograms, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="exists"), EmbeddedServer(programs, tmp_path):
        pass
    assert tmp_path.is_dir()


@pytest.mark.parametrize("name", ["x" * 120, "a,b"])
def test_a_directory_that_libpq_does_not_take_has_its_socket_elsewhere(
    name: str, programs: ServerPrograms, template: Path
) -> None:
    directory = server_directory(name)
    with EmbeddedServer(programs, directory, template=template) as server:
        socket_directory = Path(str(ask(server, "SHOW unix_socket_directories")).strip('"'))
        assert directory not in socket_directory.parents
        assert socket_directory.is_dir()
    assert not socket_directory.exists()
    assert not directory.exists()


def test_terminal_signals_do_not_reach_it(server_of_its_own: EmbeddedServer) -> None:
    assert os.getsid(server_of_its_own.pid) != os.getsid(0)


def test_an_owner_without_a_guardian_cleans_up_alone(programs: ServerPrograms, template: Path) -> None:
    server = EmbeddedServer(programs, server_directory(), template=template)
    server.start()
    postmaster = psutil.Process(server.pid)
    guardian = postmaster.parent()
    assert guardian is not None
    assert guardian.pid != os.getpid()
    guardian.kill()
    server.close()
    assert_gone([postmaster], server.directory)


@pytest.mark.usefixtures("programs")
def test_a_killed_owner_leaves_nothing() -> None:
    with owner("server") as killed:
        directory = Path(killed.hear()["directory"])
        killed.hear()
        family = killed.family()
        killed.process.kill()
        assert_gone(family, directory)


@pytest.mark.usefixtures("programs")
def test_an_owner_killed_during_initdb_leaves_nothing() -> None:
    with owner("server") as killed:
        directory = Path(killed.hear()["directory"])
        wait_until(lambda: (directory / "data" / "PG_VERSION").exists(), message="initdb is at work")
        family = killed.family()
        killed.process.kill()
        assert_gone(family, directory)


@pytest.mark.usefixtures("programs")
def test_a_guardian_that_is_told_to_end_cleans_up() -> None:
    with owner("server") as kept:
        directory = Path(kept.hear()["directory"])
        kept.hear()
        guardian, *server = kept.family()
        guardian.send_signal(signal.SIGTERM)
        assert_gone(server, directory)


@pytest.mark.skipif(not ROOT, reason="only root runs it as another account")
def test_programs_that_nobody_may_read_are_copied(programs: ServerPrograms, template: Path) -> None:
    with tempfile.TemporaryDirectory() as closed:
        package = programs.bin_dir.parent.parent
        copy = Path(closed) / package.name
        shutil.copytree(programs.bin_dir.parent, copy / programs.bin_dir.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, Path(closed) / libraries.name)
        closed_programs = ServerPrograms(copy / programs.bin_dir.parent.name / "bin")
        with EmbeddedServer(closed_programs, server_directory(), template=template) as server:
            executable = Path(psutil.Process(server.pid).exe())
            assert server.directory in executable.parents
            sockets = Path(str(ask(server, "SHOW unix_socket_directories")).strip('"'))
            for private in (sockets, server.data_directory):
                assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert stat.S_IMODE(Path(closed).stat().st_mode) == 0o700


@pytest.mark.skipif(not ROOT, reason="only root runs it as another account")
def test_temporary_directories_that_nobody_may_enter_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert tmp_path not in free_directory().parents


def test_programs_come_from_the_environment_first(programs: ServerPrograms, tmp_path: Path) -> None:
    assert find_programs({"PGWATCH_PG_BIN": str(programs.bin_dir)}) == programs
    with pytest.raises(ConfigurationError, match="PGWATCH_PG_BIN: there is no initdb and no postgres"):
        find_programs({"PGWATCH_PG_BIN": str(tmp_path)})


def test_missing_programs_are_told_with_what_to_install(python: str) -> None:
    source = str(Path(pgwatch_tests.__file__).parents[1])
    program = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "from pgwatch_tests.embedded.programs import find_programs\n"
        "from pgwatch_tests.errors import ConfigurationError\n"
        "try: find_programs({})\n"
        "except ConfigurationError as error: print(error)"
    )
    answer = subprocess.run(
        [python, "-I", "-S", "-c", program, source], capture_output=True, text=True, check=True
    )
    assert "pip install 'pgwatch-tests[demo]'" in answer.stdout
