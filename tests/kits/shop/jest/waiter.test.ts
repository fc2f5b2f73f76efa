import pg from 'pg'
import { until } from './until'

test('waits for a row that another test holds', async () => {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
  const row = "SELECT FROM users WHERE email = 'seed@shop.example' FOR UPDATE SKIP LOCKED"
  await until(async () => (await pool.query(row)).rowCount === 0)
  const done = await pool.query("UPDATE users SET clerk_id = 'free' WHERE email = 'seed@shop.example'")
  expect(done.rowCount).toBe(1)
  await pool.end()
}, 90_000)
