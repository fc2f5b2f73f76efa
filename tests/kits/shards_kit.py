"""Six shards on one server, of Vitest, Playwright and pytest, one of them killed: one summary of all."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from markdown_it import MarkdownIt

from tests import chromium
from tests.kits.kit_server import free_port
from tests.kits.node_kit import install
from tests.kits.repositories import Place, expect

_SUITES = {
    "database": "external",
    "suites": [
        {"name": "integration", "runner": "vitest", "shards": 2},
        {"name": "e2e-chromium", "runner": "playwright", "project": "chromium", "shards": 2},
        {"name": "pytest", "runner": "pytest", "shards": 2},
    ],
}
_VITEST = """import pg from 'pg'
import { expect, test } from 'vitest'
import { currentTest, uniqueEmail } from './pgwatch/pgwatch'

test('books', async () => {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
  await pool.query('INSERT INTO users (email) VALUES ($1)', [uniqueEmail('NAME')])
  // Long enough for the recorder to see it.
  await pool.query('SELECT pg_sleep(1.5)')
  await pool.end()
  if ('NAME' === 'killed') {
    process.kill(process.ppid, 'SIGKILL')
    await new Promise(() => {})
  }
  expect(currentTest()?.id).toBe('tests/NAME.test.ts > books')
})
"""
_PYTEST = """
import psycopg
import pytest

from pgwatch_tests.testing import unique_email


@pytest.mark.parametrize("number", range(6))
def test_books(pgwatch_dsn, number):
    with psycopg.connect(pgwatch_dsn) as connection:
        connection.execute("UPDATE users SET clerk_id = %s WHERE email = 'seed@shop.example'", [str(number)])
        connection.execute("INSERT INTO users (email) VALUES (%s)", [unique_email("left")])
        connection.execute("SELECT pg_sleep(0.5)")
    assert number != 5
"""
_PAGE = """<!doctype html><meta charset=utf-8><title>Summary</title>
<style>
body {{ font: 14px sans-serif; max-width: 980px; margin: 2em auto }}
td, th {{ border: 1px solid #d0d7de; padding: 6px 13px }}
table {{ border-collapse: collapse }}
code, pre {{ background: #f6f8fa }}
</style>{body}"""


def run(place: Place) -> None:
    """Raises KitError at the first thing that isn't so. Leaves `summary.html` in the repository."""
    place.copy("server", "e2e", "tsconfig.json", "playwright.config.ts")
    for name in ("first", "second", "killed", "last"):
        place.write(f"tests/{name}.test.ts", _VITEST.replace("NAME", name))
    place.write("tests/test_bookings.py", _PYTEST)
    place.write("pytest.ini", "[pytest]\npgwatch = warn\n")
    place.write("pgwatch.suites.json", json.dumps(_SUITES))
    install(place, "5", playwright=True)
    place.pgwatch("init", "vitest", "playwright", "pytest", "github")
    options = "--outDir dist --rootDir . --module nodenext --moduleResolution nodenext --target es2022"
    place.run(["npx", "tsc", "server/server.ts", *options.split(), "--skipLibCheck", "--types", "node"])
    place.server.make_database(place.database)

    shards = [(suite, shard) for suite in ("integration", "e2e-chromium", "pytest") for shard in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        codes = dict(zip(shards, pool.map(lambda one: _run_shard(place, *one), shards), strict=True))
    killed = [f"{suite}-{shard}" for (suite, shard), code in codes.items() if code == 137]
    expect(len(killed) == 1 and codes["pytest", 2] == 1, "one is killed, and one test fails", codes)

    arguments = ["results/*/junit.xml", "--results", "results"]
    arguments += ["--shards", "integration:2,e2e-chromium:2,pytest:2"]
    place.pgwatch("junit", *arguments, "-o", "merged.xml")
    place.pgwatch("junit", *arguments, "--format", "markdown", "-o", "summary.md")
    place.pgwatch("junit", *arguments, "--fail", codes=(1,))
    document = place.document("junit", *arguments)
    told = [str(one) for one in _items(document["findings"])]
    expect(any(killed[0] in one and "signal 9" in one for one in told), "the killed shard is told", told)
    totals = document["totals"]
    expect(isinstance(totals, dict) and totals["failed"] == 1, "one test failed", totals)
    leaks = place.document("leaks", "--transactions", str(_logs(place.root)))
    expect(leaks["total"] != 0, "rows are left, by tests of three runners", leaks)
    markdown = (place.root / "summary.md").read_text(encoding="utf-8")
    page = _PAGE.format(body=MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown))
    (place.root / "summary.html").write_text(page, encoding="utf-8")


def _run_shard(place: Place, suite: str, shard: int) -> int:
    """Runs what the workflow's step does. Returns its exit code."""
    results = f"results/results-{suite}-{shard}-attempt-1"
    variables: Mapping[str, str] = {
        "CI": "1",
        "PGWATCH_RUN": "5e6f7a8b",
        "PGWATCH_RESULTS": results,
        "PORT": str(free_port()),
        "CHROMIUM_PATH": chromium.PROGRAM or "",
    }
    commands = {
        "integration": f"npx vitest run --config vitest.pgwatch.config.ts --shard={shard}/2 --maxWorkers=1",
        "e2e-chromium": f"npx playwright test --config playwright.pgwatch.config.ts --shard={shard}/2",
        "pytest": f"{sys.executable} -m pytest -n 2 --junit-xml={results}/junit.xml "
        + " ".join(f"tests/test_bookings.py::test_books[{n}]" for n in range(3 * shard - 3, 3 * shard)),
    }
    place_ = f"-o {results}/pgwatch --junit {results}/junit.xml"
    wrapper = f"-m pgwatch_tests run --name {suite}-{shard} {place_} --"
    command = [sys.executable, *wrapper.split(), *commands[suite].split()]
    return place.code(command, variables=variables)


def _logs(root: Path) -> Path:
    """Puts the transaction logs of all shards into one directory."""
    together = root / "all-logs"
    together.mkdir(exist_ok=True)
    for log in root.glob("results/**/logs/*.jsonl"):
        shutil.copy(log, together)
    return together


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
