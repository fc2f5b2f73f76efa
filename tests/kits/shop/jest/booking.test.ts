import { drizzle } from 'drizzle-orm/node-postgres'
import { sql } from 'drizzle-orm'
import pg from 'pg'
import postgres from 'postgres'
import { unmarked } from './asking'
import { applicationName, cleanUp, currentTest, digest, uniqueEmail } from './pgwatch/pgwatch'

const url = process.env.DATABASE_URL ?? ''
const pool = new pg.Pool({ connectionString: url, max: 3 })
const js = postgres(url, { max: 2 })
const db = drizzle(pool)
const own = (): string => applicationName(currentTest()!)
const shown = async (): Promise<string> => (await pool.query('SHOW application_name')).rows[0].application_name

beforeAll(async () => {
  expect(await shown()).toBe(`jest:${process.env.JEST_WORKER_ID} tests/booking.test.ts`)
})
afterAll(async () => {
  expect(await shown()).toBe(`jest:${process.env.JEST_WORKER_ID} tests/booking.test.ts`)
  await pool.end()
  await js.end()
})

describe('Booking', () => {
  describe('names', () => {
    test('of pg, drizzle and postgres.js', async () => {
      const id = 'tests/booking.test.ts > Booking > names > of pg, drizzle and postgres.js'
      expect(currentTest()?.id).toBe(id)
      expect(own()).toContain(digest(id))
      expect(await shown()).toBe(own())
      expect((await db.execute(sql`SHOW application_name`)).rows[0]?.application_name).toBe(own())
      expect((await js`SHOW application_name`)[0]?.application_name).toBe(own())
    })
  })
  test.each([1, 2])('leaves a row without a mark %i', async (number) => {
    await db.transaction(async (tx) => {
      await tx.execute(sql`INSERT INTO users (email) VALUES (${unmarked(`jest-${number}`)})`)
    })
  })
  test('leaves a row by postgres.js', async () => {
    await js.begin(async (tx) => tx`INSERT INTO users (email) VALUES (${unmarked('js')})`)
  })
  test('leaves a marked row', async () => {
    await pool.query('INSERT INTO users (email) VALUES ($1)', [uniqueEmail('left')])
  })
  test('cleans up', async () => {
    await pool.query('INSERT INTO users (email) VALUES ($1)', [uniqueEmail('gone')])
    await cleanUp(pool)
  })
})
