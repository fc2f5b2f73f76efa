// Names, hashes, lock numbers and headers of requests as the helper makes them of ids: JSON in, JSON out.
import { readFileSync } from 'node:fs'
import { applicationName, digest, HEADER, hashtext, requestHeaders } from './dist/tests/pgwatch/pgwatch.js'

const identities = JSON.parse(readFileSync(0, 'utf8'))
const told = (one) => [applicationName(one), digest(one.id), hashtext(`lock:${one.id}`), requestHeaders(one)[HEADER]]
console.log(JSON.stringify(identities.map(told)))
