import { drizzle } from 'drizzle-orm/node-postgres'
import { drizzle as drizzleJs } from 'drizzle-orm/postgres-js'
import { sql } from 'drizzle-orm'
import pg from 'pg'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  applicationName,
  cleanUp,
  currentTest,
  race,
  templateDatabase,
  TestDatabase,
  TestSchema,
  uniqueEmail,
  uniqueId,
  withLock,
} from './pgwatch/pgwatch'
import { words } from './pgwatch/reporter'
import { pgwatchTests, unmarked } from './asking'

const url = process.env.DATABASE_URL ?? ''
const pool = new pg.Pool({ connectionString: url, max: 5 })
const db = drizzle(pool)
const js = postgres(url, { max: 3 })
const dbJs = drizzleJs(js)
const own = (): string => applicationName(currentTest()!)
const shown = async (): Promise<string> => (await pool.query('SHOW application_name')).rows[0].application_name
const add = async (email: string): Promise<number> =>
  (await pool.query('INSERT INTO users (email) VALUES ($1) RETURNING id', [email])).rows[0].id
const count = async (email: string): Promise<number> =>
  (await pool.query('SELECT FROM users WHERE email = $1', [email])).rowCount ?? 0
// As drizzle-kit writes it.
const migrations = [
  'CREATE TABLE "users" (id serial PRIMARY KEY, email text UNIQUE);--> statement-breakpoint',
  'CREATE TABLE "bookings" (id serial, user_id int, CONSTRAINT u FOREIGN KEY (user_id) REFERENCES "public"."users"("id"));',
]

afterAll(async () => {
  await pool.end()
  await js.end()
})

describe('names', () => {
  beforeAll(async () => {
    expect(await shown()).toMatch(/^vitest:\d+ tests\/booking\.test\.ts$/)
  })
  test('a pool, drizzle and a transaction', async () => {
    expect(currentTest()?.id).toBe('tests/booking.test.ts > names > a pool, drizzle and a transaction')
    expect(await shown()).toBe(own())
    await db.transaction(async (tx) => {
      expect((await tx.execute(sql`SHOW application_name`)).rows[0]?.application_name).toBe(own())
    })
  })
  test('postgres.js, its fragments, drizzle on it, and a transaction', async () => {
    const fragment = js`current_setting('application_name')`
    expect((await js`SELECT ${fragment} AS name, ${1}::int AS one`)[0]).toEqual({ name: own(), one: 1 })
    expect((await dbJs.execute(sql`SHOW application_name`))[0]?.application_name).toBe(own())
    const inside = await js.begin(async (tx) => (await tx`SHOW application_name`)[0]?.application_name)
    expect(inside).toBe(own())
    await expect(js`SELECT nonsense`).rejects.toThrow('nonsense')
    await expect(js.begin(async (tx) => tx`SELECT nonsense`)).rejects.toThrow('nonsense')
  })
  test('a name with ünïcode that does not fit into sixty-three bytes at all', async () => {
    expect(await shown()).toBe(own())
    expect(own()).toHaveLength(63)
  })
})

describe.concurrent('concurrent', () => {
  for (const number of [0, 1, 2, 3, 4])
    test(`number ${number}`, async ({ expect }) => {
      for (let turn = 0; turn < 8; turn++) {
        const [one] = (await pool.query("SELECT current_setting('application_name') AS name, pg_sleep(0.002)")).rows
        expect(one.name).toContain(`number ${number}`)
        expect((await js`SHOW application_name`)[0]?.application_name).toContain(`number ${number}`)
      }
      const client = await pool.connect()
      await client.query('BEGIN')
      await client.query('INSERT INTO users (email) VALUES ($1)', [unmarked(`concurrent-${number}`)])
      await client.query('COMMIT')
      client.release()
    })
})

describe('leaks', () => {
  test('a marked row', async () => {
    await add(uniqueEmail('left'))
  })
  test('a row without a mark, in a transaction', async () => {
    await db.transaction(async (tx) => {
      await tx.execute(sql`INSERT INTO users (email) VALUES (${unmarked('pg')})`)
    })
  })
  test('a row without a mark, by postgres.js', async () => {
    await js.begin(async (tx) => tx`INSERT INTO users (email) VALUES (${unmarked('js')})`)
  })
  test('nothing: it cleans up', async () => {
    onTestFinished(() => cleanUp(pool))
    const email = uniqueEmail('gone')
    await pool.query('INSERT INTO bookings (parent_id) VALUES ($1)', [await add(email)])
    expect(await count(email)).toBe(1)
    await cleanUp(pool)
    expect(await count(email)).toBe(0)
    await cleanUp(js, { tables: ['users'] })
  })
  test('nothing: rows that refer to each other go as well', async () => {
    const schema = await TestSchema.create([
      'CREATE TABLE staff (id serial PRIMARY KEY, email text, boss int REFERENCES staff)',
      'CREATE TABLE desks (id serial PRIMARY KEY, owner int REFERENCES staff)',
      'ALTER TABLE staff ADD desk int REFERENCES desks',
      'CREATE TABLE keys (desk int REFERENCES desks ON DELETE CASCADE, id serial PRIMARY KEY)',
      'CREATE TABLE copies (key int REFERENCES keys) PARTITION BY RANGE (key)',
      'CREATE TABLE copies_1 PARTITION OF copies FOR VALUES FROM (0) TO (100)',
    ])
    const isolated = new pg.Pool({ connectionString: schema.url })
    await isolated.query('INSERT INTO staff (email) VALUES ($1)', [uniqueEmail('boss')])
    await isolated.query("INSERT INTO staff (email, boss) VALUES (NULL, 1), (NULL, 2), (NULL, 3), ('stays', NULL)")
    await isolated.query('INSERT INTO desks (owner) VALUES (4), (5)')
    await isolated.query('UPDATE staff SET desk = 1 WHERE id = 1')
    await isolated.query('INSERT INTO keys VALUES (1), (2)')
    await isolated.query('INSERT INTO copies VALUES (1), (2)')
    await cleanUp(isolated)
    const left = await isolated.query(
      'SELECT (SELECT array_agg(id) FROM staff) s, (SELECT array_agg(id) FROM desks) d, (SELECT array_agg(id) FROM keys) k, (SELECT array_agg(key) FROM copies) c',
    )
    expect(left.rows[0]).toEqual({ s: [5], d: [2], k: [2], c: [2] })
    await isolated.end()
    await schema.drop()
  })
})

test('words of PGWATCH_COMMAND', () => {
  expect(words('uvx pgwatch-tests')).toEqual(['uvx', 'pgwatch-tests'])
  expect(words(`'/opt/our tools/python' -m "a \\"b\\"" C:\\tools\\x.exe one\\ word`)).toEqual([
    '/opt/our tools/python', '-m', 'a "b"', 'C:\\tools\\x.exe', 'one word',
  ])
  expect(words(`${process.cwd()}/own tools/python`)).toEqual([`${process.cwd()}/own tools/python`])
})

describe('isolation', () => {
  let schema: TestSchema
  beforeAll(async () => {
    schema = await TestSchema.create(migrations)
  })
  afterAll(() => schema.drop())

  test('each connection is in the schema, which no sweep takes', async () => {
    const isolated = new pg.Pool({ connectionString: schema.url, max: 6 })
    const where = await Promise.all(
      Array.from({ length: 6 }, () => isolated.query('SELECT current_schema() AS s, pg_backend_pid() AS p, pg_sleep(0.05)')),
    )
    expect(new Set(where.map((one) => one.rows[0].s))).toEqual(new Set([schema.name]))
    expect(new Set(where.map((one) => one.rows[0].p)).size).toBe(6)
    await isolated.query("INSERT INTO users (email) VALUES ('a@example.com')")
    await isolated.query('INSERT INTO bookings (user_id) VALUES (1)')
    await isolated.end()
    const sqlIn = postgres(schema.url, { max: 1 })
    expect((await sqlIn`SELECT current_schema() AS s`)[0]?.s).toBe(schema.name)
    await sqlIn.end()
    const swept = JSON.parse(pgwatchTests('sweep', '--yes', '--only', 'schemas', '--min-age', '0s', '--format', 'json'))
    expect(swept.schemas_dropped).not.toContain(schema.name)
  })
  test('a database of its own, from a template that is built once', async () => {
    const template = await templateDatabase(migrations)
    expect(await templateDatabase(migrations)).toBe(template)
    const isolated = await TestDatabase.create(template)
    const client = new pg.Client({ connectionString: isolated.url })
    await client.connect()
    expect((await client.query("INSERT INTO users (email) VALUES ('b@example.com') RETURNING id")).rowCount).toBe(1)
    await client.end()
    await isolated.drop()
    expect((await pool.query('SELECT FROM pg_database WHERE datname = $1', [isolated.name])).rowCount).toBe(0)
  })
})

describe('concurrency', () => {
  test('a race: one wins, and an error of another kind is thrown', async () => {
    onTestFinished(() => cleanUp(pool))
    const [parent, slot] = [await add(uniqueEmail('racer')), uniqueId('slot')]
    const book = (): Promise<unknown> => db.execute(sql`INSERT INTO bookings (parent_id, slot) VALUES (${parent}, ${slot})`)
    const { won, lost } = await race([book, book, book])
    expect([won.length, lost.length]).toEqual([1, 2])
    await expect(race([book, () => pool.query('SELECT nonsense')])).rejects.toThrow('nonsense')
  })
  test('named locks', async () => {
    let inside = 0
    await withLock(['kits/mail', 'kits/files'], async () => {
      await expect(withLock('kits/mail', () => 0)).rejects.toThrow('already')
      const { stdout } = { stdout: pgwatchTests('lock-trial') }
      expect(stdout).toContain('held by vitest:')
      inside++
    })
    expect(inside).toBe(1)
  })
})
