// What a TypeScript suite needs to be known to pgwatch-tests: names of sessions, marks in values, schemas and
// databases with a lease, named locks, and the log of which test's transaction wrote where. It depends on
// Node and on the driver that the suite has (pg or postgres). docs/init.md of pgwatch-tests describes it.
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { createHash, createHmac, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import { constants, mkdirSync, openSync, readFileSync, readdirSync, statSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

export const KIT_VERSION = '@@VERSION@@'

// ---- the test that runs --------------------------------------------------------------------------------

export interface TestIdentity {
  readonly runner: string
  /** The worker among its runner's: VITEST_POOL_ID, parallelIndex, gw0. */
  readonly worker: string
  /** `tests/a.test.ts > describe > test` (Vitest), `[project] a.spec.ts > describe > test` (Playwright). */
  readonly id: string
  /** Whether hooks around several tests are meant, not a test. */
  readonly isFixture?: boolean
}

interface Kit {
  readonly current: AsyncLocalStorage<TestIdentity | undefined>
  ofProcess: TestIdentity | (() => TestIdentity | undefined) | undefined
  readonly logs: Map<string, DatabaseLog>
  readonly past: (readonly [kind: 'began' | 'ended', test: TestIdentity, line: string])[]
  readonly unknown: Map<TestIdentity, Record<string, number>>
  readonly heldLocks: Map<string, TestIdentity | undefined>
}

/** Once per process: Vitest without isolation, and a bundle, load this file more than once. */
const kit: Kit = ((globalThis as { [key: symbol]: unknown })[Symbol.for('pgwatch-tests.kit')] ??= {
  current: new AsyncLocalStorage(),
  ofProcess: undefined,
  logs: new Map(),
  past: [],
  unknown: new Map(),
  heldLocks: new Map(),
} satisfies Kit) as Kit

// As they are before a test puts fake timers in their place.
const now = Date.now
const pid = process.pid

/** Runs `body` as the test: right for `test.concurrent`, too. */
export const runAs = <T>(test: TestIdentity | undefined, body: () => T): T => kit.current.run(test, body)

/** Makes it the test of all that follows in this asynchronous context: for hooks that can't wrap a test. */
export const enterTest = (test: TestIdentity | undefined): void => kit.current.enterWith(test)

/**
 * Makes it the one that work belongs to which no `runAs` is around: one test at a time in a process. Returns who
 * was that before.
 */
export const setProcessTest = (test: Kit['ofProcess']): Kit['ofProcess'] => {
  const before = kit.ofProcess
  kit.ofProcess = test
  return before
}

export const currentTest = (): TestIdentity | undefined =>
  kit.current.getStore() ?? (typeof kit.ofProcess === 'function' ? kit.ofProcess() : kit.ofProcess)

const runningTest = (): TestIdentity | undefined => {
  const test = currentTest()
  return test?.isFixture ? undefined : test
}

/** 8 hex digits that stand for a test's full id. */
export const digest = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 8)

/** `vitest:3 tests/a.test.ts > books`: at most 63 bytes of printable ASCII, shortened from the left. */
export function applicationName({ runner, worker, id }: TestIdentity): string {
  const printable = id.replace(/[^ -~]/gu, '?')
  const whole = `${runner}:${worker} ${printable}`
  if (whole.length <= 63 && printable === id) return whole
  const head = `${runner}:${worker} #${digest(id)} `
  const room = 63 - head.length
  return head + (printable.length <= room ? printable : `..${printable.slice(printable.length - room + 2)}`)
}

// ---- values --------------------------------------------------------------------------------------------

/** `parent-1717171717171-t1a2b3c4d-r5e6f7a8b-k3v9x0q2m1zc@test.example.com`: nobody else has it. */
export function uniqueEmail(prefix: string, domain = 'test.example.com'): string {
  if (!/^(?!.*\.\.)[A-Za-z0-9](?:[A-Za-z0-9.+_-]{0,38}[A-Za-z0-9])?$/.test(prefix))
    throw new Error(`the prefix of an email address is 1 to 40 letters, digits, '.', '+', '_', '-': not '${prefix}'`)
  const unique = uniquePart('-')
  // RFC 5321 lets an address have 64 characters before the @; 8 of 12 random digits stay.
  const tooMany = Math.min(Math.max(prefix.length + 1 + unique.length - 64, 0), 4)
  return `${prefix}-${unique.slice(0, unique.length - tooMany)}@${domain}`
}

/** `clerk_1717171717171_t1a2b3c4d_r5e6f7a8b_k3v9x0q2m1zc`: nobody else has it. */
export function uniqueId(prefix: string): string {
  if (prefix.length > 40 || !/^[A-Za-z][A-Za-z0-9-]*(?:_[A-Za-z0-9-]+)*$/.test(prefix))
    throw new Error(`the prefix of an id is 1 to 40 letters, digits, '-' and single '_': not '${prefix}'`)
  return `${prefix}_${uniquePart('_')}`
}

/** `t1a2b3c4d`: what all values of a test carry. */
export function ownMark(test = runningTest()): string {
  if (test === undefined) throw new Error('no test runs here: its values can only be told within it')
  return `t${digest(test.id)}`
}

function uniquePart(separator: string): string {
  const test = runningTest()
  const run = (process.env.PGWATCH_RUN ?? '').toLowerCase() // whoever sets it holds the run's lease
  const random = Array.from({ length: 12 }, () => randomInt(36).toString(36)).join('')
  const parts = [String(now()), test && `t${digest(test.id)}`, /^[0-9a-f]{8}$/.test(run) && `r${run}`, random]
  return parts.filter(Boolean).join(separator)
}

// ---- sessions of pg ------------------------------------------------------------------------------------

interface PgClient {
  query(...of: unknown[]): unknown
  connectionParameters?: { host?: string; port?: number | string; database?: string }
}
interface PgModule {
  Client: { prototype: object }
  Pool: { prototype: object }
}
interface Session {
  name: string | undefined
  inTransaction: boolean
  owner: TestIdentity | undefined
  log: DatabaseLog | undefined
  /** Calls that wait until statements of the kit's own are done; undefined while there are none. */
  waiting: (() => void)[] | undefined
}
interface Answer {
  rows: { told: string | null }[]
}
interface OwnStatement {
  text: string
  then(error: unknown, answer?: Answer): void
}

const sessions = new WeakMap<object, Session>()
const patched = Symbol.for('pgwatch-tests.patched')
const noop = (): void => {}

/**
 * Names each session of `pg` in this process after the test that uses it, and logs its transactions: of pools
 * and clients, and of what is built on them (drizzle, Knex, TypeORM, Prisma's adapter). Once is enough.
 */
export function nameSessions(pg: PgModule): void {
  const client = pg.Client.prototype as Record<string | symbol, unknown>
  if (client[patched]) return
  client[patched] = true
  const query = client.query as (...of: unknown[]) => unknown
  client.query = function (this: PgClient, ...of: unknown[]): unknown {
    const session = sessionOf(this)
    const test = currentTest()
    const text = textOf(of[0])
    if (session.waiting === undefined) {
      const own = ownStatements(this, session, test, text)
      if (own.length === 0) return query.apply(this, of)
      return queued((done) => sendAll(this, query, session, own, () => done(query.apply(this, of))), of)
    }
    const { waiting } = session
    return queued((done) => {
      waiting.push(() => sendAll(this, query, session, ownStatements(this, session, test, text), () => done(query.apply(this, of))))
    }, of)
  }
  let pool = pg.Pool.prototype as Record<string, unknown>
  while (!Object.hasOwn(pool, 'connect')) pool = Object.getPrototypeOf(pool) as Record<string, unknown>
  const connect = pool.connect as (...of: unknown[]) => unknown
  pool.connect = function (callback?: (...of: unknown[]) => void): unknown {
    // A pool that is full calls back when another test gives its client back: in that one's context.
    return callback === undefined ? connect.call(this) : connect.call(this, AsyncResource.bind(callback))
  }
}

function sessionOf(client: object): Session {
  let session = sessions.get(client)
  if (session === undefined) {
    session = { name: undefined, inTransaction: false, owner: undefined, log: undefined, waiting: undefined }
    sessions.set(client, session)
  }
  return session
}

/** Returns what `query` would: a promise, nothing where it is given a callback, or the object that it is given. */
function queued(begin: (done: (result: unknown) => void) => void, of: readonly unknown[]): unknown {
  const [config, second, third] = of as [{ submit?: unknown; callback?: unknown } | undefined, unknown, unknown]
  if (typeof config?.submit === 'function' || [config?.callback, second, third].some((one) => typeof one === 'function')) {
    begin(noop)
    return typeof config?.submit === 'function' ? config : undefined
  }
  return new Promise((resolve, reject) => {
    begin((result) => void (result as Promise<unknown>).then(resolve, reject))
  })
}

/** Sends the kit's own statements one after the other, then the call's; calls that came meanwhile follow. */
function sendAll(client: object, query: (...of: unknown[]) => unknown, session: Session, own: OwnStatement[], end: () => void): void {
  session.waiting ??= []
  const [first, ...rest] = own
  if (first !== undefined) {
    query.call(client, first.text, (error: unknown, answer?: Answer) => {
      first.then(error, answer)
      sendAll(client, query, session, rest, end)
    })
    return
  }
  const { waiting } = session
  session.waiting = undefined
  end()
  const next = waiting.shift()
  if (next === undefined) return
  session.waiting = waiting
  next()
}

function ownStatements(client: PgClient, session: Session, test: TestIdentity | undefined, text: string): OwnStatement[] {
  const own: OwnStatement[] = []
  const verb = verbOf(text)
  if (test !== undefined && !session.inTransaction) {
    const name = applicationName(test)
    if (session.name !== name) {
      session.name = name
      const then = (error: unknown): void => {
        if (error) session.name = undefined
      }
      own.push({ text: `SET application_name = ${literal(name)}`, then })
    }
    if (process.env.PGWATCH_LOG_DIR && session.log === undefined) {
      const { host = '', port = '', database = '' } = client.connectionParameters ?? {}
      session.log = databaseLog(`${host}:${port}/${database}`, (statement, told) =>
        own.push({ text: statement, then: (error, answer) => told(error ? undefined : (answer?.rows[0]?.told ?? undefined)) }),
      )
    }
  }
  if (verb === 'discard' || verb === 'reset') session.name = undefined
  const { owner, log } = session
  const leave = (): void => {
    session.inTransaction = false
    session.owner = undefined
  }
  if (verb === 'begin' || verb === 'start') {
    session.inTransaction = true
    session.owner = test
  } else if (verb === 'commit' || verb === 'end') {
    if (owner !== undefined && log !== undefined)
      own.push({ text: WRITTEN, then: (error, answer) => void (!error && answer?.rows[0]?.told && log.wrote(owner, answer.rows[0].told)) })
    leave()
  } else if (verb === 'abort' || (verb === 'rollback' && !/\bto\b/i.test(text))) leave()
  else if (verb === 'prepare' && /^\s*prepare\s+transaction\b/i.test(text)) {
    countUnknown(owner, 'two_phase')
    leave()
  } else if (!session.inTransaction && WRITES.test(verb)) countUnknown(test, 'autocommit')
  return own
}

function textOf(query: unknown): string {
  if (typeof query === 'string') return query
  const { text, cursor } = (query ?? {}) as { text?: unknown; cursor?: { text?: unknown } }
  return typeof text === 'string' ? text : typeof cursor?.text === 'string' ? cursor.text : ''
}

const verbOf = (text: string): string =>
  (/^(?:\s|--[^\n]*\n|\/\*[^]*?\*\/|\()*([a-z]+)/i.exec(text)?.[1] ?? '').toLowerCase()
const WRITES = /^(insert|update|delete|merge|copy|with|call|do)$/

const literal = (text: string): string =>
  `${text.includes('\\') ? 'E' : ''}'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

// ---- sessions of postgres.js ---------------------------------------------------------------------------

interface PostgresQuery extends Promise<unknown> {
  handler: ((query: PostgresQuery) => void) & { debug?: unknown }
  executed: boolean
  reject(error: unknown): void
}
interface PostgresSession {
  unsafe(text: string, values?: unknown[]): PostgresQuery
  release(): void
}
type AnyFunction = (...of: never[]) => unknown

/** Returns postgres.js's factory, whose instances name their sessions and log their transactions. */
export const namedPostgres = <F extends AnyFunction>(postgres: F): F =>
  new Proxy(postgres, { apply: (make, self, of) => namedSql(Reflect.apply(make, self, of) as object) })

/** Returns an instance of postgres.js each of whose statements runs in a session that has its test's name. */
export function namedSql<S extends object>(sql: S): S {
  const of = sql as unknown as {
    reserve(): Promise<PostgresSession>
    begin(...of: unknown[]): Promise<unknown>
    options: { host?: unknown; port?: unknown; database?: unknown }
  }
  const plain = { reserve: of.reserve.bind(of), begin: of.begin.bind(of) }
  // In a session of its own: an error would end a transaction of the test's.
  const ask = async (statement: string): Promise<string | undefined> => {
    const session = await plain.reserve()
    try {
      return ((await session.unsafe(statement)) as Answer['rows'])[0]?.told ?? undefined
    } finally {
      session.release()
    }
  }
  const log = (): DatabaseLog | undefined =>
    process.env.PGWATCH_LOG_DIR
      ? databaseLog(`${String(of.options.host)}:${String(of.options.port)}/${String(of.options.database)}`, (statement, told) => {
          ask(statement).then(told, () => told(undefined))
        })
      : undefined

  const named = (query: unknown): unknown => {
    const test = currentTest()
    const { handler, executed } = (query ?? {}) as Partial<PostgresQuery>
    if (test === undefined || typeof handler !== 'function' || executed !== false) return query
    // Only whoever is awaited is sent: a part of another statement isn't.
    ;(query as PostgresQuery).handler = Object.assign((sent: PostgresQuery) => {
      plain.reserve().then((session) => {
        const name = session.unsafe(`SET application_name = ${literal(applicationName(test))}`)
        const send = name.handler
        name.executed = true
        name.catch(noop)
        send(name)
        log()
        const text = (sent as unknown as { strings?: readonly string[] }).strings?.[0] ?? ''
        if (WRITES.test(verbOf(text))) countUnknown(test, 'autocommit')
        sent.then(() => session.release(), () => session.release())
        send(sent)
      }, sent.reject)
    }, { debug: handler.debug })
    return query
  }
  const replaced: Record<string, unknown> = {
    reserve: async () => {
      const session = await plain.reserve()
      const test = currentTest()
      if (test !== undefined) session.unsafe(`SET application_name = ${literal(applicationName(test))}`).catch(noop)
      return session
    },
    begin: (...given: unknown[]) => {
      const test = currentTest()
      const body = given.at(-1)
      if (test === undefined || typeof body !== 'function') return plain.begin(...given)
      const wrapped = async (transaction: PostgresSession): Promise<unknown> => {
        transaction.unsafe(`SET LOCAL application_name = ${literal(applicationName(test))}`).catch(noop)
        const logged = log()
        const result: unknown = await (body as (of: PostgresSession) => unknown)(transaction)
        const done: unknown = Array.isArray(result) ? await Promise.all(result) : result
        if (logged !== undefined) {
          const rows = (await transaction.unsafe(WRITTEN)) as Answer['rows']
          if (rows[0]?.told) logged.wrote(test, rows[0].told)
        }
        return done
      }
      return plain.begin(...given.slice(0, -1), wrapped)
    },
  }
  for (const name of ['unsafe', 'file']) {
    const before = (sql as Record<string, unknown>)[name] as (...of: unknown[]) => unknown
    replaced[name] = (...given: unknown[]) => named(before(...given))
  }
  return new Proxy(sql, {
    apply: (target, self, given) => named(Reflect.apply(target as unknown as AnyFunction, self, given as never[])),
    get: (target, name, self) =>
      typeof name === 'string' && Object.hasOwn(replaced, name) ? replaced[name] : (Reflect.get(target, name, self) as unknown),
  })
}

// ---- the log of transactions: pgwatch-tests.transactions/1 ---------------------------------------------

// queries/leaks/transaction_written.sql of pgwatch-tests, as one line of JSON; NULL if nothing was written.
const WRITTEN = `SELECT CASE WHEN pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL THEN (
SELECT pg_catalog.row_to_json(answer)::pg_catalog.text FROM (
@@WRITTEN@@
) AS answer) END AS told`
// queries/leaks/transaction_database.sql, and the time.
const DATABASE = `SELECT pg_catalog.row_to_json(answer)::pg_catalog.text AS told FROM (
SELECT here.*, extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8 AS epoch_s FROM (
@@DATABASE@@
) AS here) AS answer`

const iso = (ms: number): string => new Date(ms).toISOString()

/**
 * Two files of this process and a database: the tests with their times, and the transactions, each on its own.
 * Nobody's test overlaps with a transaction there, so that its tables are put down to it alone.
 */
class DatabaseLog {
  private header: string | undefined
  private worker: string
  private readonly files: Partial<Record<'tests' | 'transactions', number>> = {}
  private waiting: (() => void)[] | undefined = []
  private numbers = 0
  private readonly begun = new Map<TestIdentity, number>()

  constructor(worker: string) {
    this.worker = worker
  }

  /** Begins the files, by the answer to DATABASE; without one, nothing is logged. */
  open(told: string | undefined, sentMs: number): void {
    const waiting = this.waiting ?? []
    this.waiting = undefined
    if (told === undefined) return void warnOnce('the transaction log is left out: the role may not read which server this is')
    const found = JSON.parse(told) as { system_identifier: string; oid: number; name: string; epoch_s: number }
    const answeredMs = now()
    this.header = JSON.stringify({
      schema: 'pgwatch-tests.transactions/1',
      system_identifier: found.system_identifier,
      database_oid: found.oid,
      database: found.name,
      worker: this.worker,
      pid,
      server_ahead_us: Math.round(found.epoch_s * 1e6 - (sentMs + answeredMs) * 500),
      server_ahead_error_us: (answeredMs - sentMs) * 500 + 1000,
    })
    for (const write of waiting) write()
  }

  /** Logs nothing from now on. */
  close(): void {
    this.waiting = undefined
    this.header = undefined
  }

  wrote(test: TestIdentity, told: string): void {
    this.later(() => {
      const row = JSON.parse(told) as { xid: string | null; started_us: number; is_counted: boolean; inserted: number[]; changed: number[] }
      if (row.xid === null) return
      const number = ++this.numbers
      const tables = row.is_counted ? JSON.stringify({ inserted: row.inserted, changed: row.changed }).slice(1, -1) : '"inserted":null,"changed":null'
      const at = iso(now())
      this.append(
        'transactions',
        `{"began":${number},"at":"${at}","test":${JSON.stringify(test.id)}${test.isFixture ? ',"kind":"fixture"' : ''}}\n` +
          `{"wrote":${number},"xid":${row.xid},"started_at":"${iso(row.started_us / 1000)}",${tables}}\n` +
          `{"ended":${number},"at":"${at}","outcome":"passed"}\n`,
      )
    })
  }

  /** Logs that a test began or ended; the line lacks its number. */
  note(kind: 'began' | 'ended', test: TestIdentity, line: string): void {
    this.later(() => {
      let number = this.begun.get(test)
      if (number === undefined) this.begun.set(test, (number = ++this.numbers))
      this.append('tests', `{"${kind}":${number},${line}\n`)
      if (kind === 'ended') this.begun.delete(test)
    })
  }

  private later(write: () => void): void {
    if (this.waiting !== undefined) this.waiting.push(write)
    else if (this.header !== undefined) write()
  }

  private append(file: 'tests' | 'transactions', text: string): void {
    const directory = process.env.PGWATCH_LOG_DIR
    if (!directory || this.header === undefined) return
    try {
      let descriptor = this.files[file]
      if (descriptor === undefined) {
        mkdirSync(directory, { recursive: true, mode: 0o700 })
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND | constants.O_NOFOLLOW
        descriptor = openSync(join(directory, `${pid}-${now()}-${randomBytes(4).toString('hex')}.jsonl`), flags, 0o600)
        this.files[file] = descriptor
        text = `${this.header}\n${text}`
      }
      writeSync(descriptor, text)
    } catch (error) {
      this.header = undefined
      warnOnce(`the transaction log isn't complete, so that leaks names fewer tests: ${String(error)}`)
    }
  }
}

function databaseLog(place: string, ask: (statement: string, told: (row: string | undefined) => void) => void): DatabaseLog {
  let log = kit.logs.get(place)
  if (log === undefined) {
    kit.logs.set(place, (log = new DatabaseLog(currentTest()?.worker ?? '')))
    // One that a test has made is dropped before anybody asks whose its rows are.
    if (/\/test_1\d{12}_\d+_[0-9A-Za-z]+$/.test(place)) return log.close(), log
    for (const [kind, test, line] of kit.past) log.note(kind, test, line)
    const opened = log
    const sentMs = now()
    ask(DATABASE, (row) => opened.open(row, sentMs))
  }
  return log
}

/** Logs that a test begins: call it before anything of it runs. */
export const testBegan = (test: TestIdentity): void =>
  note('began', test, `"at":"${iso(now())}","test":${JSON.stringify(test.id)}${test.isFixture ? ',"kind":"fixture"' : ''}}`)

/** Logs that a test is over, its hooks included. */
export const testEnded = (test: TestIdentity, outcome: string): void => {
  const unknown = kit.unknown.get(test)
  kit.unknown.delete(test)
  note('ended', test, `"at":"${iso(now())}","outcome":${JSON.stringify(outcome)}${unknown ? `,"unknown":${JSON.stringify(unknown)}` : ''}}`)
}

function note(kind: 'began' | 'ended', test: TestIdentity, line: string): void {
  if (!process.env.PGWATCH_LOG_DIR) return
  kit.past.push([kind, test, line])
  for (const log of kit.logs.values()) log.note(kind, test, line)
}

function countUnknown(test: TestIdentity | undefined, how: string): void {
  if (test === undefined || !process.env.PGWATCH_LOG_DIR) return
  const counts = kit.unknown.get(test) ?? {}
  counts[how] = (counts[how] ?? 0) + 1
  kit.unknown.set(test, counts)
}

const warned = new Set<string>()
function warnOnce(text: string): void {
  if (!warned.has(text)) console.warn(`pgwatch-tests: ${text}`)
  warned.add(text)
}

// ---- requests to a server under test -------------------------------------------------------------------

export const HEADER = 'x-pgwatch-test'

/** The header that puts a request down to the test that runs; empty where no run has set PGWATCH_SECRET. */
export function requestHeaders(test = currentTest()): Record<string, string> {
  const secret = process.env.PGWATCH_SECRET
  if (!secret || test === undefined) return {}
  const words = [pid, test.isFixture ? 'fixture' : 'test', test.id, test.worker, 1, numberOf(test), test.runner]
  // As urlsafe_b64encode has it: with its padding.
  const payload = Buffer.from(JSON.stringify(words)).toString('base64').replaceAll('+', '-').replaceAll('/', '_')
  return { [HEADER]: `${signature(secret, payload)}.${payload}` }
}

/** Whoever sees a header learns a test's name, not the secret. */
const signature = (secret: string, payload: string): string =>
  createHmac('sha256', secret).update(payload).digest('hex').slice(0, 32)

const numbers = new WeakMap<TestIdentity, number>()
let requested = 0
function numberOf(test: TestIdentity): number {
  let number = numbers.get(test)
  if (number === undefined) numbers.set(test, (number = ++requested))
  return number
}

/** Returns who has sent a request with this header; undefined unless it is signed with this run's secret. */
export function sender(header: string | null | undefined): TestIdentity | undefined {
  const secret = process.env.PGWATCH_SECRET
  if (!secret || !header) return undefined
  const dot = header.indexOf('.')
  const given = Buffer.from(header.slice(0, Math.max(dot, 0)))
  const wanted = Buffer.from(signature(secret, header.slice(dot + 1)))
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined
  try {
    const words = JSON.parse(Buffer.from(header.slice(dot + 1), 'base64url').toString()) as unknown[]
    const [, kind, id, worker, , , runner = 'pytest'] = words
    if (typeof id !== 'string' || typeof worker !== 'string' || !/^[a-z]+$/.test(String(runner))) return undefined
    return { runner: String(runner), worker, id, ...(kind === 'fixture' ? { isFixture: true } : {}) }
  } catch {
    return undefined
  }
}

type Headers_ = { get(name: string): string | null } | Record<string, string | string[] | undefined>

/** Serves a request as the test that sent it. Passes it on untouched without this run's secret. */
export function servedFor<T>(headers: Headers_, serve: () => T): T {
  const given = typeof headers.get === 'function' ? headers.get(HEADER) : (headers as Record<string, unknown>)[HEADER]
  const test = sender(typeof given === 'string' ? given : undefined)
  if (test === undefined) return serve()
  if (!serves) {
    serves = true
    const pg = installed<PgModule>('pg')
    if (pg !== undefined) nameSessions(pg)
  }
  return runAs(test, serve)
}
let serves = false

/** Middleware of Node's http, Express, Connect: `app.use(forTests)`, first of all. */
export function forTests(request: { headers: Record<string, string | string[] | undefined> }, _response: unknown, next: () => void): void {
  servedFor(request.headers, next)
}

// ---- sessions of the kit's own -------------------------------------------------------------------------

interface OwnSession {
  rows(statement: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  end(): Promise<void>
}

const LEASE_KEY = 1885828980 // `pgwt`
const LEASE_NAME = 'pgwatch-tests lease'

/** The database of the tests: DATABASE_URL, as the suite has it, else PGWATCH_DSN. */
export function databaseUrl(): string {
  const url = process.env.DATABASE_URL ?? process.env.PGWATCH_DSN
  if (!url) throw new Error('no database is named: set DATABASE_URL, or hand its URL over')
  return url
}

/** Returns the URL of another database of the same server. */
export const inDatabase = (url: string, database: string): string =>
  url.replace(/^([a-z]+:\/\/[^/?]*)(?:\/[^?]*)?/, (_, server: string) => `${server}/${encodeURIComponent(database)}`)

/** Returns the URL with a search path from the start of each connection: `SET` would reach one of a pool. */
export function withSearchPath(url: string, ...schemas: string[]): string {
  const option = `-c search_path=${schemas.map((name) => name.replace(/[\\ ,]/g, '\\$&')).join(',')}`
  const given = /[?&]options=([^&]*)/.exec(url)
  const all = encodeURIComponent(`${given ? `${decodeURIComponent(given[1] ?? '')} ` : ''}${option}`)
  if (given) return url.replace(/([?&]options=)[^&]*/, (_, name: string) => name + all)
  return `${url}${url.includes('?') ? '&' : '?'}options=${all}`
}

interface PgLike {
  Client: new (of: object) => {
    connect(): Promise<unknown>
    query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
    end(): Promise<void>
    on(event: 'error', listener: () => void): void
  }
}
type PostgresLike = (
  url: string,
  options: object,
) => { unsafe(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>; end(): Promise<void> }

/** Opens a session that no pool shares, by whichever driver the repository has. */
async function openSession(url: string, name: string): Promise<OwnSession> {
  const own = url.replace(/([?&])application_name=[^&]*&?/, '$1')
  const pg = installed<PgLike>('pg')
  if (pg !== undefined) {
    const client = new pg.Client({ connectionString: own, application_name: name, keepAlive: true })
    client.on('error', noop)
    await client.connect()
    // Outside of tests: whatever this session does, it keeps its name.
    const rows = (statement: string, values?: unknown[]): Promise<Record<string, unknown>[]> =>
      kit.current.exit(async () => {
        sessionOf(client).inTransaction = true
        return (await client.query(statement, values)).rows
      })
    return { rows, end: () => client.end() }
  }
  const postgres = installed<PostgresLike>('postgres')
  if (postgres === undefined) throw new Error('neither pg nor postgres is installed here')
  const sql = postgres(own, { max: 1, idle_timeout: 0, max_lifetime: null, onnotice: noop, connection: { application_name: name } })
  return { rows: async (statement, values) => [...(await sql.unsafe(statement, values))], end: () => sql.end() }
}

/** Returns a package of the working directory's, undefined where it has none of that name. */
function installed<T>(name: string): T | undefined {
  try {
    return createRequire(join(process.cwd(), 'package.json'))(name) as T
  } catch (error) {
    if ((error as { code?: unknown }).code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}

async function openLease(url: string, name: string): Promise<OwnSession> {
  const session = await openSession(url, LEASE_NAME)
  try {
    const [version] = await session.rows("SELECT current_setting('server_version_num')::int AS number")
    if (Number(version?.number) >= 140000) await session.rows('SET idle_session_timeout = 0')
    const [taken] = await session.rows(
      `SELECT pg_catalog.pg_try_advisory_lock(${LEASE_KEY}, pg_catalog.hashtext(${literal(name)} COLLATE "C")) AS done`,
    )
    if (taken?.done !== true) throw new Error(`another session holds the lease of ${name}`)
    return session
  } catch (error) {
    await session.end()
    throw error
  }
}

const orphanName = (): string => `test_${now()}_${pid}_${randomBytes(4).toString('hex')}`

// ---- schemas and databases of a test's own -------------------------------------------------------------

/** SQL files' folder (drizzle-kit's, Prisma's, plain), statements, or a function that is given a URL. */
export type Migrations = string | readonly string[] | ((url: string) => unknown)

/** A schema that lives as long as its lease: a sweep takes what is left of a killed process. */
export class TestSchema {
  private constructor(
    readonly name: string,
    /** For pg, postgres.js and whatever else takes a URL: each connection is in the schema from its start. */
    readonly url: string,
    private readonly lease: OwnSession,
  ) {}

  /** Makes it and runs the migrations. `beside` are schemas that are searched too, such as extensions'. */
  static async create(migrations?: Migrations, { url = databaseUrl(), beside = [] as string[] } = {}): Promise<TestSchema> {
    const name = orphanName()
    const lease = await openLease(url, name)
    const schema = new TestSchema(name, withSearchPath(url, name, ...beside), lease)
    try {
      await lease.rows(`CREATE SCHEMA ${name}`)
      if (typeof migrations === 'function') await migrations(schema.url)
      else if (migrations !== undefined) {
        await lease.rows(`SET search_path = ${[name, ...beside].map(identifier).join(', ')}`)
        // drizzle-kit names "public" in its foreign keys, whatever the search path says.
        for (const one of statementsOf(migrations)) await lease.rows(one.replaceAll('"public".', `"${name}".`))
      }
    } catch (error) {
      await schema.drop().catch(noop)
      throw error
    }
    return schema
  }

  /** Drops it, some tables at a time: each takes places in the server's lock table. Close its pools before. */
  async drop(): Promise<void> {
    try {
      await this.lease.rows("SET lock_timeout = '10s'")
      const tables = await this.lease.rows(
        "SELECT c.relname AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace " +
          `WHERE n.nspname = ${literal(this.name)} AND c.relkind IN ('r', 'p') AND NOT c.relispartition`,
      )
      const names = tables.map((one) => `${this.name}.${identifier(String(one.name))}`)
      for (let from = 0; from < names.length; from += 50)
        await this.lease.rows(`DROP TABLE IF EXISTS ${names.slice(from, from + 50).join(', ')} CASCADE`)
      await this.lease.rows(`DROP SCHEMA IF EXISTS ${this.name} CASCADE`)
    } finally {
      await this.lease.end()
    }
  }
}

/** A database of a test's own, a copy of a template; cheaper than a schema from about 30 tables on. */
export class TestDatabase {
  private constructor(
    readonly name: string,
    readonly url: string,
    private readonly lease: OwnSession,
  ) {}

  static async create(template: string, { url = databaseUrl() } = {}): Promise<TestDatabase> {
    const name = orphanName()
    const lease = await openLease(url, name)
    try {
      await lease.rows(`CREATE DATABASE ${name} TEMPLATE ${identifier(template)}`)
    } catch (error) {
      await lease.end()
      throw error
    }
    return new TestDatabase(name, inDatabase(url, name), lease)
  }

  /** Drops it, whoever is connected to it. */
  async drop(): Promise<void> {
    try {
      await this.lease.rows(`DROP DATABASE IF EXISTS ${this.name} WITH (FORCE)`)
    } finally {
      await this.lease.end()
    }
  }
}

/**
 * Returns the name of a database that these migrations have made, for TestDatabase.create: built once on the
 * server, by whoever is first. What the migrations need beside their SQL goes into `key`.
 */
export async function templateDatabase(migrations: Migrations, { url = databaseUrl(), key = '' } = {}): Promise<string> {
  const texts = typeof migrations === 'function' ? [String(migrations)] : statementsOf(migrations)
  const hash = createHash('sha256').update(JSON.stringify([1, key, texts])).digest('hex').slice(0, 16)
  const name = `pgwatch_template_${hash}`
  const session = await openSession(inDatabase(url, 'postgres'), LEASE_NAME)
  const comment = (of: string): string =>
    `COMMENT ON DATABASE ${of} IS 'pgwatch-tests: template, copied by default, last used ${iso(now()).slice(0, 16)}Z'`
  try {
    await session.rows(`SELECT pg_catalog.pg_advisory_lock(${LEASE_KEY}, pg_catalog.hashtext('template:${name}'))`)
    const [found] = await session.rows(`SELECT 1 AS one FROM pg_catalog.pg_database WHERE datname = '${name}'`)
    if (found !== undefined) {
      await session.rows(comment(name))
      return name
    }
    const building = orphanName()
    const lease = await openLease(url, building)
    try {
      await lease.rows(`CREATE DATABASE ${building}`)
      try {
        if (typeof migrations === 'function') await migrations(inDatabase(url, building))
        else {
          const builder = await openSession(inDatabase(url, building), LEASE_NAME)
          try {
            for (const one of texts) await builder.rows(one)
          } finally {
            await builder.end()
          }
        }
        await lease.rows(`ALTER DATABASE ${building} WITH ALLOW_CONNECTIONS false IS_TEMPLATE true`)
        await lease.rows(comment(building))
        await lease.rows(`ALTER DATABASE ${building} RENAME TO ${name}`)
      } catch (error) {
        await lease.rows(`ALTER DATABASE ${building} IS_TEMPLATE false`).catch(noop)
        await lease.rows(`DROP DATABASE IF EXISTS ${building} WITH (FORCE)`).catch(noop)
        throw error
      }
    } finally {
      await lease.end()
    }
    return name
  } finally {
    await session.end()
  }
}

function statementsOf(migrations: string | readonly string[]): string[] {
  const texts = typeof migrations === 'string' ? filesOf(migrations).map((file) => readFileSync(file, 'utf8')) : migrations
  return texts.flatMap((text) => text.split('--> statement-breakpoint')).filter((text) => text.trim() !== '')
}

/** SQL files of a folder in their order, and each `migration.sql` of folders in it (Prisma's). */
function filesOf(folder: string): string[] {
  const files = readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name)
      if (name.endsWith('.sql')) return [path]
      return statSync(path).isDirectory() && readdirSync(path).includes('migration.sql') ? [join(path, 'migration.sql')] : []
    })
  if (files.length === 0) throw new Error(`there are no SQL files in ${folder}`)
  return files
}

// ---- named locks: pgwatch_tests.testing.lock -----------------------------------------------------------

/**
 * Runs `body` while this test alone has a named lock, or several; `shared`: beside others that share it. The
 * same locks as those of Python's `lock` and the marker `pgwatch_lock`, in the database `postgres`.
 */
export async function withLock<T>(
  names: string | readonly string[],
  body: () => T | Promise<T>,
  { shared = false, timeoutMs = 300_000, url = databaseUrl(), database = process.env.PGWATCH_LOCK_DATABASE ?? 'postgres' } = {},
): Promise<T> {
  const test = currentTest()
  const wanted = [...new Set(typeof names === 'string' ? [names] : names)].map((name) => {
    if (!/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,62}$/.test(name)) throw new Error(`'${name}' can't be the name of a lock`)
    if (test !== undefined && kit.heldLocks.get(name) === test)
      throw new Error(`this test holds the named lock ${name} already: take it once, around all that needs it`)
    return { name, key: hashtext(`lock:${name}`) }
  })
  // Everybody takes several in one order.
  wanted.sort((one, other) => one.key - other.key || (one.name < other.name ? -1 : 1))
  const suffix = shared ? '_shared' : ''
  const session = await openSession(inDatabase(url, database), test === undefined ? LEASE_NAME : applicationName(test))
  const deadline = now() + timeoutMs
  try {
    for (const { name } of wanted) {
      await session.rows(`SET lock_timeout = ${Math.max(1, Math.round(deadline - now()))}`)
      try {
        await session.rows(`SELECT pg_catalog.pg_advisory_lock${suffix}(${LEASE_KEY}, pg_catalog.hashtext('lock:${name}'))`)
      } catch (error) {
        if (codeOf(error) !== '55P03') throw error
        throw new Error(`waited ${timeoutMs / 1000} s for the named lock ${name}: ${await holdersOf(session, name)}`, { cause: error })
      }
      kit.heldLocks.set(name, test)
    }
    // The last statement of a session is what others see of it.
    if (wanted.length > 1) await session.rows(`SELECT ${wanted.map(({ name }) => `'lock:${name}'`).join(', ')}`)
    const result = await body()
    const [kept] = await session.rows(`SELECT '${wanted.map(({ name }) => `lock:${name}`).join(' ')}' AS names`).catch(() => [])
    if (kept === undefined) throw new Error('the named locks went with their connection while the test ran')
    return result
  } finally {
    for (const { name } of wanted) kit.heldLocks.delete(name)
    await session.end().catch(noop)
  }
}

async function holdersOf(session: OwnSession, name: string): Promise<string> {
  const held = await session.rows(
    "SELECT pid, (SELECT application_name FROM pg_catalog.pg_stat_get_activity(l.pid)) AS name FROM pg_catalog.pg_lock_status() l WHERE locktype = 'advisory' " +
      `AND granted AND classid = ${LEASE_KEY} AND objid = ${hashtext(`lock:${name}`) >>> 0} AND objsubid = 2`,
  )
  return held.map((one) => `${String(one.name)} (pid ${String(one.pid)}) holds it`).join(', ') || 'nobody holds it any more'
}

/** What the server's hashtext() returns on little-endian machines in UTF-8 (hash_bytes, src/common/hashfn.c). */
export function hashtext(text: string): number {
  const data = Buffer.from(text)
  const word = (at: number): number => {
    let value = 0
    for (let byte = 0; byte < 4 && at + byte < data.length; byte++) value |= (data[at + byte] ?? 0) << (8 * byte)
    return value
  }
  const turned = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))
  let [a, b, c] = Array<number>(3).fill((0x9e3779b9 + data.length + 3923095) | 0) as [number, number, number]
  const whole = data.length - (data.length % 12)
  for (let at = 0; at < whole; at += 12) {
    ;[a, b, c] = [(a + word(at)) | 0, (b + word(at + 4)) | 0, (c + word(at + 8)) | 0]
    for (const [one, two, three] of [[4, 6, 8], [16, 19, 4]] as const) {
      a = ((a - c) | 0) ^ turned(c, one)
      c = (c + b) | 0
      b = ((b - a) | 0) ^ turned(a, two)
      a = (a + c) | 0
      c = ((c - b) | 0) ^ turned(b, three)
      b = (b + a) | 0
    }
  }
  ;[a, b] = [(a + word(whole)) | 0, (b + word(whole + 4)) | 0]
  c = (c + (word(whole + 8) << 8)) | 0
  c = ((c ^ b) - turned(b, 14)) | 0
  a = ((a ^ c) - turned(c, 11)) | 0
  b = ((b ^ a) - turned(a, 25)) | 0
  c = ((c ^ b) - turned(b, 16)) | 0
  a = ((a ^ c) - turned(c, 4)) | 0
  b = ((b ^ a) - turned(a, 14)) | 0
  return ((c ^ b) - turned(b, 24)) | 0
}

// ---- races ---------------------------------------------------------------------------------------------

/** The SQLSTATE of an error, also of one that drizzle or another library has wrapped. */
export function codeOf(error: unknown): string | undefined {
  for (let one: unknown = error, depth = 0; one !== null && typeof one === 'object' && depth < 10; depth++) {
    const { code, cause } = one as { code?: unknown; cause?: unknown }
    if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return code
    one = cause
  }
  return undefined
}

/**
 * Runs all at once, and waits for all. Those that fail with one of the SQLSTATEs `loses` have lost; any other
 * error is thrown: none is swallowed. Where an exclusion constraint decides, losers may end by a deadlock as well: add
 * 40P01 there.
 */
export async function race<T>(
  runners: readonly (() => Promise<T>)[],
  { loses = ['23505', '23P01', '40001'] as readonly string[] } = {},
): Promise<{ won: T[]; lost: unknown[] }> {
  const ends = await Promise.allSettled(runners.map(async (run) => run()))
  const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
  const unexpected = errors.filter((error) => !loses.includes(codeOf(error) ?? ''))
  if (unexpected.length > 0) throw new AggregateError(unexpected, `${unexpected.length} of ${runners.length} failed, and not by losing: ${String(unexpected[0])}`)
  return { won: ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : [])), lost: errors }
}

// ---- clean-up ------------------------------------------------------------------------------------------

type Database =
  | { query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }> }
  | { unsafe(text: string, values?: never[]): PromiseLike<unknown> }

const catalogs = new WeakMap<object, Promise<Catalog>>()
interface Catalog {
  tables: { name: string; columns: string[] | null }[]
  keys: { child: string; parent: string; columns: string[]; referred: string[] }[]
}

/**
 * Deletes the rows that carry this test's mark, and those that refer to them, in one statement. For a hook or
 * `onTestFinished`: the test's body doesn't come to its end where an expectation fails. `tables` are those
 * that are searched for marks, such as `public.users`; all, if none is named.
 */
export async function cleanUp(database: Database, { tables, mark = ownMark() }: { tables?: string[]; mark?: string } = {}): Promise<void> {
  const rows = async (text: string): Promise<unknown[]> =>
    'query' in database ? (await database.query(text)).rows : [...((await database.unsafe(text)) as unknown[])]
  let catalog = catalogs.get(database)
  if (catalog === undefined) {
    catalog = rows(CATALOG).then((told) => JSON.parse((told[0] as { told: string }).told) as Catalog)
    catalogs.set(database, catalog)
  }
  const { tables: all, keys } = await catalog
  const searched = all.filter(({ name, columns }) => columns && (!tables || tables.some((one) => one === name || `public.${one}` === name)))
  if (searched.length === 0) return
  const marked = searched.map(({ name, columns }) => {
    const carry = (columns ?? []).map((column) => `t.${column}::pg_catalog.text LIKE ${literal(`%${mark}%`)}`)
    return `SELECT t.tableoid, t.ctid::pg_catalog.text FROM ${name} t WHERE ${carry.join(' OR ')}`
  })
  const referring = keys.map(({ child, parent, columns, referred }) => {
    const same = columns.map((column, at) => `p.${referred[at] ?? ''} = c.${column}`)
    return (
      `SELECT c.tableoid, c.ctid::pg_catalog.text FROM ${parent} p JOIN ${child} c ON ${same.join(' AND ')} ` +
      'WHERE p.tableoid = doomed.part AND p.ctid = doomed.place::pg_catalog.tid'
    )
  })
  // However far a reference leads, and round in a circle. PostgreSQL 13 can't tell two ctid apart, but their texts.
  const reached = referring.length > 0 ? ` UNION SELECT r.* FROM doomed CROSS JOIN LATERAL (${referring.join(' UNION ALL ')}) r` : ''
  // One statement has one snapshot, and foreign keys are looked at when it is over.
  const deletions = [...new Set([...searched.map(({ name }) => name), ...keys.map(({ child }) => child)])].map(
    (name, number) => `d${number} AS (DELETE FROM ${name} t WHERE t.ctid = ANY (ARRAY(SELECT place::pg_catalog.tid FROM doomed)) ` +
      'AND (t.tableoid, t.ctid::pg_catalog.text) IN (SELECT part, place FROM doomed))',
  )
  await rows(`WITH RECURSIVE doomed (part, place) AS ((${marked.join(' UNION ALL ')})${reached}), ${deletions.join(', ')} SELECT 1 AS done`)
}

const CATALOG = `SELECT pg_catalog.json_build_object(
  'tables', (SELECT coalesce(pg_catalog.json_agg(t), '[]') FROM (
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, (
      SELECT pg_catalog.array_agg(pg_catalog.quote_ident(a.attname)) FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND y.typcategory = 'S') AS columns
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY (pg_catalog.current_schemas(false))) t),
  'keys', (SELECT coalesce(pg_catalog.json_agg(k), '[]') FROM (
    SELECT pg_catalog.format('%I.%I', cn.nspname, c.relname) AS child, pg_catalog.format('%I.%I', pn.nspname, p.relname) AS parent,
      (SELECT pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) ORDER BY u.at) FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY u (n, at)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = u.n) AS columns,
      (SELECT pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) ORDER BY u.at) FROM pg_catalog.unnest(f.confkey) WITH ORDINALITY u (n, at)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = u.n) AS referred
    FROM pg_catalog.pg_constraint f
    JOIN pg_catalog.pg_class c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
    JOIN pg_catalog.pg_class p ON p.oid = f.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
    WHERE f.contype = 'f' AND f.conparentid = 0 AND f.confdeltype IN ('a', 'r', 'c')) k))::pg_catalog.text AS told`
