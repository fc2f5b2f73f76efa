import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import pg from 'pg'
import { expect, test } from '../tests/pgwatch/playwright'
import { applicationName, currentTest, HEADER, sender, uniqueEmail } from '../tests/pgwatch/pgwatch'

// Tells what it was sent, to pages of other origins as well; `/to?URL` leads elsewhere.
const asked: { url: string; header: string | undefined }[] = []
let server: Server
let other = ''

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
const shown = async (): Promise<string> => (await pool.query('SHOW application_name')).rows[0].application_name
const hooks = '[chromium] third-party.spec.ts'

// In one worker, beside that of the other file.
test.describe.configure({ mode: 'default' })
test.beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push({ url: request.url ?? '', header: request.headers[HEADER] as string | undefined })
    response.setHeader('access-control-allow-origin', '*')
    const [path, to] = (request.url ?? '').split('?')
    if (path === '/to') response.writeHead(302, { location: decodeURIComponent(to ?? '') })
    response.end('<!doctype html><title>Other</title>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  other = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  // Not the first test's, but the hooks'.
  expect(await shown()).toBe(`playwright:${process.env.TEST_PARALLEL_INDEX} ${hooks}`)
  const client = await pool.connect()
  await client.query('BEGIN')
  await client.query('INSERT INTO users (email) VALUES ($1)', [`hook.${Math.random()}@test.example.com`])
  await client.query('COMMIT')
  client.release()
})
test.afterAll(async () => {
  expect(await shown()).toBe(`playwright:${process.env.TEST_PARALLEL_INDEX} ${hooks}`)
  await pool.end()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const headersAt = (path: string): (string | undefined)[] => asked.filter(({ url }) => url.startsWith(path)).map(({ header }) => header)

test('a page tells its server alone which test it is for', async ({ page, browser, baseURL }) => {
  await page.goto('/')
  await page.evaluate((url) => fetch(url), `${other}/from-a-page`)
  await page.goto(`${other}/by-navigation`)
  expect([headersAt('/from-a-page'), headersAt('/by-navigation')]).toEqual([[undefined], [undefined]])
  // A context that a test makes.
  const context = await browser.newContext()
  const second = await context.newPage()
  await second.goto('/')
  await second.getByRole('textbox').fill(uniqueEmail('second'))
  await second.getByRole('button').click()
  await expect(second.locator('#done')).toHaveText(applicationName(currentTest()!))
  await second.goto(`${other}/by-a-second-page`)
  expect(headersAt('/by-a-second-page')).toEqual([undefined])
  expect(await (await context.request.post(`${baseURL}/users`, { data: uniqueEmail('own') })).text()).toBe(await shown())
  await context.close()
})
test('requests of a test tell its server alone', async ({ request, page, playwright }) => {
  const own = await playwright.request.newContext({ baseURL: other })
  await own.get('/by-a-context-of-its-own')
  await own.dispose()
  for (const api of [request, page.request]) {
    await api.get(`${other}/by-request`)
    expect(await (await api.post('/users', { data: uniqueEmail('api') })).text()).toBe(await shown())
  }
  expect(headersAt('/by-')).not.toContainEqual(expect.any(String))
  const failed = await request.get('http://127.0.0.1:1/').catch((error: Error) => error)
  expect((failed as Error).message).toContain('apiRequestContext.get: connect ECONNREFUSED')
  expect((failed as Error).stack).toMatch(/^ +at [^\n]*third-party\.spec\.ts/m)
  expect((failed as Error).stack).not.toContain('playwright.ts')
})
test.describe('with another server under test', () => {
  test.use({ pgwatchOrigins: async ({ baseURL }, use) => use([new URL(baseURL!).origin, other]) })
  test('a page tells both, and what is told is no secret', async ({ page }) => {
    await page.goto('/')
    await page.evaluate((url) => fetch(url), `${other}/from-both`)
    const [header] = headersAt('/from-both')
    expect(sender(header)?.id).toBe(currentTest()?.id)
    expect(header).not.toContain(process.env.PGWATCH_SECRET)
  })
})
test.describe('without any', () => {
  test.use({ pgwatchOrigins: [] })
  test('nobody is told', async ({ page, request }) => {
    await page.goto('/')
    const told = await page.evaluate(async () => (await fetch('/users', { method: 'POST', body: `${Math.random()}@shop.example` })).text())
    expect(told).not.toBe(await shown())
    expect(await (await request.post('/users', { data: `${Math.random()}@shop.example` })).text()).not.toBe(await shown())
  })
})
