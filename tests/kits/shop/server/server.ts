import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import pg from 'pg'
import { forTests } from '../tests/pgwatch/pgwatch.js'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4 })
const page = `<!doctype html><title>Shop</title>
<form><input name=email><button>Sign up</button></form><p id=done></p>
<script>
  document.forms[0].onsubmit = async (event) => {
    event.preventDefault()
    const answer = await fetch('/users', { method: 'POST', body: document.forms[0].email.value })
    document.getElementById('done').textContent = await answer.text()
  }
</script>`

async function signUp(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let email = ''
  for await (const part of request) email += String(part)
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('INSERT INTO users (email) VALUES ($1)', [email])
    const { rows } = await client.query("SELECT current_setting('application_name') AS name")
    await client.query('COMMIT')
    response.end(rows[0].name)
  } catch (error) {
    await client.query('ROLLBACK')
    response.statusCode = 500
    response.end(String(error))
  } finally {
    client.release()
  }
}

createServer((request, response) =>
  forTests(request, response, () => {
    if (request.url === '/users') return void signUp(request, response)
    response.setHeader('content-type', 'text/html')
    response.end(page)
  }),
).listen(Number(process.env.PORT), '127.0.0.1')
