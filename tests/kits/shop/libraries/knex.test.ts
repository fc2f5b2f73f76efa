import knex from 'knex'
import { afterAll, expect, test } from 'vitest'
import { unmarked } from './asking'
import { applicationName, currentTest, uniqueEmail } from './pgwatch/pgwatch'

const db = knex({ client: 'pg', connection: process.env.DATABASE_URL ?? '', pool: { min: 0, max: 3 } })
afterAll(() => db.destroy())

test('Knex has the name of the test', async () => {
  expect((await db.raw('SHOW application_name')).rows[0].application_name).toBe(applicationName(currentTest()!))
})
for (const number of [0, 1, 2])
  test.concurrent(`Knex leaves a row in a transaction ${number}`, async ({ expect }) => {
    await db.transaction(async (trx) => {
      await trx('users').insert({ email: unmarked('knex') })
      expect((await trx.raw('SHOW application_name')).rows[0].application_name).toContain(`transaction ${number}`)
    })
  })
test('Knex leaves a marked row', async () => {
  await db('users').insert({ email: uniqueEmail('knex') })
})
