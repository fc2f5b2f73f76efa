import { defineConfig, devices } from '@playwright/test'

const port = Number(process.env.PORT)

export default defineConfig({
  testDir: './e2e',
  workers: 2,
  use: { baseURL: `http://127.0.0.1:${port}`, launchOptions: { args: ['--no-sandbox'] } },
  projects: [{ name: 'chromium', use: { ...devices['Desktop Chrome'] } }],
  webServer: { command: 'node dist/server/server.js', port },
})
