// Instead of '@playwright/test': each test names its sessions, and each of its requests to the servers under test
// says whose it is.
import { test as base, type APIRequestContext, type APIResponse, type BrowserContext, type Request } from '@playwright/test'
@@PG_IMPORT@@
import { HEADER, @@NAMES@@requestHeaders, setProcessTest, testBegan, testEnded, type TestIdentity } from './pgwatch@@JS@@'

@@HOOKS@@
export * from '@playwright/test'
export { HEADER }

export interface PgwatchOptions {
  /** Origins of the servers under test: that of `baseURL` unless they are named, and none with `[]`. */
  pgwatchOrigins: readonly string[] | undefined
}

interface Servers {
  readonly baseURL: string | undefined
  readonly origins: readonly string[] | undefined
}

let servers: Servers = { baseURL: undefined, origins: undefined }

export const test = base.extend<PgwatchOptions & { pgwatchTest: TestIdentity }, { pgwatchWorker: undefined }>({
  pgwatchOrigins: [undefined, { option: true }],

  // Before any hook of the worker's.
  pgwatchWorker: [
    async ({ playwright }, use, info) => {
      const { baseURL, pgwatchOrigins } = info.project.use as { baseURL?: string } & Partial<PgwatchOptions>
      servers = { baseURL, origins: pgwatchOrigins }
      const hooks = hooksOf(info.project.name, String(info.parallelIndex))
      setProcessTest(hooks.now)
      const make = playwright.request.newContext.bind(playwright.request)
      playwright.request.newContext = async (options) => tellOfRequests(await make(options), options?.baseURL)
      await use(undefined)
      playwright.request.newContext = make
      hooks.end()
    },
    { scope: 'worker', auto: true },
  ],
  pgwatchTest: [
    async ({ pgwatchWorker: _, pgwatchOrigins, baseURL }, use, info) => {
      // As a JUnit file has it: hostname, classname, name.
      const title = info.titlePath.map((part) => part.replaceAll(' › ', ' > ')).join(' > ')
      const worker = String(info.parallelIndex)
      const identity = { runner: 'playwright', worker, id: idOf(info.project.name, title) }
      const before = servers
      servers = { baseURL, origins: pgwatchOrigins }
      // One test at a time in a process: what a fixture enters doesn't reach the test's body.
      const hooks = setProcessTest(identity)
      testBegan(identity)
      await use(identity)
      testEnded(identity, info.status ?? 'unknown')
      setProcessTest(hooks)
      servers = before
    },
    { auto: true },
  ],
  // `context` and `page` are made by it as well.
  browser: [
    async ({ browser }, use) => {
      const make = browser.newContext.bind(browser)
      browser.newContext = async (options) => tellOfPages(await make(options), options?.baseURL)
      await use(browser)
    },
    { scope: 'worker', timeout: 0 },
  ],
})

const idOf = (project: string, title: string): string => (project ? `[${project}] ${title}` : title)

/** Whom work belongs to between tests: the hooks of a file, `[project] a.spec.ts`. */
function hooksOf(project: string, worker: string): { now(): TestIdentity; end(): void } {
  const ofFiles = new Map<string, TestIdentity>()
  const fileNow = (): string => {
    try {
      return base.info().titlePath[0] ?? ''
    } catch {
      return 'fixtures' // of the worker
    }
  }
  return {
    now: () => {
      const file = fileNow()
      let hooks = ofFiles.get(file)
      if (hooks === undefined) {
        hooks = { runner: 'playwright', worker, id: idOf(project, file), isFixture: true }
        ofFiles.set(file, hooks)
        testBegan(hooks)
      }
      return hooks
    },
    end: () => {
      for (const hooks of ofFiles.values()) testEnded(hooks, 'passed')
    },
  }
}

/** Sends the header with requests of a context's pages, and of `context.request`. */
async function tellOfPages(context: BrowserContext, baseURL?: string): Promise<BrowserContext> {
  tellOfRequests(context.request, baseURL)
  if (Object.keys(requestHeaders()).length > 0 && servers.origins?.length !== 0)
    await context.route(
      (url) => isServer(url),
      (route, request) => route.fallback({ headers: { ...request.headers(), ...requestHeaders() } }),
    )
  return context
}

const METHODS = ['fetch', 'get', 'post', 'put', 'patch', 'delete', 'head'] as const
type Request_ = (target: string | Request, options?: { headers?: Record<string, string> }) => Promise<APIResponse>

/** Sends the header with requests of a test's own: `request`, `page.request`. */
function tellOfRequests(api: APIRequestContext, baseURL?: string): APIRequestContext {
  const plain = Object.fromEntries(METHODS.map((name) => [name, api[name]]))
  const telling: Record<string, Request_> = {}
  for (const name of METHODS)
    telling[name] = (target, options) => {
      const url = typeof target === 'string' ? target : target.url()
      const given = options?.headers ?? (typeof target === 'string' ? {} : target.headers())
      const headers = isServer(url, baseURL) ? { ...requestHeaders(), ...given } : given
      // `get` calls `fetch`: without this file in between, Playwright would name the wrong one in its reports.
      Object.assign(api, plain)
      try {
        return api[name](target as string, { ...options, headers }).catch(withoutOwnFrames)
      } finally {
        Object.assign(api, telling)
      }
    }
  return Object.assign(api, telling)
}

/** Throws an error whose stack begins in the test: Playwright shows the lines around the first frame. */
function withoutOwnFrames(error: unknown): never {
  if (error instanceof Error && error.stack)
    error.stack = error.stack
      .split('\n')
      .filter((line) => !/^\s+at .*[\\/]pgwatch[\\/]playwright\.[cm]?[jt]s:/.test(line))
      .join('\n')
  throw error
}

/** Whether a URL is one of the servers' under test. */
function isServer(url: string | URL, baseURL = servers.baseURL): boolean {
  if (!URL.canParse(url, baseURL)) return false
  const { origin, hostname } = new URL(url, baseURL)
  if (servers.origins !== undefined) return servers.origins.some((one) => new URL(one).origin === origin)
  if (!isNear(hostname)) return false
  return !servers.baseURL || new URL(servers.baseURL).origin === origin
}

/** Whether a host is this machine or in its network: no other may see which tests run. */
function isNear(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  const address = /^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|0\.0\.0\.0$|::1$|f[cd])/
  return !host.includes('.') || address.test(host) || /\.(localhost|local|test|internal)$/.test(host)
}
