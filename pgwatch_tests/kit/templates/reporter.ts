// Tells after a run what each test left in the database: a reporter for Vitest and for Playwright. It asks
// `pgwatch-tests leaks`; under `pgwatch-tests run`, which tells it all, it keeps silent.
// PGWATCH=off|warn|fail; PGWATCH_COMMAND, if pgwatch-tests is called otherwise: `uvx pgwatch-tests`, the path of a
// program, or words as in a shell: `'/opt/our tools/python' -m pgwatch_tests`.
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Hands workers and servers under test what they log to, and the secret of this run: before any starts. */
export function prepareRun(): void {
  process.env.PGWATCH_SECRET ??= randomBytes(16).toString('hex')
  if (process.env.PGWATCH_LOG_DIR) return
  const directory = mkdtempSync(join(tmpdir(), 'pgwatch-kit-'))
  process.env.PGWATCH_LOG_DIR = directory
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
}

interface Leaks {
  tables: {
    schema: string
    table: string
    attribution: { test: string; confidence: string; rows: number; candidates: string[]; detail: string }[]
  }[]
  leftovers: { kind: string; name: string; detail: string }[]
  skipped: { schema: string; table: string; reason: string }[]
}

export default class PgwatchReporter {
  private readonly mode = process.env.PGWATCH ?? 'warn'
  private isOn = this.mode !== 'off' && !process.env.PGWATCH_RUN_TOKEN
  private baseline = ''

  /** Vitest's. */
  onInit(vitest?: { config?: { watch?: boolean } }): void {
    if (vitest?.config?.watch) this.isOn = false
    this.begin()
  }
  onTestRunEnd(): void {
    if (this.end()) process.exitCode = 1
  }

  /** Playwright's. */
  onBegin(): void {
    this.begin()
  }
  onEnd(): { status: 'failed' } | undefined {
    return this.end() ? { status: 'failed' } : undefined
  }
  printsToStdio(): boolean {
    return false
  }

  private begin(): void {
    prepareRun()
    if (!this.isOn || this.baseline) return
    const logs = process.env.PGWATCH_LOG_DIR ?? tmpdir()
    mkdirSync(logs, { recursive: true, mode: 0o700 })
    this.baseline = join(logs, `baseline-${process.pid}.json`)
    const done = ask('baseline', '-o', this.baseline)
    if (done.status !== 0) this.giveUp(done)
  }

  /** Returns whether the run fails by it. */
  private end(): boolean {
    if (!this.isOn || !this.baseline) return false
    const logs = process.env.PGWATCH_LOG_DIR ?? ''
    const done = ask('leaks', '--fail', '--since', this.baseline, '--transactions', logs, '--kinds', KINDS, '--format', 'json')
    rmSync(this.baseline, { force: true })
    if (done.status === null || ![0, 1, 4].includes(done.status) || !done.stdout.startsWith('{')) {
      this.giveUp(done)
      return this.mode === 'fail'
    }
    for (const line of told(JSON.parse(done.stdout) as Leaks)) console.log(line)
    return this.mode === 'fail' && done.status !== 0
  }

  private giveUp(done: Answer): void {
    this.isOn = false
    const why = done.error ? `${command()[0] ?? ''} can't be started (${done.error.message})` : done.stderr.trim().split('\n')[0]?.replace(/^pgwatch-tests: /, '')
    console.log(`\npgwatch-tests: not checked what tests left: ${why ?? ''}`)
    if (this.mode === 'fail') process.exitCode = 1
  }
}

const KINDS = 'schema,idle_in_transaction,prepared_transaction'

interface Answer {
  status: number | null
  stdout: string
  stderr: string
  error?: Error | undefined
}

const command = (): string[] => words(process.env.PGWATCH_COMMAND || 'pgwatch-tests')

/** Returns a program and its arguments: quoted as in a shell, but that `\` before any letter is itself (`C:\tools`). */
export function words(text: string): string[] {
  if (existsSync(text)) return [text]
  const quoted = /\\(["'\s\\])|'([^']*)'|"((?:\\["\\]|[^"])*)"/g
  const word = new RegExp(`(?:${quoted.source}|\\S)+`, 'g')
  return (text.match(word) ?? []).map((one) =>
    one.replace(quoted, (_, escaped?: string, single?: string, double?: string) => escaped ?? single ?? double?.replace(/\\(["\\])/g, '$1') ?? ''),
  )
}

function ask(...of: string[]): Answer {
  const [program = '', ...before] = command()
  const done = spawnSync(program, [...before, ...of], { encoding: 'utf8', maxBuffer: 1 << 28 })
  return { status: done.status, stdout: done.stdout ?? '', stderr: done.stderr ?? '', error: done.error }
}

/** The verdict by test, a line each. */
function told({ tables, leftovers, skipped }: Leaks): string[] {
  const byTest = new Map<string, string[]>()
  let rows = 0
  for (const { schema, table, attribution } of tables)
    for (const one of attribution) {
      rows += one.rows
      const test = one.test || (one.candidates.length > 0 ? `one of: ${one.candidates.join(', ')}` : '(unknown)')
      const how = one.detail || `known by ${one.confidence}`
      byTest.set(test, [...(byTest.get(test) ?? []), `    ${one.rows} row${one.rows === 1 ? '' : 's'} of ${schema}.${table} (${how})`])
    }
  const lines = ['']
  if (rows === 0) lines.push('pgwatch-tests: no rows with a marker are left')
  else lines.push(`pgwatch-tests: ${rows} row${rows === 1 ? '' : 's'} left by ${byTest.size} test${byTest.size === 1 ? '' : 's'}`)
  for (const [test, own] of byTest) lines.push(`  ${plain(test)}`, ...own.map(plain))
  for (const one of leftovers) lines.push(`  ${one.kind.replaceAll('_', ' ')} ${plain(one.name)}: ${plain(one.detail)}`)
  for (const one of skipped) lines.push(`  not checked: ${plain(`${one.schema}.${one.table}`)}: ${plain(one.reason)}`)
  return lines
}

const plain = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
