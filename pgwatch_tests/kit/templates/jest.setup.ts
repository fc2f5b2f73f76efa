// Jest, with the runner that it comes with (jest-circus). In setupFilesAfterEnv.
import { relative } from 'node:path'
@@PG_IMPORT@@
import { @@NAMES@@setProcessTest, testBegan, testEnded, type TestIdentity } from './pgwatch@@JS@@'

// Whichever types a repository has for these: @types/jest, @jest/globals, none.
type Hook = (body: () => void) => void
declare const beforeAll: Hook, beforeEach: Hook, afterEach: Hook, afterAll: Hook
declare const expect: { getState(): { testPath?: string; currentTestName?: string } }
@@JEST@@

@@HOOKS@@
@@MOCK@@
const worker = process.env.JEST_WORKER_ID ?? ''
const file = relative(process.cwd(), expect.getState().testPath ?? '').replaceAll('\\', '/')
const hooks: TestIdentity = { runner: 'jest', worker, id: file, isFixture: true }

interface Block {
  readonly name: string
  readonly parent?: Block
  readonly errors?: readonly unknown[]
}

/** Returns the test that jest-circus runs; its groups are its parents. */
function running(): Block | undefined {
  const state = Object.getOwnPropertySymbols(globalThis).find((one) => one.description === 'JEST_STATE_SYMBOL')
  return state && (globalThis as unknown as Record<symbol, { currentlyRunningTest?: Block }>)[state]?.currentlyRunningTest
}

function titles(): string[] {
  const names: string[] = []
  for (let one = running(); one?.parent; one = one.parent) names.unshift(one.name)
  return names.length > 0 ? names : [expect.getState().currentTestName ?? '']
}

// One test at a time in a process, but for test.concurrent.
setProcessTest(hooks)
let test: TestIdentity | undefined
beforeAll(() => testBegan(hooks))
beforeEach(() => {
  test = { runner: 'jest', worker, id: [file, ...titles()].join(' > ') }
  testBegan(test)
  setProcessTest(test)
})
afterEach(() => {
  if (test) testEnded(test, running()?.errors?.length ? 'failed' : 'passed')
  setProcessTest(hooks)
})
afterAll(() => testEnded(hooks, 'passed'))
