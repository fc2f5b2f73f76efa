import { DataSource, EntitySchema } from 'typeorm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { unmarked } from './asking'
import { applicationName, currentTest, uniqueEmail } from './pgwatch/pgwatch'

interface User {
  id: number
  email: string
}
const users = new EntitySchema<User>({
  name: 'users',
  columns: { id: { type: Number, primary: true, generated: true }, email: { type: String } },
})
const source = new DataSource({ type: 'postgres', url: process.env.DATABASE_URL ?? '', entities: [users] })
beforeAll(() => source.initialize())
afterAll(() => source.destroy())

test('TypeORM has the name of the test', async () => {
  expect((await source.query('SHOW application_name'))[0].application_name).toBe(applicationName(currentTest()!))
})
test('TypeORM leaves a row in a transaction', async () => {
  await source.transaction(async (manager) => manager.save(users, { email: unmarked('typeorm') }))
})
test('TypeORM leaves a row by save, which begins one', async () => {
  await source.getRepository(users).save({ email: unmarked('saved') })
})
test('TypeORM leaves a marked row', async () => {
  await source.getRepository(users).insert({ email: uniqueEmail('typeorm') })
})
