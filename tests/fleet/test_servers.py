"""Servers by name: those of pyproject.toml and of service files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.fleet.servers import Server, choose_servers
from pgwatch_tests.fleet.shards import Shard, share
from pgwatch_tests.settings.load import Dsn, Flags, Settings, load

TOML = """
[tool.pgwatch-tests.servers]
ci-2 = "postgresql://ci:secret@two/app_test"
ci-1 = { dsn = "service=one", databases = ["test_*"] }
"""
SERVICES = (
    "# comment\n[ci-3]\nhost=three\npassword=secret\n\n[ci-1]\nhost=elsewhere\n[]\n[a,b]\n[odd 'name\\]\n"
)


def settings(folder: Path, text: str = TOML) -> Settings:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    return load(Flags(), {}, folder)


def test_settings_come_before_service_files(tmp_path: Path) -> None:
    (tmp_path / ".pg_service.conf").write_text(SERVICES, encoding="utf-8")
    (tmp_path / "pg_service.conf").write_text("[ci-4]\n", encoding="utf-8")
    environ = {"HOME": str(tmp_path), "PGSYSCONFDIR": str(tmp_path)}
    declared = settings(tmp_path)
    place = tmp_path / "pyproject.toml"

    chosen = choose_servers(declared, ["ci-*"], environ=environ)

    two = Server("ci-2", Dsn("postgresql://ci:secret@two/app_test", f"servers.ci-2 in {place}"))
    one = Server("ci-1", Dsn("service=one", f"servers.ci-1 in {place}"), ("test_*",))
    three = Server("ci-3", Dsn("service='ci-3'", "service ci-3"))
    assert chosen == (two, one, three, Server("ci-4", Dsn("service='ci-4'", "service ci-4")))
    assert "secret" not in repr(chosen) + repr(declared)
    assert choose_servers(declared, ["ci-3", "ci-2"], environ=environ) == (two, three)
    assert choose_servers(declared, ["ci-1"], ["app"], environ=environ)[0].databases == ("app",)
    (odd,) = choose_servers(declared, ["odd*"], environ=environ)
    assert odd.dsn.value == "service='odd \\'name\\\\'"
    names = [server.name for server in chosen]
    parts = [choose_servers(declared, ["ci-*"], (), Shard(number, 2), environ) for number in (1, 2)]
    assert [[one.name for one in part] for part in parts] == [
        [*share(names, Shard(number, 2))] for number in (1, 2)
    ]


def test_a_name_of_no_server_is_refused(tmp_path: Path) -> None:
    declared = settings(tmp_path)
    environ = {"HOME": str(tmp_path), "PGSERVICEFILE": str(tmp_path / "none")}

    with pytest.raises(ConfigurationError, match=r"^no server is called 'ci-11'; did you mean 'ci-1'\?$"):
        choose_servers(declared, ["ci-1", "ci-11"], environ=environ)
    with pytest.raises(ConfigurationError, match=r"^no server fits 'x\*'; known names: ci-2, ci-1$"):
        choose_servers(declared, ["x*"], environ=environ)
    with pytest.raises(ConfigurationError, match=r"declare servers in \[tool\.pgwatch-tests\.servers\]"):
        choose_servers(settings(tmp_path, ""), ["*"], environ=environ)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('servers = "x"', "must be a table"),
        ("[tool.pgwatch-tests.servers]\na = 1", "must be a connection string, or a table with dsn"),
        ("[tool.pgwatch-tests.servers]\na = { databases = [] }", "must be a connection string, or a table"),
        ('[tool.pgwatch-tests.servers]\na = { dsn = "", jobs = 1 }', "unknown setting 'jobs'"),
        (
            '[tool.pgwatch-tests.servers]\na = { dsn = "", databases = "x" }',
            "must be a list of names or globs",
        ),
        ('[tool.pgwatch-tests.servers]\n"a,b" = ""', "has no comma"),
        ('[tool.pgwatch-tests.servers]\n"a*" = ""', "has no comma"),
    ],
)
def test_what_is_no_server(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        settings(tmp_path, text if text.startswith("[") else f"[tool.pgwatch-tests]\n{text}")
