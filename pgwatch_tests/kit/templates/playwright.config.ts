// The suite's configuration, and what pgwatch-tests adds: `@@RUN@@ --config @@CONFIG@@`
import { @@DEVICES@@defineConfig, @@TYPES@@type ReporterDescription } from '@playwright/test'
@@EXISTING@@
import { prepareRun } from './@@HELPERS@@/reporter@@JS@@'

prepareRun()
const inCi = Boolean(process.env.CI)
const results = process.env.PGWATCH_RESULTS ?? 'test-results'
const reports: ReporterDescription[] = [
  [
    'junit',
    { outputFile: `${results}/junit.xml`, includeRetries: true, stripANSIControlSequences: true },
  ],
  ['blob', { outputDir: `${results}/blob` }],
]

export default defineConfig({
  ...own,
  testDir: own.testDir ?? '@@TEST_DIR@@',
  fullyParallel: own.fullyParallel ?? true,
  forbidOnly: inCi,
  retries: own.retries ?? (inCi ? 1 : 0),
@@RETRY_STRATEGY@@
  timeout: own.timeout ?? 60_000,
  outputDir: `${results}/playwright`,
  reporter: [['list'], ...(inCi ? reports : []), ['./@@HELPERS@@/reporter.ts']],
  use: {
    trace: 'retain-on-failure',
    ...own.use,
    // A browser that the machine has, instead of Playwright's own.
    ...(process.env.CHROMIUM_PATH ? { launchOptions: { ...own.use?.launchOptions, executablePath: process.env.CHROMIUM_PATH } } : {}),
  },
@@PROJECTS@@
})
