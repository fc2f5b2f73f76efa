"""Each rule on Python: what it finds, and what looks alike and is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint.suites import checked

WRONG = {
    "a model": ("def test_a(session):\n    session.add(User(email='a@b.example'))", "static-identity"),
    "a model in a variable": (
        "def test_a(session):\n    user = User(email='a@b.example')\n    session.add(user)",
        "static-identity",
    ),
    "core": ("def test_a(c):\n    c.execute(insert(User).values(email='a@b.example'))", "static-identity"),
    "SQL": (
        "def test_a(cur):\n    cur.execute('INSERT INTO users (email) VALUES (%s)', ('a@b.example',))",
        "static-identity",
    ),
    "named parameters": (
        (
            "def test_a(c):\n    c.execute(text('INSERT INTO users (email) VALUES (:mail)'), {'mail': "
            "'a@b.example'})"
        ),
        "static-identity",
    ),
    "key": ("def test_a(cur):\n    cur.execute('INSERT INTO posts (id) VALUES (1)')", "fixed-key"),
    "TRUNCATE": ("import pytest\n@pytest.fixture\ndef db(c):\n    c.execute('TRUNCATE users')", "wiped-rows"),
    "DELETE": ("def setup_function():\n    cursor.execute('DELETE FROM users')", "wiped-rows"),
    "drop_all": (
        "import pytest\n@pytest.fixture\ndef db(e):\n    yield\n    Base.metadata.drop_all(e)",
        "wiped-rows",
    ),
    "delete of SQLAlchemy": (
        "import pytest\n@pytest.fixture\ndef db(s):\n    s.execute(delete(User))",
        "wiped-rows",
    ),
    "sleep": ("import time\ndef test_a():\n    time.sleep(1)", "sleep"),
    "async sleep": ("import asyncio\nasync def test_a():\n    await asyncio.sleep(0.5)", "sleep"),
    "in a fixture": (
        "import pytest, time\n@pytest.fixture\ndef server():\n    time.sleep(2)\n    yield",
        "sleep",
    ),
    "clean-up": (
        "def test_a(cur):\n    cur.execute('INSERT INTO posts (title) VALUES (%s)', (t,))\n    assert ask()\n"
        "    cur.execute('DELETE FROM posts WHERE title = %s', (t,))",
        "cleanup-in-test",
    ),
    "patched": (
        "from unittest.mock import patch\n@patch('app.db.get_session')\ndef test_a(m): ...",
        "mocked-database",
    ),
    "mock of a session": (
        (
            "from unittest.mock import MagicMock\nfrom sqlalchemy.orm import Session\ndef test_a():\n"
            "    s = MagicMock(spec=Session)"
        ),
        "mocked-database",
    ),
    "order": ("import pytest\n@pytest.mark.order(2)\ndef test_a(): ...", "order-dependence"),
    "global": (
        "USER = None\ndef test_a():\n    global USER\n    USER = make()\ndef test_b():\n    assert USER",
        "order-dependence",
    ),
    "search_path": (
        "def test_a(session):\n    session.execute(text('SET search_path TO x'))",
        "search-path-on-pool",
    ),
    "advisory key": (
        "def test_a(cur):\n    cur.execute('SELECT pg_advisory_lock(42)')",
        "static-advisory-key",
    ),
    "all tests' rows": (
        (
            'def test_a(cur):\n    cur.execute("SELECT count(*) FROM users WHERE email LIKE '
            "'%@test.example.com'\")"
        ),
        "shared-count",
    ),
    "name": (
        "import os\nNAME = os.environ.get('PYTEST_CURRENT_TEST')\ndef test_a(): ...",
        "test-name-outside-test",
    ),
    "race": (
        "import asyncio\nasync def test_a():\n    async def book():\n        try:\n            await do()\n"
        "        except Exception:\n            return None\n"
        "    all = await asyncio.gather(book(), book(), return_exceptions=True)\n"
        "    assert sum(isinstance(one, Exception) for one in all) == 1",
        "swallowed-race",
    ),
}
RIGHT = {
    "unique": "def test_a(session):\n    session.add(User(email=f'{uuid4()}@b.example'))",
    "Django": (
        "from django.test import TestCase\nclass A(TestCase):\n    def test_a(self):\n"
        "        User.objects.create(email='a@b.example')"
    ),
    "polling": "import time\ndef test_a():\n    while not done():\n        time.sleep(0.1)",
    "a worker": "import time\ndef test_a():\n    def work():\n        time.sleep(1)\n    start(work)",
    "a helper": "import time\ndef wait_a_bit():\n    time.sleep(1)",
    "is interrupted": (
        "import asyncio\nasync def test_a():\n    with pytest.raises(TimeoutError):\n"
        "        await asyncio.sleep(5)"
    ),
    "patched sleep": (
        "import time\ndef test_a(monkeypatch):\n    monkeypatch.setattr(time, 'sleep', print)\n"
        "    time.sleep(5)"
    ),
    "a turn of the loop": "import asyncio\nasync def test_a():\n    await asyncio.sleep(0)",
    "own rows": "def teardown_function():\n    cursor.execute('DELETE FROM users WHERE id = %s', (user,))",
    "own session": (
        "def test_a(monkeypatch, session):\n    monkeypatch.setattr('app.db.get_session', lambda: session)"
    ),
    "one connection": "def test_a(conn):\n    conn.execute('SET search_path TO x')",
    "a connection's start": (
        "@event.listens_for(engine, 'connect')\ndef at_start(dbapi, record):\n"
        "    dbapi.execute('SET search_path TO x')"
    ),
    "SQLite by itself": "def test_a():\n    create_engine('sqlite://')",
    "own key": "def test_a(cur):\n    cur.execute('SELECT pg_advisory_xact_lock(%s)', (key,))",
    "deleted by the ORM": (
        "def test_a(s):\n    s.add(User(name=n))\n    assert ask()\n    s.delete(user)\n    s.flush()"
    ),
    "checked by a function": (
        "def test_a(s):\n    s.add(User(name=n))\n    assert ask()\n    s.delete(user)\n    s.commit()\n"
        "    eq_(s.scalar(ask()), 0)"
    ),
    "a session on a connection": (
        "def test_a(connection):\n    s = Session(connection)\n    s.add(User(id=1, email='a@b.example'))"
    ),
    "models of the file's own": (
        "Base = declarative_base()\ndef test_a(s):\n    s.add(User(id=1, email='a@b.example'))"
    ),
    "a statement that is compared": (
        "def test_a():\n    assert_compile(insert(t).values(id=1), 'INSERT INTO t (id) VALUES (:id)')"
    ),
    "a statement whose text is looked at": (
        "def test_a():\n    made = insert(t).values(id=1)\n    assert str(made.compile()) == 'INSERT'"
    ),
    "a function with db in its name": (
        "from unittest.mock import patch\n@patch('app.usage.get_usage_from_local_db')\ndef test_a(m): ..."
    ),
    "a spy": (
        "from unittest import mock\ndef test_a():\n"
        "    with mock.patch('psycopg2.connect', wraps=connect): ..."
    ),
    "a word in a comment": (
        "def test_a():\n    global dialect\n    dialect = make()\n"
        "def test_b():\n    # begins with the dialect\n    assert ask('dialect')"
    ),
    "a class of its own": (
        "def test_a():\n    global A\n    A = make()\ndef test_b():\n    class A: ...\n    assert A"
    ),
    "a pause until it expires": (
        "import time\ndef test_a():\n    put(ttl=1)\n    time.sleep(2)\n    assert not get()"
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_it_is_found_once(name: str, tmp_path: Path) -> None:
    text, rule = WRONG[name]
    report = checked(tmp_path, {"test_a.py": text + "\n"})
    assert [one.rule for one in report.findings] == [rule], report.findings


@pytest.mark.parametrize("name", RIGHT)
def test_it_is_quiet(name: str, tmp_path: Path) -> None:
    files = {"test_a.py": RIGHT[name] + "\n"}
    if name == "Django":
        files["manage.py"] = ""
    report = checked(tmp_path, files)
    assert [(one.rule, one.message) for one in report.findings] == []
    assert report.not_read == ()


TEST = "def test_a(session):\n    session.add(User(email='a@b.example'))\n"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, ["static-identity"]),
        ({"conftest.py": "def session(worker_id): ...\n"}, []),
        ({"conftest.py": "def session(tmp_path):\n    return sqlite3.connect(tmp_path / 'cache.db')\n"}, []),
        (
            {
                "tests/conftest.py": "pytest_plugins = ['tests.plugins.database']\n",
                "tests/plugins/database.py": "import testcontainers\n",
            },
            [],
        ),
        (
            {
                "tests/conftest.py": "from tests.own import *\n",
                "tests/own.py": "def session(c):\n    yield c\n    c.rollback()\n",
            },
            [],
        ),
        (
            {"pyproject.toml": "dependencies = ['psycopg']\n", "conftest.py": "URL = 'postgresql://'\n"},
            ["static-identity"],
        ),
    ],
    ids=["nothing", "a worker's own", "SQLite", "a plugin", "rolled back", "shared"],
)
def test_fixtures_are_followed(files: dict[str, str], found: list[str], tmp_path: Path) -> None:
    report = checked(tmp_path, {"tests/api/test_a.py": TEST, **files})
    assert [one.rule for one in report.findings] == found


def test_sqlite_beside_postgresql_stands_in_for_nothing(tmp_path: Path) -> None:
    conftest = "from sqlalchemy import create_engine\nURLS = ['postgresql://']\nengine = create_engine('sqlite://')\n"
    one_test = "def test_a():\n    engine = create_engine('sqlite://')\n"
    files = {"pyproject.toml": "dependencies = ['asyncpg']\n", "tests/test_a.py": one_test}
    assert checked(tmp_path, {**files, "tests/conftest.py": conftest}).findings == ()


def test_sqlite_stands_in_for_postgresql_where_the_project_has_a_driver_of_that(tmp_path: Path) -> None:
    test = "from sqlalchemy import create_engine\nengine = create_engine('sqlite://')\n"
    report = checked(tmp_path, {"tests/conftest.py": test, "pyproject.toml": "dependencies = ['asyncpg']\n"})
    assert [one.rule for one in report.findings] == ["mocked-database"]
