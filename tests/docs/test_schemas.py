"""docs/schemas: what each command writes as JSON is what its schema says, no field more and none less."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import pgwatch_tests
from pgwatch_tests.junit.summary import FindingKind
from pgwatch_tests.leaks.model import Confidence, LeftoverKind
from pgwatch_tests.locks.model import EdgeKind
from pgwatch_tests.settings.jobs import JobAction, SweepKind
from pgwatch_tests.sweep.model import KeptReason
from pgwatch_tests.testing import token
from tests.cli.running import environment, pgwatch
from tests.servers.sessions import Connect, Database, blocked

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schemas"
SCHEMAS: Mapping[str, Any] = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
BOOKS = "tests/test_booking.py::test_books"
SUITE = """
<testsuite name="pytest" tests="2" timestamp="2026-11-24T19:01:39+00:00">
<testcase classname="tests.test_booking" name="test_books" time="0.4"/>
<testcase classname="tests.test_booking" name="test_fails" time="0.5"><failure message="no">why</failure>
</testcase></testsuite>
"""


def strict(schema: Any) -> Any:
    """The schema without room for fields that it doesn't name, as those who wrote it see it."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: strict(value) for key, value in schema.items()}
    closed = "properties" in inner and "additionalProperties" not in inner
    return {"unevaluatedProperties": False, **inner} if closed else inner


def faults(document: Any) -> list[str]:
    """What a document says that its schema doesn't, with the place."""
    name = document["schema"].removeprefix("pgwatch-tests.").replace("/", "-") + ".json"
    known: Registry[Any] = Registry().with_resources(
        (file, Resource.from_contents(schema)) for file, schema in SCHEMAS.items()
    )
    validator = Draft202012Validator(strict(SCHEMAS[name]), registry=known)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


@pytest.fixture
def suite(home: Path, database: Database, connect: Connect) -> Path:
    """A repository whose suite has left rows and a schema, and that has a server to name and a job."""
    owner = connect(autocommit=True)
    owner.execute("CREATE TABLE users (id serial PRIMARY KEY, email text UNIQUE, note xml)")
    email = f"user-1717171717171-{token(BOOKS)}-x7f3@test.example.com"
    owner.execute("INSERT INTO users (email) VALUES (%s), ('b@test.example.com')", [email])
    owner.execute("CREATE SCHEMA test_1717171717171_4711_5e6f7a8b")
    (home / "pyproject.toml").write_text(
        f'[tool.pgwatch-tests]\ndsn = "{database.dsn}"\ntests = "tests.txt"\nhistory = "history.sqlite3"\n'
        f'[tool.pgwatch-tests.servers]\nci-1 = "{database.dsn}"\n'
        '[tool.pgwatch-tests.schedule.nightly]\nevery = "1d"\nmin_age = "0s"\ndry_run = true\n'
    )
    (home / "tests.txt").write_text(f"{BOOKS}\n")
    (home / "junit.xml").write_text(SUITE)
    (home / "a.test.ts").write_text("test\n")
    (home / "test_booking.py").write_text("import time\n\n\ndef test_books():\n    time.sleep(3)\n")
    return home


def documents(home: Path, python: str, database: Database) -> Iterator[Any]:
    """Yields what the commands write, of a server on which something is blocked."""

    def printed(*arguments: str) -> Any:
        done = pgwatch(home, *arguments, "--format", "json")
        assert done.returncode in (0, 1, 4), done.stderr
        return json.loads(done.stdout)

    def alone(*arguments: str) -> None:
        command = [python, "-m", "pgwatch_tests", *arguments]
        done = subprocess.run(
            command, cwd=home, env=environment(), timeout=60, capture_output=True, text=True
        )
        assert done.returncode in (0, 1, 4), done.stderr

    yield printed("locks")
    yield printed("sessions")
    yield printed("locks", "--watch", "1")
    yield printed("leaks", "--kinds", "all", "--tests", "tests.txt", "--transactions", ".")
    yield printed("leaks", "--databases", database.name)
    yield printed("leaks", "--servers", "ci-1")
    pgwatch(home, "leaks", "--write-accept", "accepted.json")
    yield json.loads((home / "accepted.json").read_text())
    yield printed("leaks", "--accept", "accepted.json")
    pgwatch(home, "baseline", "--content", "-o", "baseline.json")
    yield json.loads((home / "baseline.json").read_text())
    yield printed("leaks", "--since", "baseline.json")
    yield printed("sweep", "--min-age", "0s")
    yield printed("sweep", "--yes", "--only", "schemas", "--min-age", "0s")
    yield printed("sweep", "--databases", database.name)
    yield printed("sweep", "--history")
    # It handles signals, and goes on doing so.
    alone("schedule", "now", "nightly")
    yield printed("schedule", "list")
    yield printed("doctor")
    yield printed("lint", ".")
    yield printed("junit", "junit.xml", "--shards", "unit:2")
    split = ("--split", "1", "--shard", "1", "--for", "vitest", "--history", ".", "--plan", "plan.json")
    pgwatch(home, "junit", *split, "a.test.ts")
    yield json.loads((home / "plan.json").read_text())

    alone("run", "--store", "--fail-on", "rows", "--", python, "-c", "pass")
    yield json.loads((home / "pgwatch-results" / "run.json").read_text())
    yield printed("report", "pgwatch-results")
    alone("record", "--servers", "ci-1", "--for", "1s", "-o", "recordings/")
    yield printed("report", "recordings")
    yield printed("report", "recordings", "--servers", "ci-1")
    yield printed("history")
    yield printed("history", "--trend")


def test_each_document_is_as_its_schema_says(
    suite: Path, python: str, database: Database, connect: Connect
) -> None:
    holder, waiter = connect(f"pytest:gw0 {BOOKS}"), connect("pytest:gw1 tests/test_b.py::test_waits")
    holder.execute("UPDATE users SET note = NULL")
    blocked(waiter, "DELETE FROM users")

    written = list(documents(suite, python, database))

    assert [fault for one in written for fault in faults(one)] == []
    beside = {"transactions-1.json"}
    assert {f"{one['schema'].removeprefix('pgwatch-tests.').replace('/', '-')}.json" for one in written} == {
        *SCHEMAS
    } - beside


def test_the_first_line_of_a_log_of_transactions(python: str, home: Path, database: Database) -> None:
    (home / "test_a.py").write_text(
        "import os, psycopg\n\n\ndef test_a():\n    psycopg.connect(os.environ['PGWATCH_DSN']).close()\n"
    )
    run = [python, "-m", "pytest", "-q", "-p", "pgwatch", "--pgwatch=warn", "--pgwatch-log=logs"]
    extra = {"PGWATCH_DSN": database.dsn, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(run, cwd=home, env=environment(extra), timeout=60, capture_output=True, text=True)

    [log] = (home / "logs").glob("*.jsonl")
    first = json.loads(log.read_text().partition("\n")[0])
    assert first["schema"] == "pgwatch-tests.transactions/1", done.stdout
    assert faults(first) == []


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_one(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    title = f"pgwatch-tests.{name.removesuffix('-1.json')}/1"
    assert (schema["$id"], schema["title"], schema["properties"]["schema"]) == (name, title, {"const": title})
    assert schema["description"].endswith(".")


def test_each_document_has_a_schema() -> None:
    package = Path(pgwatch_tests.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    named = {f"{name}-1.json" for name in re.findall(r"pgwatch-tests\.([a-z-]+)/1\b", source)}
    # What the plugin's processes tell each other, in a file that is gone after the run.
    assert named - {"waits-1.json"} == set(SCHEMAS)


WORDS: list[tuple[str, str, object]] = [
    ("leaks-1", "leftovers.items.properties.kind", LeftoverKind),
    ("leaks-1", "tables.items.properties.attribution.items.properties.confidence", Confidence),
    ("sweep-1", "kept.items.properties.reason", KeptReason),
    ("sweep-1", "kinds.items", SweepKind),
    ("locks-1", "edges.items.properties.kind", EdgeKind),
    ("junit-1", "findings.items.properties.kind", FindingKind),
    ("schedule-1", "jobs.items.properties.action", JobAction),
]


@pytest.mark.parametrize(("name", "place", "words"), WORDS)
def test_words_are_those_of_the_code(name: str, place: str, words: object) -> None:
    schema = SCHEMAS[f"{name}.json"]["properties"]
    for step in place.split("."):
        schema = schema[step]
    assert schema["enum"] == list(get_args(words))


def test_a_field_that_no_schema_names_is_a_fault() -> None:
    found = faults({"schema": "pgwatch-tests.accepted/1", "findings": [], "more": 1})
    assert found == ["$: Unevaluated properties are not allowed ('more' was unexpected)"]
