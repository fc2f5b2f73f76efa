"""The kit for Vitest and Playwright in a fresh repository, run in parallel on a live server."""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pgwatch_tests.identity.application_name import compose, digest
from pgwatch_tests.identity.lease_names import hashtext
from pgwatch_tests.testing.http.header import SECRET_VARIABLE, sender
from tests import chromium
from tests.kits.kit_server import free_port
from tests.kits.repositories import CHECKOUT, SHOP, Place, expect
from tests.kits.waiting_locks import PROGRAM

_PACKAGES = {
    "@types/node": "22",
    "@types/pg": "8",
    "drizzle-orm": "0.45",
    "pg": "8",
    "postgres": "3",
    "typescript": "5",
}
# Not by npx, which takes half a second to find it.
_PROGRAMS = "node_modules/.bin"
_VITEST = (f"{_PROGRAMS}/vitest", "run", "--config", "vitest.pgwatch.config.ts")
_NAMES = 3_000
_COST_LIMIT_MS = 1.5


def run(place: Place, vitest: str, *, playwright: bool = False, cost: bool = False) -> None:
    """Raises KitError at the first thing that isn't so."""
    place.copy("tests", "server", "tsconfig.json", "names.mjs")
    if playwright:
        place.copy("e2e", "playwright.config.ts")
    install(place, vitest, playwright=playwright)
    parts = ["vitest", *(["playwright"] if playwright else [])]
    place.pgwatch("init", *parts)
    place.pgwatch("init", *parts, "--check")
    place.run([f"{_PROGRAMS}/tsc", "-p", "."])
    _check_names(place)
    _check_told(place)
    _check_vitest(place, ("--minWorkers=3",) if vitest.startswith("3") else ())
    _check_killed(place)
    if playwright:
        _check_playwright(place)
    if cost:
        _measure(place)


def install(place: Place, vitest: str, *, playwright: bool) -> None:
    """Writes package.json and installs. Raises KitError."""
    packages = {**_PACKAGES, "vitest": vitest, **({"@playwright/test": "1"} if playwright else {})}
    manifest = {"name": "shop", "private": True, "type": "module", "devDependencies": packages}
    place.write("package.json", json.dumps(manifest))
    place.run(
        ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"],
        variables={"PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"},
    )


def _compile_server(place: Place) -> None:
    options = "--outDir dist --rootDir . --module nodenext --moduleResolution nodenext --target es2022"
    files = ["server/server.ts", *options.split(), "--skipLibCheck", "--types", "node"]
    place.run([f"{_PROGRAMS}/tsc", *files])


def _check_names(place: Place) -> None:
    """The helper's names, hashes and lock numbers are Python's, which takes its headers of requests."""
    _compile_server(place)
    identities = list(_identities(_NAMES))
    os.environ[SECRET_VARIABLE] = secret = secrets.token_hex(16)
    variables = {SECRET_VARIABLE: secret}
    told = json.loads(place.run(["node", "names.mjs"], variables=variables, stdin=json.dumps(identities)))
    for one, (name, hash_, number, header) in zip(identities, told, strict=True):
        own = [
            compose(one["runner"], one["worker"], one["id"]),
            digest(one["id"]),
            hashtext(f"lock:{one['id']}"),
        ]
        expect(own == [name, hash_, number], f"the names of {one}", [own, [name, hash_, number]])
        owner = sender(header)
        expect(owner is not None and owner.name == one["id"], f"the header of {one} is its own", owner)
    del os.environ[SECRET_VARIABLE]


def _identities(number: int) -> Iterable[dict[str, str]]:
    drawn = random.Random(7)
    letters = "abcxyz XYZ019 >./_-[]'\"\\\t\x7füñ→é漢字🙂\u2028"
    for _ in range(number):
        yield {
            "runner": drawn.choice(("vitest", "playwright", "jest")),
            "worker": drawn.choice(("", "1", "12", "gw0")),
            "id": "".join(drawn.choices(letters, k=drawn.choice((1, 20, 55, 63, 64, 70, 300)))),
        }


def _check_told(place: Place) -> None:
    """The reporter tells what docs/init.md shows."""
    place.server.make_database(place.database)
    output = place.run([*_VITEST, "tests/told.test.ts"], variables={"CI": "1"}).replace("told", "booking")
    page = (CHECKOUT / "docs" / "init.md").read_text(encoding="utf-8")
    shown = re.findall(r"<!-- output: reporter -->\n```text\n(.*?)```", page, re.DOTALL)
    expect(len(shown) == 1 and shown[0] in output, "docs/init.md shows what the reporter tells", output)


def _check_vitest(place: Place, options: Sequence[str]) -> None:
    # Two tests wait for each other. Vitest 3 may start a second worker late.
    url = place.server.make_database(place.database)
    (place.root / "trial.mjs").write_text(PROGRAM)
    trials = f"node {place.root / 'trial.mjs'}"
    logs = place.root / "logs"
    files = [f"tests/{name}.test.ts" for name in ("booking", "holder", "waiter")]
    output = place.run(
        [*_VITEST, "--maxWorkers=3", *options, *files],
        variables={"PGWATCH_TRIALS": trials, "CI": "1", "PGWATCH_LOG_DIR": str(logs)},
    )
    expect("warning" not in output.lower(), "no warning comes with the kit", output)
    expect((place.root / "test-results/junit.xml").stat().st_size > 0, "there is a JUnit report")

    # Who held, and who waited, by their names.
    locks = json.loads((place.root / "locks.json").read_text())
    tests = {one["pid"]: one["test"] for one in locks["sessions"]}
    edges = {(tests[one["waiter_pid"]], tests.get(one["blocker_pid"])) for one in locks["edges"]}
    waiter, holder = "waits for a row that another test holds", "holds a row that another test waits for"
    expect(
        any(str(one).endswith(waiter) and str(other).endswith(holder) for one, other in edges),
        "locks names both tests",
        edges,
    )

    # Who left what, in the reporter's verdict and in `leaks`.
    leaks = place.document("leaks", "--dsn", url, "--transactions", str(logs))
    found = attribution(leaks)
    file = "tests/booking.test.ts >"
    wanted = {f"{file} concurrent > number {number}": "transaction" for number in range(5)}
    wanted |= {
        f"{file} leaks > a marked row": "marker",
        f"{file} leaks > a row without a mark, in a transaction": "transaction",
        f"{file} leaks > a row without a mark, by postgres.js": "transaction",
    }
    expect(found == wanted, "each row is put down to its test", found)
    told = re.findall(r"^  (tests/\S+ > .*)$", output, re.MULTILINE)
    expect(set(told) == set(wanted), "the reporter tells the same", output)


def attribution(leaks: Any) -> dict[str, str]:
    """Returns how surely each test is known to have left a row, by a document of `leaks`."""
    return {
        one["test"]: one["confidence"]
        for table in leaks["tables"]
        for one in table["attribution"]
        for _ in range(one["rows"])
    }


def _check_killed(place: Place) -> None:
    """A killed worker's schema is an orphan to a sweep."""
    output = place.run(
        [*_VITEST, "tests/killed.test.ts", "tests/overlap.test.ts"],
        codes=(0, 1),
        variables={"KITS_KILL": "1", "PGWATCH": "off"},
    )
    expect("✓ tests/overlap.test.ts" in output, "statements stay in their order", output)
    dsn = place.server.url(place.database)
    swept = place.document("sweep", "--dsn", dsn, "--yes", "--only", "schemas", "--min-age", "0s")
    expect(len(list(_listed(swept["schemas_dropped"]))) == 1, "the schema of a killed worker goes", swept)


def _listed(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else ()


def run_playwright(place: Place) -> None:
    """Servers of two origins, and hooks: raises KitError at the first thing that isn't so."""
    place.copy("server", "tsconfig.json", "playwright.config.ts")
    shutil.copytree(SHOP / "origins", place.root / "e2e", dirs_exist_ok=True)
    place.write("tests/.gitkeep", "")  # where the helper goes
    install(place, "5", playwright=True)
    place.pgwatch("init", "playwright")
    place.run([f"{_PROGRAMS}/tsc", "-p", "."])
    _compile_server(place)
    file = "[chromium] third-party.spec.ts"
    wanted = {
        # Of its hooks, not of its first test.
        file: "transaction",
        f"{file} > a page tells its server alone which test it is for": "marker",
        f"{file} > requests of a test tell its server alone": "marker",
    }
    _check_e2e(place, wanted)


def _check_playwright(place: Place) -> None:
    file = "[chromium] sign-up.spec.ts > a server under test >"
    wanted = {
        f"{file} has the name of the test whose page it serves": "marker",
        f"{file} is told whose row without a mark it makes 1": "transaction",
        f"{file} is told whose row without a mark it makes 2": "transaction",
        f"{file} believes nobody without the secret of the run": "marker",
    }
    _check_e2e(place, wanted)
    for report in ("junit.xml", "blob"):
        expect((place.root / "test-results" / report).exists(), f"there is {report}")


def _check_e2e(place: Place, wanted: Mapping[str, str]) -> None:
    """Runs Playwright; the rows that are left are those of `wanted`, known in that way."""
    url = place.server.make_database(place.database)
    expect(chromium.PROGRAM is not None, "there is a Chromium")
    logs = place.root / "e2e-logs"
    output = place.run(
        [f"{_PROGRAMS}/playwright", "test", "--config", "playwright.pgwatch.config.ts"],
        variables={
            "CHROMIUM_PATH": str(chromium.PROGRAM),
            "CI": "1",
            "PORT": str(free_port()),
            "PGWATCH_LOG_DIR": str(logs),
        },
    )
    found = attribution(place.document("leaks", "--dsn", url, "--transactions", str(logs)))
    expect(found == wanted, "each row that the server made is put down to its test", found)
    expect(all(f"  {test}\n" in output for test in wanted), "the reporter tells them", output)


def _measure(place: Place) -> None:
    place.server.make_database(place.database)
    variables = {"KITS_COST": "1", "PGWATCH": "off", "PGWATCH_LOG_DIR": str(place.root / "cost-logs")}
    # Without the listener in between, which is slower than the server.
    variables["DATABASE_URL"] = place.server.server.dsn(place.database)
    place.run([*_VITEST, "tests/cost.test.ts"], variables=variables)
    took = json.loads((place.root / "cost.json").read_text())
    more = took["on"] - took["off"]
    print(f"{place.name}: the helper costs a test {more:.2f} ms ({took})", file=sys.stderr)
    expect(more <= _COST_LIMIT_MS, f"a test costs at most {_COST_LIMIT_MS} ms more", took)
