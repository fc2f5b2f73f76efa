import { writeFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, expect, test } from 'vitest'
import { runAs, setProcessTest, testBegan, testEnded } from './pgwatch/pgwatch'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
afterAll(() => pool.end())

async function statements(): Promise<void> {
  const client = await pool.connect()
  await client.query('BEGIN')
  for (let one = 0; one < 2; one++) await client.query('SELECT 1')
  await client.query("UPDATE users SET clerk_id = 'cost' WHERE email = 'seed@shop.example'")
  await client.query('COMMIT')
  client.release()
}

// By turns, so that a busy machine holds both up alike.
test('what the helper costs a test of five statements', async () => {
  const logs = process.env.PGWATCH_LOG_DIR
  const took: Record<'off' | 'on', number[]> = { off: [], on: [] }
  setProcessTest(undefined)
  for (let number = 0; number < (process.env.KITS_COST ? 2000 : 2); number++) {
    const kind = number % 2 ? 'on' : 'off'
    if (kind === 'on' && logs !== undefined) process.env.PGWATCH_LOG_DIR = logs
    else delete process.env.PGWATCH_LOG_DIR
    const began = performance.now()
    if (kind === 'on') {
      const identity = { runner: 'vitest', worker: '1', id: `tests/cost.test.ts > number ${number}` }
      testBegan(identity)
      await runAs(identity, statements)
      testEnded(identity, 'passed')
    } else await runAs(undefined, statements)
    took[kind].push(performance.now() - began)
  }
  // Not the median: on a busy machine that is what others cost.
  const tenth = (of: number[]): number => of.sort((one, other) => one - other)[Math.floor(of.length / 10)] ?? 0
  writeFileSync('cost.json', JSON.stringify({ off: tenth(took.off), on: tenth(took.on) }))
  expect(took.on.length).toBe(took.off.length)
}, 120_000)
