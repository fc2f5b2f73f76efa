import { drizzle } from 'drizzle-orm/node-postgres'
import { sql } from 'drizzle-orm'
import pg from 'pg'
import { afterAll, describe, test } from 'vitest'
import { uniqueEmail } from './pgwatch/pgwatch'
import { unmarked } from './asking'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
afterAll(() => pool.end())

/** What docs/init.md shows that the reporter tells. */
describe('Booking', () => {
  test('books', async () => {
    for (const role of ['parent', 'child']) await pool.query('INSERT INTO users (email) VALUES ($1)', [uniqueEmail(role)])
  })
  test('pays', async () => {
    await drizzle(pool).transaction(async (tx) => {
      await tx.execute(sql`INSERT INTO bookings (parent_id, slot) VALUES (1, ${unmarked('slot')})`)
    })
  })
})
