import { expect, test } from 'vitest'
import { TestSchema } from './pgwatch/pgwatch'

// Only where it is asked for: its schema is what a sweep finds afterwards.
test.runIf(process.env.KITS_KILL)('is killed with a schema of its own', async () => {
  const schema = await TestSchema.create(['CREATE TABLE orphans (id int)'])
  expect(schema.name).toMatch(/^test_/)
  process.kill(process.pid, 'SIGKILL')
  await new Promise(() => {})
})
