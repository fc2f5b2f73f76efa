import { writeFileSync } from 'node:fs'
import pg from 'pg'
import { until } from './until'
import { pgwatchTests } from './asking'

// In another worker at the same time: waiter.test.ts.
test('holds a row that another test waits for', async () => {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
  const client = await pool.connect()
  await client.query('BEGIN')
  await client.query("UPDATE users SET clerk_id = 'held' WHERE email = 'seed@shop.example'")
  const waiters = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE '%waits for%'"
  await until(async () => (await pool.query(waiters)).rowCount)
  writeFileSync('locks.json', pgwatchTests('locks', '--format', 'json'))
  await client.query('COMMIT')
  client.release()
  await pool.end()
  expect(true).toBe(true)
}, 90_000)
