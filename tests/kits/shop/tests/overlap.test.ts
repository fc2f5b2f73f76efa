import pg from 'pg'
import { expect, test } from 'vitest'
import { applicationName, currentTest } from './pgwatch/pgwatch'

// pg warns of it, with and without the kit.
test('clients whose statements wait for each other, with callbacks, and after an error', async () => {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
  await client.connect()
  const answers: unknown[] = []
  client.query('SELECT 1 AS n', (_, answer) => answers.push(answer.rows[0].n))
  const second = client.query('SELECT 2 AS n')
  const failed = client.query('SELECT nonsense')
  await expect(failed).rejects.toThrow('nonsense')
  answers.push((await second).rows[0].n)
  expect(answers).toEqual([1, 2])
  expect((await client.query('SHOW application_name')).rows[0].application_name).toBe(applicationName(currentTest()!))
  await client.end()
})
