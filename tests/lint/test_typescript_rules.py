"""Each rule on TypeScript: what it finds, and what looks alike and is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgwatch_tests.lint.rules import RULES
from tests.lint.suites import checked, places

WRONG = {
    "drizzle": (
        "test('a', async () => { await db.insert(users).values({ email: 'a@b.example' }) })",
        "static-identity",
    ),
    "prisma": (
        "test('a', async () => { await prisma.user.create({ data: { name: 'x', email: `a@b.example` } }) })",
        "static-identity",
    ),
    "by a constant": (
        "const email = 'a@b.example'\ntest('a', async () => { await knex('users').insert({ email }) })",
        "static-identity",
    ),
    "in SQL": (
        (
            "test('a', async () => { await pool.query('INSERT INTO users (email) VALUES ($1)', "
            "['a@b.example']) })"
        ),
        "static-identity",
    ),
    "nested by an ORM": (
        (
            "it('a', async () => { await prisma.user.create({ data: { logins: { create: { email: "
            "'a@b.example' } } } }) })"
        ),
        "static-identity",
    ),
    "key": ("test('a', async () => { await prisma.post.create({ data: { id: 7 } }) })", "fixed-key"),
    "key in SQL": (
        "test('a', async () => { await client.query(\"INSERT INTO posts (id, title) VALUES (7, 'x')\") })",
        "fixed-key",
    ),
    "deleteMany": ("beforeEach(async () => { await prisma.user.deleteMany({}) })", "wiped-rows"),
    "delete without where": (
        "import { users } from './schema'\nafterAll(async () => { await db.delete(users) })",
        "wiped-rows",
    ),
    "TRUNCATE": ("beforeEach(() => pool.query('TRUNCATE users CASCADE'))", "wiped-rows"),
    "tagged": ("beforeEach(async () => { await sql`DELETE FROM users` })", "wiped-rows"),
    "knex del": ("afterEach(() => knex('users').del())", "wiped-rows"),
    "all tests' marker": (
        "afterEach(() => pool.query(\"DELETE FROM users WHERE email LIKE '%@test.example.com'\"))",
        "wiped-rows",
    ),
    "sleep": ("test('a', async () => { await sleep(500) })", "sleep"),
    "promise": ("test('a', async () => { await new Promise((r) => setTimeout(r, 500)) })", "sleep"),
    "playwright": ("test('a', async ({ page }) => { await page.waitForTimeout(1_000) })", "sleep"),
    "in a step": (
        "test('a', async () => { await test.step('b', async () => { await delay(300) }) })",
        "sleep",
    ),
    "mock": ("vi.mock('@/lib/db', () => ({}))", "mocked-database"),
    "package": ("jest.mock('pg')", "mocked-database"),
    "pg-mem": ("import { newDb } from 'pg-mem'\nconst db = newDb()", "mocked-database"),
    "serial": ("test.describe.serial('a', () => {})", "order-dependence"),
    "serial mode": ("test.describe.configure({ mode: 'serial' })", "order-dependence"),
    "shared variable": (
        (
            "let id: number\ntest('a', async () => { id = await make() })\n"
            "test('b', async () => { await use(id) })"
        ),
        "order-dependence",
    ),
    "search_path": ("beforeAll(() => pool.query('SET search_path TO x'))", "search-path-on-pool"),
    "advisory key": ("test('a', () => client.query('SELECT pg_advisory_lock(42)'))", "static-advisory-key"),
    "advisory parameter": (
        "test('a', () => client.query('SELECT pg_advisory_lock($1)', [42]))",
        "static-advisory-key",
    ),
    "race": (
        "test('a', async () => {\n  const all = await "
        "Promise.allSettled(xs.map(x => "
        "book(x).catch(e => e)))\n"
        "  expect(all.filter(r => r.status === 'rejected')).toHaveLength(1)\n})",
        "swallowed-race",
    ),
}

RIGHT = {
    "unique": (
        "test('a', async () => { await db.insert(users).values({ email: `a-${randomUUID()}@b.example` }) })"
    ),
    "upsert": (
        "test('a', async () => { await db.insert(users).values({ "
        "email: 'a@b.example' "
        "}).onConflictDoNothing() })"
    ),
    "a form": "test('a', async ({ page }) => { await page.fill('#email', 'a@b.example') })",
    "no person": (
        "test('a', async () => { await prisma.recipient.create({ data: { email: 'a@b.example' } }) })"
    ),
    "never sent": "const q = db.insert(users).values({ id: 1, email: 'a@b.example' })",
    "JSON in a column": (
        "test('a', async () => { await prisma.field.create({ data: { meta: { values: [{ id: 1 }] } } }) })"
    ),
    "temporary": "test('a', async () => {\n  await c.query('CREATE TEMP TABLE t (id int)')\n"
    "  await c.query('INSERT INTO t (id) VALUES (1)')\n})",
    "own rows": "afterEach(() => db.delete(users).where(eq(users.id, id)))",
    "a set": "afterEach(() => { seen.delete(key); cache.clear() })",
    "several own rows": "afterEach(() => prisma.user.deleteMany({ where: { id } }))",
    "a store of state": "afterEach(() => useUserStore.getState().deleteMany())",
    "a database of a worker": (
        "const name = `test_${process.env.VITEST_POOL_ID}`\nbeforeEach(() => pool.query('TRUNCATE users'))"
    ),
    "polling": "test('a', async () => { while (!done()) { await sleep(100) } })",
    "a stub": "test('a', async () => { vi.fn(async () => { await sleep(100) }) })",
    "latency": (
        "test('a', async ({ page }) => { await page.route('**', "
        "async (r) => { await sleep(100); "
        "r.continue() }) })"
    ),
    "a helper": "export const delay = async (ms: number) => { await new Promise((r) => setTimeout(r, 500)) }",
    "fake timers": "test('a', async () => { vi.useFakeTimers(); await sleep(500) })",
    "a time limit": (
        "test('a', async () => { await Promise.race([work(), new Promise((_, no) => setTimeout(no, 500))]) })"
    ),
    "another mock": "vi.mock('@/lib/mail')\nvi.mock('../dbt-cloud')",
    "set by a hook": (
        "let id\nbeforeEach(() => { id = 1 })\ntest('a', () => { id = 2 })\ntest('b', () => { use(id) })"
    ),
    "set if missing": (
        "let db\ntest('a', () => { db = open() })\ntest('b', () => { if (!db) db = open(); use(db) })"
    ),
    "of AVA": "import test from 'ava'\ntest.serial('a', (t) => {})",
    "one connection": (
        "test('a', async () => { const client = await "
        "pool.connect(); await client.query('SET "
        "search_path TO x') })"
    ),
    "each connection": "pool.on('connect', (c) => c.query('SET search_path TO x'))",
    "local": "test('a', () => pool.query('SET LOCAL search_path TO x'))",
    "own key": "test('a', () => client.query('SELECT pg_advisory_xact_lock($1)', [key]))",
    "once": "beforeAll(() => client.query('SELECT pg_advisory_lock(42)'))",
    "thrown again": "test('a', async () => {\n  const all = await "
    "Promise.allSettled(xs.map(x => f(x).catch(e "
    "=> { throw wrap(e) })))\n"
    "  expect(all.filter(r => r.status === 'rejected')).toHaveLength(1)\n})",
    "a regular expression": "const ok = /a/.test('b')",
    "timestamps that differ": (
        "test('a', async () => {\n  await rows.create({ n: 1 })\n  await sleep(20)\n"
        "  await rows.create({ n: 2 })\n})"
    ),
    "the clock": "test('a', async () => {\n  await sleep(1000)\n  const now = Date.now()\n})",
    "what expires": (
        "test('a', async () => {\n  await cache.set('k', 1, { ttl: 1 })\n  await sleep(1500)\n"
        "  expect(await cache.get('k')).toBeNull()\n})"
    ),
    "a comment on the clock": (
        "test('a', async () => {\n  // so that updatedAt has another value\n"
        "  await sleep(20)\n  await act()\n})"
    ),
    "a timer of a callback": (
        "test('a', async () => {\n"
        "  const m = new Manager({ onChange: async () => { await setTimeout(10) } })\n})"
    ),
    "a builder": (
        "test('a', () => {\n"
        "  const { text } = new QueryBuilder().table('users').delete().where('id', 1).build()\n})"
    ),
    "a relation's rows": "afterEach(() => arnold.$relatedQuery('parent').delete())",
    "found by a key": "afterEach(() => Person.query().findOne('name', 'x').delete())",
    "SQL that is compared": (
        "test('a', () => {\n  const expected = sql`DELETE FROM users`\n  expect(built).toEqual(expected)\n})"
    ),
    "SQL that is formatted": "test('a', () => { check(format(sql`INSERT INTO foo VALUES (1)`)) })",
    "a request": (
        "import { schema } from './s'\ntest('a', async () => { await connectorRequest.delete('/users/id') })"
    ),
    "one of a set": "import { schema } from './s'\nafterEach(() => { api.connectorInstances.delete(id) })",
    "a database of the file's own": (
        "import { getConnections } from 'pgsql-test'\nafterEach(() => pg.query('DELETE FROM users'))"
    ),
    "a table of the file's own": (
        "beforeAll(() => pool.query('CREATE TABLE people (id int PRIMARY KEY, email text)'))\n"
        "test('a', () => pool.query(\"INSERT INTO people (id, email) VALUES (1, 'a@b.example')\"))"
    ),
    "half of a tenant's key": (
        "test('a', async () => { await prisma.item.create({ data: { id: '1', projectId: project } }) })"
    ),
    "a connection by another name": "test('a', () => source.query('SET search_path TO x'))",
    "a driver": "test('a', () => driver.query('SET search_path TO x'))",
    "a counter": ("let id = 0\ntest('a', () => { make(++id) })\ntest('b', () => { make(++id) })"),
}
HOOK = "\nafterEach(() => cleanup())\n"
"""So that the rule on clean-up is quiet."""


@pytest.mark.parametrize("name", WRONG)
def test_it_is_found_once(name: str, tmp_path: Path) -> None:
    text, rule = WRONG[name]
    report = checked(tmp_path, {"a.test.ts": text + HOOK})
    assert [one.rule for one in report.findings] == [rule]
    expected = "warning" if RULES[rule].is_proven else "info"
    assert all(one.help and one.severity == expected for one in report.findings)


@pytest.mark.parametrize("name", RIGHT)
def test_it_is_quiet(name: str, tmp_path: Path) -> None:
    report = checked(tmp_path, {"a.test.ts": RIGHT[name] + HOOK})
    assert [(one.rule, one.message) for one in report.findings] == []
    assert report.not_read == ()


INSERT = "await db.insert(t).values({ a })"
CONFIG = "export default defineConfig({ test: { setupFiles: ['./prepare.ts'] } })"


def test_clean_up_in_hooks_set_up_files_and_bodies(tmp_path: Path) -> None:
    body = f"test('a', async () => {{ {INSERT} }})\n"
    remove = "await db.delete(t).where(x)"
    with_set_up = {"a.test.ts": body, "vitest.config.ts": CONFIG}
    suites = {
        "none": {"a.test.ts": body},
        "hook": {"a.test.ts": body + "afterEach(() => resetDatabase())"},
        "mocks only": {"a.test.ts": body + "afterEach(() => vi.clearAllMocks())"},
        "set-up file": {**with_set_up, "prepare.ts": "afterEach(() => pool.query('TRUNCATE t'))"},
        "rollback": {**with_set_up, "prepare.ts": "afterEach(() => client.query('ROLLBACK'))"},
        "own": {"a.test.ts": f"test('a', async () => {{ {INSERT}\n expect(1)\n {remove}\n }})"},
        "finally": {
            "a.test.ts": f"test('a', async () => {{ try {{ {INSERT}\n expect(1) }} finally {{ {remove} }} }})"
        },
        "subject": {
            "a.test.ts": f"test('a', async () => {{ {INSERT}\n expect(1)\n {remove}\n expect(2)\n }})"
        },
    }
    found = {}
    for name, files in suites.items():
        (tmp_path / name).mkdir()
        report = checked(tmp_path / name, files)
        found[name] = [rule for rule, _ in places(report.findings) if rule != "wiped-rows"]
    assert found == {
        "none": ["no-cleanup"],
        "hook": [],
        "mocks only": ["no-cleanup"],
        "set-up file": [],
        "rollback": [],
        "own": ["cleanup-in-test"],
        "finally": [],
        "subject": [],
    }


def test_a_value_that_tests_share_is_one_finding(tmp_path: Path) -> None:
    text = (
        "const rows = [{ id: 1 }]\n"
        + "test('a', async () => { await prisma.t.createMany({ data: rows }) })\n" * 3
    )
    assert places(checked(tmp_path, {"a.test.ts": text + HOOK}).findings) == [("fixed-key", 1)]


def test_the_test_and_the_line_of_code_are_told(tmp_path: Path) -> None:
    text = (
        "describe('users', () => {\n  it('signs up', async () => {\n    await sleep(500) // long\n  })\n})\n"
    )
    [one] = checked(tmp_path, {"a.test.ts": text}).findings
    assert (one.line, one.column, one.test) == (3, 11, "users > signs up")
    assert one.code == "await sleep(500) // long"
