"""The kit for Jest, and for what is built on pg (Knex, TypeORM, Prisma), in parallel."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping

from tests.kits.node_kit import attribution
from tests.kits.repositories import SHOP, Place, expect

_COMMON = {"@types/node": "22", "@types/pg": "8", "pg": "8", "typescript": "5"}
_JEST = {
    **_COMMON,
    "@swc/core": "1",
    "@swc/jest": "0.2",
    "@types/jest": "30",
    "drizzle-orm": "0.45",
    "jest": "30",
    "jest-junit": "17",
    "postgres": "3",
}
_LIBRARIES = {
    **_COMMON,
    "@prisma/adapter-pg": "7",
    "@prisma/client": "7",
    "knex": "3",
    "prisma": "7",
    "typeorm": "1",
    "vitest": "5",
}
_VITEST = ("npx", "vitest", "run", "--config", "vitest.pgwatch.config.ts")


def run_jest(place: Place) -> None:
    """Raises KitError at the first thing that isn't so."""
    shutil.copytree(SHOP / "jest", place.root / "tests", dirs_exist_ok=True)
    (place.root / "tests/jest.config.js").rename(place.root / "jest.config.js")
    shutil.copy(SHOP / "tests/asking.ts", place.root / "tests")
    place.write("tsconfig.json", _tsconfig("jest"))
    install(place, _JEST, module="commonjs")
    place.pgwatch("init", "jest", "github")
    place.pgwatch("init", "jest", "github", "--check")
    place.run(["npx", "tsc", "-p", "."])

    url = place.server.make_database(place.database)
    logs, report = place.root / "logs", place.root / "test-results/junit.xml"
    # As the workflow has it.
    workflow = (place.root / ".github/workflows/pgwatch-tests.yml").read_text()
    found = re.search(r"jest\) set -- (.*) ;;", workflow)
    expect(found is not None, "the workflow runs Jest", workflow)
    command = f"SHARD=1 SHARDS=1; {found and found[1]} --maxWorkers=3"
    place.run(["bash", "-euc", command], variables={"PGWATCH_LOG_DIR": str(logs)})

    locks = json.loads((place.root / "locks.json").read_text())
    tests = {one["pid"]: one["test"] for one in locks["sessions"]}
    edges = {(tests[one["waiter_pid"]], tests.get(one["blocker_pid"])) for one in locks["edges"]}
    waits = ("> waits for a row that another test holds", "> holds a row that another test waits for")
    named = any(str(one).endswith(waits[0]) and str(other).endswith(waits[1]) for one, other in edges)
    expect(named, "locks names both tests", edges)
    file = "tests/booking.test.ts > Booking >"
    wanted = {
        f"{file} leaves a row without a mark 1": "transaction",
        f"{file} leaves a row without a mark 2": "transaction",
        f"{file} leaves a row by postgres.js": "transaction",
        f"{file} leaves a marked row": "marker",
    }
    _expect_leaks(place, wanted, "--dsn", url, "--transactions", str(logs))
    # The report alone knows whose hash it is.
    marked = {test: how for test, how in wanted.items() if how == "marker"}
    leaks = attribution(place.document("leaks", "--dsn", url, "--tests", str(report)))
    expect(marked.items() <= leaks.items(), "the report names the test of a hash", leaks)


def run_libraries(place: Place) -> None:
    """Raises KitError at the first thing that isn't so."""
    place.copy("prisma", "prisma.config.ts", "tsconfig.json")
    shutil.copytree(SHOP / "libraries", place.root / "tests", dirs_exist_ok=True)
    shutil.copy(SHOP / "tests/asking.ts", place.root / "tests")
    install(place, _LIBRARIES, module="module")
    # What it needs is in packages; its schema engine, for migrations, is downloaded from elsewhere.
    place.run(["npx", "prisma", "generate"], variables={"PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true"})
    place.pgwatch("init", "vitest")
    place.run(["npx", "tsc", "-p", "."])
    url = place.server.make_database(place.database)
    logs = place.root / "logs"
    place.run([*_VITEST, "--maxWorkers=3"], variables={"PGWATCH_LOG_DIR": str(logs)})
    knex, typeorm, prisma = (f"tests/{name}.test.ts >" for name in ("knex", "typeorm", "prisma"))
    wanted = {f"{knex} Knex leaves a row in a transaction {number}": "transaction" for number in range(3)}
    wanted |= {
        f"{knex} Knex leaves a marked row": "marker",
        f"{typeorm} TypeORM leaves a row in a transaction": "transaction",
        f"{typeorm} TypeORM leaves a row by save, which begins one": "transaction",
        f"{typeorm} TypeORM leaves a marked row": "marker",
        f"{prisma} Prisma leaves a row in a transaction": "transaction",
        f"{prisma} Prisma leaves a marked row": "marker",
    }
    _expect_leaks(place, wanted, "--dsn", url, "--transactions", str(logs))


def install(place: Place, packages: Mapping[str, str], *, module: str) -> None:
    """Writes package.json and installs. Raises KitError."""
    manifest = {"name": "shop", "private": True, "type": module, "devDependencies": packages}
    place.write("package.json", json.dumps(manifest))
    place.run(["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"])


def _expect_leaks(place: Place, wanted: Mapping[str, str], *arguments: str) -> None:
    found = attribution(place.document("leaks", *arguments))
    expect(found == wanted, "each row is put down to its test", found)


def _tsconfig(types: str) -> str:
    options = json.loads((SHOP / "tsconfig.json").read_text(encoding="utf-8"))
    options["compilerOptions"] |= {"types": ["node", types], "esModuleInterop": True}
    return json.dumps(options)
