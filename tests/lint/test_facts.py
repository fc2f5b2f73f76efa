"""What a database and a leaks document decide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.lint.facts import DatabaseKeys, LeakedByTests, LeakedRows, load_leaks
from pgwatch_tests.lint.facts import test_file as file_of
from tests.lint.suites import checked

KEYS = DatabaseKeys(
    columns=frozenset(
        {
            ("users", "email"),
            ("users", "id"),
            ("recipients", "email"),
            ("categories", "slug"),
            ("user_logins", "clerk_id"),
        }
    ),
    unique=frozenset({("users", "email"), ("users", "id"), ("user_logins", "clerk_id")}),
    references=frozenset({("bookings", "users"), ("profiles", "users"), ("users", "users")}),
)
SUITE = """
test('a', async () => {
  await prisma.user.create({ data: { id: 1, email: 'a@b.example' } })
  await prisma.recipient.create({ data: { email: 'a@b.example' } })
  await db.insert(unknown).values({ clerkId: 'a' })
})
afterEach(() => pool.query('TRUNCATE users'))
afterAll(() => pool.query('TRUNCATE recipients'))
"""


def test_names_of_source_are_those_of_tables() -> None:
    for name in ("users", "User", "usersTable", "public.users", "UserModel"):
        assert KEYS.is_unique(name, "email") is True, name
    assert KEYS.is_unique("Recipient", "email") is False
    assert KEYS.is_unique("elsewhere", "email") is None, "unique in one table, not in the other"
    assert KEYS.is_unique("elsewhere", "clerkId") is True, "unique wherever it is"
    assert KEYS.is_unique("users", "nothing") is None
    assert KEYS.referring("User") == ["bookings", "profiles"]


def test_keys_decide_the_severity(tmp_path: Path) -> None:
    without = {(one.rule, one.line, one.severity) for one in checked(tmp_path, {"a.test.ts": SUITE}).findings}
    report = checked(tmp_path, {"a.test.ts": SUITE}, KEYS)
    assert {severity for _, _, severity in without} == {"warning"}
    assert [(one.rule, one.line, one.severity) for one in report.findings] == [
        ("fixed-key", 3, "error"),
        ("static-identity", 3, "error"),
        ("static-identity", 4, "info"),
        ("static-identity", 5, "error"),
        ("wiped-rows", 7, "error"),
        ("wiped-rows", 8, "warning"),
    ]
    assert "bookings, profiles refer to it" in report.findings[4].message
    assert len(report.failing) == 5


def test_under_a_rollback_only_keys_can_tell(tmp_path: Path) -> None:
    suite = {
        "test_a.py": "def test_a(session):\n    session.add(User(email='a@b.example'))\n",
        "conftest.py": "def session(c):\n    yield c\n    c.rollback()\n",
    }
    assert checked(tmp_path, suite).findings == ()
    [found] = checked(tmp_path, suite, KEYS).findings
    assert (found.severity, "waits until the other one has rolled back" in found.message) == ("error", True)


DOCUMENT = {
    "schema": "pgwatch-tests.leaks/1",
    "tables": [
        {
            "schema": "public",
            "table": "users",
            "attribution": [
                {"test": "tests/test_a.py::test_leaks[x-1]", "confidence": "marker", "rows": 2},
                {"test": "tests/test_a.py::test_guessed", "confidence": "1 of 3", "rows": 1},
                {"test": None, "confidence": "unknown", "rows": 1},
                {"test": "tests/b.test.ts > users > leaks", "confidence": "transaction", "rows": 1},
            ],
        }
    ],
}
LEAKING = {
    "repo/tests/test_a.py": "def test_leaks(cur):\n    cur.execute('SELECT 1')\ndef test_guessed(): ...\n",
    "repo/tests/b.test.ts": (
        "describe('users', () => {\n  test('leaks', async () => { await db.insert(t).values({ a }) })\n})\n"
    ),
    "repo/tests/c.test.ts": "test('c', async () => { await db.insert(t).values({ a }) })\n",
}


def test_a_leaks_document_names_the_tests_that_leaked(tmp_path: Path) -> None:
    (tmp_path / "leaks.json").write_text(json.dumps(DOCUMENT), encoding="utf-8")
    leaks = load_leaks(tmp_path / "leaks.json")
    report = checked(tmp_path, LEAKING, leaks=leaks)
    assert [(Path(one.path).name, one.line, one.rule, one.severity) for one in report.findings] == [
        ("b.test.ts", 2, "no-cleanup", "error"),
        ("c.test.ts", 1, "no-cleanup", "info"),
        ("test_a.py", 1, "no-cleanup", "error"),
    ]
    assert "Left 2 rows in public.users" in report.findings[2].message
    many = {"schema": "pgwatch-tests.leaks-of-databases/1", "databases": [DOCUMENT, DOCUMENT]}
    (tmp_path / "leaks.json").write_text(json.dumps(many), encoding="utf-8")
    assert len(load_leaks(tmp_path / "leaks.json").rows) == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "isn't JSON"),
        ("[]", "isn't the document"),
        ('{"schema": "pgwatch-tests.locks/1"}', "isn't the document"),
        ('{"schema": "pgwatch-tests.leaks/1", "tables": [{}, 1]}', "damaged"),
        ('{"schema": "pgwatch-tests.leaks/1"}', "damaged"),
    ],
)
def test_a_document_of_something_else_is_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=why):
        load_leaks(tmp_path / "x.json")
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_leaks(tmp_path / "y.json")


def test_the_file_of_a_tests_id() -> None:
    assert file_of("tests/a.py::test_b[x::y]") == "tests/a.py"
    assert file_of("src/a.test.ts > describe > test") == "src/a.test.ts"
    assert file_of("[chromium] › e2e/a.spec.ts > describe > test") == "e2e/a.spec.ts"
    assert file_of("[chromium] e2e/a.spec.ts:3:1 > test") == "e2e/a.spec.ts"
    leaked = LeakedByTests("x", (LeakedRows("a.py::t", "t", 1),))
    assert leaked.of_file("tests/a.py")
    assert not leaked.of_file("tests/aa.py")
