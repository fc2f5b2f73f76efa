// Names, hashes and lock numbers as the helper makes them of ids: JSON in, JSON out.
import { readFileSync } from 'node:fs'
import { applicationName, digest, hashtext } from './dist/tests/pgwatch/pgwatch.js'

const identities = JSON.parse(readFileSync(0, 'utf8'))
console.log(JSON.stringify(identities.map((one) => [applicationName(one), digest(one.id), hashtext(`lock:${one.id}`)])))
