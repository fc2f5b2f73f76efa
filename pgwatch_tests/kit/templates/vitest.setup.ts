// Vitest before 4.1. In test.setupFiles.
import { relative } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect@@VI@@ } from 'vitest'
@@PG_IMPORT@@
import { @@NAMES@@enterTest, setProcessTest, testBegan, testEnded, type TestIdentity } from './pgwatch@@JS@@'

@@HOOKS@@
@@MOCK@@
const worker = process.env.VITEST_POOL_ID ?? ''
const file = relative(process.cwd(), expect.getState().testPath ?? '').replaceAll('\\', '/')
const hooks: TestIdentity = { runner: 'vitest', worker, id: file, isFixture: true }

setProcessTest(hooks)
beforeAll(() => testBegan(hooks))
afterAll(() => testEnded(hooks, 'passed'))

// Not async: what is entered after an await is lost to the test.
beforeEach(({ task, onTestFinished }) => {
  const names: string[] = []
  for (let one: { name: string; suite?: unknown } | undefined = task; one?.name; one = one.suite as typeof one) names.unshift(one.name)
  const test: TestIdentity = { runner: 'vitest', worker, id: [file, ...names].join(' > ') }
  testBegan(test)
  enterTest(test)
  onTestFinished(() => testEnded(test, task.result?.state === 'fail' ? 'failed' : 'passed'))
})
