import { PrismaPg } from '@prisma/adapter-pg'
import { afterAll, expect, test } from 'vitest'
import { PrismaClient } from '../generated/client'
import { unmarked } from './asking'
import { applicationName, currentTest, uniqueEmail } from './pgwatch/pgwatch'

const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }) })
afterAll(() => prisma.$disconnect())

test('Prisma has the name of the test', async () => {
  expect(await prisma.$queryRaw`SHOW application_name`).toEqual([{ application_name: applicationName(currentTest()!) }])
})
test('Prisma leaves a row in a transaction', async () => {
  await prisma.$transaction(async (tx) => tx.users.create({ data: { email: unmarked('prisma') } }))
})
test('Prisma leaves a marked row', async () => {
  await prisma.users.create({ data: { email: uniqueEmail('prisma') } })
})
