import pg from 'pg'
import { expect, test } from '../tests/pgwatch/playwright'
import { applicationName, currentTest, HEADER, requestHeaders, uniqueEmail } from '../tests/pgwatch/pgwatch'

const own = (): string => applicationName(currentTest()!)

test.describe('a server under test', () => {
  test('has the name of the test whose page it serves', async ({ page }) => {
    await page.goto('/')
    await page.getByRole('textbox').fill(uniqueEmail('parent'))
    await page.getByRole('button').click()
    await expect(page.locator('#done')).toHaveText(own())
  })
  for (const number of [1, 2])
    test(`is told whose row without a mark it makes ${number}`, async ({ request }) => {
      const email = `plain.${Math.random().toString(36).slice(2)}@test.example.com`
      expect(await (await request.post('/users', { data: email })).text()).toBe(own())
    })
  test('believes nobody without the secret of the run', async ({ baseURL }) => {
    const header = requestHeaders()[HEADER] ?? ''
    const forged = { [HEADER]: `${header[0] === '0' ? '1' : '0'}${header.slice(1)}` }
    const answer = await fetch(`${baseURL}/users`, { method: 'POST', headers: forged, body: uniqueEmail('forged') })
    expect(await answer.text()).not.toBe(own())
  })
})

test('names sessions of its own', async () => {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
  expect((await pool.query('SHOW application_name')).rows[0].application_name).toBe(own())
  await pool.end()
})
