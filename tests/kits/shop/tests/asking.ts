import { execFileSync } from 'node:child_process'
import { words } from './pgwatch/reporter'

/** What a command of pgwatch-tests prints; PGWATCH_TRIALS is a program of the kits' own. */
export function pgwatchTests(...of: string[]): string {
  const program = of[0] === 'lock-trial' ? (process.env.PGWATCH_TRIALS ?? '') : (process.env.PGWATCH_COMMAND ?? '')
  const [command = '', ...before] = words(program)
  return execFileSync(command, [...before, ...of], { encoding: 'utf8', env: { ...process.env, PGAPPNAME: '' } })
}

/** An address that the default markers know, and that says nothing of its test. */
export const unmarked = (prefix: string): string => `${prefix}.${Math.random().toString(36).slice(2)}@test.example.com`
