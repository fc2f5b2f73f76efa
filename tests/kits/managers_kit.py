"""The kit with Yarn 1 and 4, bun, and Node 22, as the workflow runs it."""

from __future__ import annotations

import json
import os
from dataclasses import replace

from pgwatch_tests.kit.job_commands import commands
from pgwatch_tests.kit.repository import read_repository
from pgwatch_tests.kit.suites import found_suites
from tests.kits.node_kit import attribution
from tests.kits.repositories import Place, expect

_TEST = """import pg from 'pg'
import { expect, test } from 'vitest'
import { applicationName, currentTest, uniqueEmail } from './pgwatch/pgwatch'

test('books', async () => {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
  const [shown] = (await pool.query('SHOW application_name')).rows
  expect(shown.application_name).toBe(applicationName(currentTest()!))
  await pool.query('INSERT INTO users (email) VALUES ($1)', [uniqueEmail('left')])
  await pool.end()
  expect(process.version).toMatch(new RegExp(`^v${process.env.KITS_NODE || ''}`))
})
"""
# Those that each takes on Node 20: Yarn 1 not Vitest 5, nor what Vitest 4 has for Windows alone.
_MANAGERS = {
    "yarn1": ("yarn@1.22", "yarn install", "yarn.lock", "3.2"),
    "yarn4": ("@yarnpkg/cli-dist@4", "yarn install", "yarn.lock", "5"),
    "bun": ("bun@1", "bun install", "bun.lock", "5"),
}


def run(place: Place) -> None:
    """Raises KitError at the first thing that isn't so."""
    for name, (package, install, lockfile, vitest) in _MANAGERS.items():
        own = _repository(place, name, vitest)
        path = _tool(place, package)
        # Its lockfile, as the program itself writes it; in CI, Yarn would refuse to.
        own.run(["bash", "-euc", install], variables={"PATH": path, "CI": ""})
        expect((own.root / lockfile).exists(), f"{package} writes {lockfile}")
        _run_as_workflow(own, path, locked=vitest)
    own = _repository(place, "node22", "5")
    own.run(["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"])
    _run_as_workflow(own, _tool(place, "node@22"), locked="5", node="22")


def _repository(place: Place, name: str, vitest: str) -> Place:
    own = replace(place, root=place.root / name, name=name)
    packages = {"@types/node": "22", "@types/pg": "8", "pg": "8", "vitest": vitest}
    if vitest == "5":
        # A peer of Vitest's, which Plug'n'Play wants to be named. Not Vite 8, a package of which isn't found.
        packages["vite"] = "7"
    manifest = {"name": "shop", "private": True, "type": "module", "devDependencies": packages}
    own.write("package.json", json.dumps(manifest))
    own.write("tests/booking.test.ts", _TEST)
    (own.root / ".git").mkdir(exist_ok=True)
    return own


def _tool(place: Place, package: str) -> str:
    """Installs a program by npm. Returns a PATH on which it comes first."""
    tool = replace(place, root=place.root / "tools" / package.strip("@").replace("/", "-"))
    tool.write("package.json", '{"private": true}')
    tool.run(["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error", package])
    return f"{tool.root / 'node_modules/.bin'}:{os.environ['PATH']}"


def _run_as_workflow(own: Place, path: str, *, locked: str, node: str = "") -> None:
    url = own.server.make_database(own.database)
    own.pgwatch("init", "vitest")
    repository = read_repository(own.root)
    job = commands(repository, found_suites(repository, ("vitest",)))
    version = ".".join(map(str, repository.version("vitest") or ()))
    expect(version.startswith(locked), "the lockfile's version is found", version)
    # Corepack brings the program by a download; here, it is there.
    install = job.install_node.replace("corepack enable\n", "")
    variables = {"PATH": path, "CI": "1", "SHARD": "1", "SHARDS": "1", "KITS_NODE": node}
    own.run(["bash", "-euc", install], variables=variables)
    own.run(["bash", "-euc", job.tests["vitest"]], variables=variables)
    leaks = attribution(own.document("leaks", "--dsn", url, "--tests", "test-results/junit.xml"))
    expect(leaks == {"tests/booking.test.ts > books": "marker"}, "the row is put down to its test", leaks)

    # What isn't locked isn't installed.
    manifest = json.loads((own.root / "package.json").read_text())
    manifest["devDependencies"]["split2"] = "3"
    own.write("package.json", json.dumps(manifest))
    own.run(["bash", "-euc", install], variables=variables, codes=(1,))
