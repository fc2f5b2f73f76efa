// Instead of '@playwright/test': each test names its sessions, and each of its requests says whose it is.
import { test as base } from '@playwright/test'
@@PG_IMPORT@@
import { HEADER, @@NAMES@@requestHeaders, setProcessTest, testBegan, testEnded, type TestIdentity } from './pgwatch@@JS@@'

@@HOOKS@@
export * from '@playwright/test'

export const test = base.extend<{ pgwatchTest: TestIdentity }>({
  pgwatchTest: [
    async ({}, use, info) => {
      // As a JUnit file has it: hostname, classname, name.
      const title = info.titlePath.map((part) => part.replaceAll(' › ', ' > ')).join(' > ')
      const project = info.project.name
      const identity = { runner: 'playwright', worker: String(info.parallelIndex), id: project ? `[${project}] ${title}` : title }
      // One test at a time in a process: what a fixture enters doesn't reach the test's body.
      setProcessTest(identity)
      testBegan(identity)
      await use(identity)
      testEnded(identity, info.status ?? 'unknown')
      setProcessTest(undefined)
    },
    { auto: true },
  ],
  // Of navigation, of the page's own requests, and of `request`.
  extraHTTPHeaders: async ({ extraHTTPHeaders, baseURL, pgwatchTest }, use) => {
    await use(isNear(baseURL) ? { ...extraHTTPHeaders, ...requestHeaders(pgwatchTest) } : extraHTTPHeaders)
  },
})

export { HEADER }

/** Whether the server under test is on this machine or in its network: no other may see the secret of a run. */
function isNear(url: string | undefined): boolean {
  if (!url) return true
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  const address = /^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|0\.0\.0\.0$|::1$|f[cd])/
  return !host.includes('.') || address.test(host) || /\.(localhost|local|test|internal)$/.test(host)
}
