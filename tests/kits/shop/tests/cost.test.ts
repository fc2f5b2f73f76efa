import pg from 'pg'
import { afterAll, expect, test } from 'vitest'

// What the kit costs a test: five statements of one session and a transaction, with and without it.
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
afterAll(() => pool.end())
for (let number = 0; number < (process.env.KITS_COST ? 300 : 1); number++)
  test(`number ${number}`, async () => {
    const client = await pool.connect()
    await client.query('BEGIN')
    for (let one = 0; one < 3; one++) await client.query('SELECT 1')
    await client.query('COMMIT')
    client.release()
    expect(number).toBeGreaterThanOrEqual(0)
  })
