"""`leaks --servers` and `sweep --servers` as people run them: one report, exit codes, no password."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pgwatch_tests.embedded.server import EmbeddedServer
from pgwatch_tests.fleet.shards import shard_of
from pgwatch_tests.record.recording.reader import Recording
from tests.cli.running import pgwatch
from tests.servers.databases import Databases

DEAD = "postgresql://ci:verysecret@127.0.0.1:1/app"


def declare(home: Path, servers: dict[str, str]) -> None:
    lines = "".join(f"{json.dumps(name)} = {value}\n" for name, value in servers.items())
    (home / "pyproject.toml").write_text(f"[tool.pgwatch-tests.servers]\n{lines}", encoding="utf-8")


def test_one_report_over_servers(server: EmbeddedServer, databases: Databases, home: Path) -> None:
    clean, leaking = databases.make("clean"), databases.make("leaking", 3)
    table = {"dsn": server.dsn(), "databases": [f"{databases.prefix}*"]}
    inline = f"{{ dsn = {json.dumps(table['dsn'])}, databases = {json.dumps(table['databases'])} }}"
    declare(home, {"ci-1": inline, "ci-2": json.dumps(server.dsn(clean)), "dead": json.dumps(DEAD)})
    service = f"[svc]\nhost={server.directory}/s\nuser=postgres\ndbname={leaking}\n"
    (home / "services").write_text(service, encoding="utf-8")
    extra = {"PGSERVICEFILE": str(home / "services"), "PGWATCH_HISTORY": str(home / "history.sqlite3")}

    def run(*arguments: str) -> tuple[int, str, str]:
        done = pgwatch(home, *arguments, extra=extra)
        assert "verysecret" not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    code, out, _ = run("leaks", "--servers", "*", "--fail", "--format", "json")
    document = json.loads(out)
    found = [(one["server"], one["database"], one["total"]) for one in document["databases"]]
    assert code == 1
    assert found == [("ci-1", clean, 0), ("ci-1", leaking, 3), ("ci-2", clean, 0), ("svc", leaking, 3)]
    assert [(one["server"], one["total"], one["complete"]) for one in document["servers"]] == [
        *(("ci-1", 3, True), ("ci-2", 0, True), ("dead", 0, False), ("svc", 3, True)),
    ]
    assert document["not_checked"][0]["reason"].startswith("cannot connect: ")
    assert document["shard"] is None
    assert run("leaks", "--servers", "ci-2,dead", "--fail")[0] == 4
    assert run("leaks", "--servers", "ci-2,dead")[0] == 0
    code, out, _ = run("leaks", "--servers", "dead", "--fail")
    assert (code, "no leaked rows in 0 databases on 0 servers; 1 server not checked at all" in out) == (
        3,
        True,
    )
    assert run("leaks", "--servers", "svc", "--databases", clean, "--fail")[0] == 0
    for part in (1, 2):
        code, out, _ = run(
            "leaks", "--servers", "ci-2,svc", "--servers-shard", f"{part}/2", "--format", "json"
        )
        expected = [name for name in ("ci-2", "svc") if shard_of(name, 2) == part]
        document = json.loads(out)
        assert [one["server"] for one in document["databases"]] == expected
        assert document["shard"] == f"{part}/2"

    code, out, _ = run("sweep", "--servers", "*", "--min-age", "0s", "--fail", "--format", "json")
    document = json.loads(out)
    # No name of a test's: the guard refuses each.
    assert (code, document["planned"]) == (2, 0)
    assert {one["server"] for one in document["not_swept"]} == {"ci-1", "ci-2", "dead", "svc"}
    entries = json.loads(run("sweep", "--history", "--format", "json")[1])["sweeps"]
    assert {one["server"] for one in entries} == {
        *(f"{server.directory}/s:5432", "service svc", "127.0.0.1:1")
    }


def test_parts_meet_in_the_history(server: EmbeddedServer, databases: Databases, home: Path) -> None:
    name = databases.make("leaking", 3)
    servers = [f"ci-{number}" for number in range(1, 10)]
    declare(home, {one: json.dumps(server.dsn(name)) for one in servers})
    extra = {"PGWATCH_HISTORY": str(home / "history.sqlite3"), "PGSERVICEFILE": str(home / "none")}

    def run(*arguments: str) -> tuple[int, dict[str, object], str]:
        done = pgwatch(home, "leaks", *arguments, "--format", "json", extra=extra)
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    assert run("--saved", "nightly")[0] == 4
    lost = [one for one in servers if shard_of(one, 3) == 2]
    assert lost
    for part in ("1/3", "3/3"):
        code, _, err = run("--servers", "ci-*", "--servers-shard", part, "--save", "nightly", "--max", "99")
        assert (code, err) == (0, "")
    code, document, _ = run("--saved", "nightly", "--servers", "ci-*", "--max", "99")
    assert code == 4
    assert document["not_checked"] == [
        {"server": one, "database": None, "reason": "part 2/3 hasn't reported"} for one in lost
    ]
    assert document["total"] == 3 * (9 - len(lost))
    run("--servers", "ci-*", "--servers-shard", "2/3", "--save", "nightly")
    code, document, _ = run("--saved", "nightly", "--max", "99")
    assert (code, document["total"], document["complete"]) == (0, 27, True)
    assert run("--saved", "nightly", "--fail")[0] == 1
    extra["PGWATCH_HISTORY"] = str(home / "pyproject.toml" / "x")
    code, document, err = run("--servers", "ci-1", "--save", "nightly", "--max", "9")
    assert (code, document["total"]) == (2, 3)
    assert "not saved: the history in" in err
    assert run("--servers", "ci-1", "--save", "nightly", "--fail")[0] == 1


def test_a_recording_per_server(server: EmbeddedServer, home: Path) -> None:
    declare(home, {"ci/1": json.dumps(server.dsn()), "dead": json.dumps(DEAD)})
    extra = {"PGSERVICEFILE": str(home / "none")}

    done = pgwatch(home, "record", "--servers", "*", "--for", "1s", "-o", "recordings", extra=extra)

    assert done.returncode == 0
    assert "ci/1: recording " in done.stderr
    assert "dead: not recording: cannot connect" in done.stderr
    assert "verysecret" not in done.stderr
    first, second = sorted((home / "recordings").iterdir())
    assert (first.name[:5], second.name[:5]) == ("ci_1-", "dead-")
    with Recording.open(first) as recording:
        assert recording.polls
        assert recording.is_whole
    with Recording.open(second) as recording:
        assert not recording.polls
    report = pgwatch(home, "report", "recordings", "--format", "json")
    assert report.returncode == 0, report.stderr
    assert "dead-" in report.stdout
    declare(home, {"ci/1": json.dumps(server.dsn()), "dead": json.dumps(DEAD), "new": json.dumps(DEAD)})
    extra["PGWATCH_HISTORY"] = str(home / "history.sqlite3")
    arguments = ("report", "--servers", "*", "recordings", "--save", "nightly", "--format", "json")
    report = pgwatch(home, *arguments, extra=extra)
    assert (report.returncode, report.stderr) == (0, "")
    document = json.loads(report.stdout)
    assert [one["server"] for one in document["servers"]] == ["ci/1"]
    assert [one["server"] for one in document["not_recorded"]] == ["dead", "new"]
    assert document["not_recorded"][0]["reason"].startswith("cannot connect: Connection refused")
    assert document["not_recorded"][1]["reason"] == "left no recording"
    assert document["total"]["recordings"] == 1
    saved = pgwatch(home, "report", "--saved", "nightly", "--format", "json", extra=extra)
    assert json.loads(saved.stdout) == document
    assert pgwatch(home, "report", "--saved", "other", extra=extra).returncode == 4
    gate = pgwatch(home, *arguments[:4], "--fail-on", "deadlock", extra=extra)
    assert (gate.returncode, "not checked: new: left no recording" in gate.stderr) == (4, True)
    gate = pgwatch(home, *arguments[:2], "ci/1", "recordings", "--fail-on", "deadlock", extra=extra)
    assert (gate.returncode, gate.stderr) == (0, "pgwatch-tests: 1 recording of other servers left out\n")
    none = pgwatch(home, "report", "--servers", "new", "recordings", extra=extra)
    assert (none.returncode, none.stderr.endswith("no recording is of new\n")) == (2, True)
    none = pgwatch(home, "record", "--servers", "dead", "--for", "500ms", "-o", "recordings", extra=extra)
    assert none.returncode == 3
    replacing = pgwatch(home, "record", "--servers", "dead", "--replace", "-o", "x", extra=extra)
    assert (replacing.returncode, (home / "x").exists()) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save", "x"], "--save needs --servers"),
        (["--saved", "x", "--databases", "y"], "--saved can't be combined with"),
        (["--saved", "x", "--servers", "nowhere"], "no server is called 'nowhere'"),
    ],
)
def test_what_doesnt_go_with_parts(home: Path, arguments: list[str], message: str) -> None:
    done = pgwatch(home, "leaks", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize("command", ["leaks", "sweep"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--servers", "nowhere"], "no server is called 'nowhere'; known names: ci-1"),
        (["--servers", ","], "names no server"),
        (["--servers-shard", "1/2"], "--servers-shard needs --servers"),
        (["--servers", "ci-1", "--servers-shard", "3/2"], "isn't a part such as 2/8"),
        (["--servers", "ci-1", "-d", "host=x"], "--dsn and --servers can't be combined"),
        (["--servers", "ci-1", "--since", "x.json"], "--since and --servers can't be combined"),
    ],
)
def test_what_doesnt_go_together(home: Path, command: str, arguments: list[str], message: str) -> None:
    declare(home, {"ci-1": json.dumps(DEAD)})

    done = pgwatch(home, command, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
