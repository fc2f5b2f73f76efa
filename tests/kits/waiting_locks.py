"""A program for Node that looks who has the named lock `kits/mail`, and takes it as soon as it is free."""

PROGRAM = """import { createRequire } from 'node:module'
const pg = createRequire(process.cwd() + '/package.json')('pg')
const url = new URL(process.env.DATABASE_URL)
url.pathname = '/postgres'
const client = new pg.Client({ connectionString: url.href })
await client.connect()
const key = "1885828980, hashtext('lock:kits/mail')"
const tried = await client.query(`SELECT pg_try_advisory_lock(${key}) AS done`)
const { rows } = await client.query(
  "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid) " +
    "WHERE locktype = 'advisory' AND granted AND classid = 1885828980 " +
    "AND objid = hashtext('lock:kits/mail')::bigint::bit(32)::bigint::oid",
)
console.log(tried.rows[0].done ? 'free' : `held by ${rows[0].application_name}`)
await client.end()
"""
