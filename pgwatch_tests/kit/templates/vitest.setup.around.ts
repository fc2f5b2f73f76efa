// Vitest 4.1 and newer. In test.setupFiles.
import { relative } from 'node:path'
import { afterAll, aroundEach, beforeAll, expect@@VI@@ } from 'vitest'
@@PG_IMPORT@@
import { @@NAMES@@runAs, setProcessTest, testBegan, testEnded, type TestIdentity } from './pgwatch@@JS@@'

@@HOOKS@@
@@MOCK@@
const worker = process.env.VITEST_POOL_ID ?? ''
const file = relative(process.cwd(), expect.getState().testPath ?? '').replaceAll('\\', '/')
const hooks: TestIdentity = { runner: 'vitest', worker, id: file, isFixture: true }

setProcessTest(hooks)
beforeAll(() => testBegan(hooks))
afterAll(() => testEnded(hooks, 'passed'))

aroundEach(async (runTest, { task }) => {
  const test: TestIdentity = { runner: 'vitest', worker, id: task.fullName }
  testBegan(test)
  await runAs(test, async () => runTest())
  testEnded(test, task.result?.state === 'fail' ? 'failed' : 'passed')
})
