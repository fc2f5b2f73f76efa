import { writeFileSync } from 'node:fs'
import pg from 'pg'
import { expect, test, vi } from 'vitest'
import { pgwatchTests } from './asking'

// In another worker at the same time: waiter.test.ts.
test('holds a row that another test waits for', async () => {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
  const client = await pool.connect()
  await client.query('BEGIN')
  await client.query("UPDATE users SET clerk_id = 'held' WHERE email = 'seed@shop.example'")
  await vi.waitUntil(
    async () => (await pool.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).rowCount,
    { timeout: 20_000, interval: 20 },
  )
  writeFileSync('locks.json', pgwatchTests('locks', '--format', 'json'))
  await client.query('COMMIT')
  client.release()
  await pool.end()
  expect(true).toBe(true)
})
