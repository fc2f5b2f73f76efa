"""Files of the kit for Vitest, Playwright and pytest, and the lines that they need elsewhere. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pgwatch_tests.kit.plan import KIT_VERSION, Lines
from pgwatch_tests.kit.repository import PYTEST_TESTS, Repository
from pgwatch_tests.kit.suites import Suites
from pgwatch_tests.kit.templates import render

VITEST_CONFIG, PLAYWRIGHT_CONFIG = "vitest.pgwatch.config.ts", "playwright.pgwatch.config.ts"
JEST_SETUP = "jest.setup.ts"

_AROUND_EACH = (4, 1, 0)
_NO_POOL_OPTIONS = (4, 0, 0)
_JOB_SUMMARY = (4, 1, 0)
_RETRY_STRATEGY = (1, 65, 0)
_DEVICES: Mapping[str, str] = {
    "chromium": "Desktop Chrome",
    "firefox": "Desktop Firefox",
    "webkit": "Desktop Safari",
    "mobile safari": "iPhone 15",
    "safari": "Desktop Safari",
    "mobile": "Pixel 7",
}
_ADDING: Mapping[str, str] = {
    "uv": "uv add --dev",
    "poetry": "poetry add --group dev",
    "pdm": "pdm add --dev --group dev",
}
_EXISTING = """  const given: unknown = own
  const call = given as (of: typeof env) => unknown
  const existing = (typeof given === 'function' ? await call(env) : await given) as ViteUserConfig"""
_RETRY = """  // Retried alone at the end, a test hides whom it got in the way of.
  retryStrategy: 'immediate',"""
_MOCK = """vi.mock('postgres', async (original) => {
  const { namedPostgres } = await import('./pgwatch')
  const real = await original<{ default: (...of: never[]) => object }>()
  return { ...real, default: namedPostgres(real.default) }
})
"""
_JEST_MOCK = "jest.doMock('postgres', () => namedPostgres(jest.requireActual('postgres')))"
_JEST = (
    "declare const jest: { doMock(name: string, make: () => unknown): void; "
    "requireActual<T extends (...of: never[]) => unknown>(name: string): T }"
)
_BUILT_ON_PG = ("@prisma/adapter-pg", "knex", "typeorm", "drizzle-orm", "sequelize")


@dataclass(frozen=True, slots=True)
class HelperStatements:
    """Statements of the package that the TypeScript helper has too: `queries/leaks/<name>.sql`."""

    transaction_written: str
    transaction_database: str


def helper_files(repository: Repository, statements: HelperStatements) -> Iterator[tuple[str, str]]:
    """Yields the helper and the reporter, which Vitest and Playwright share: path and text."""
    helper = render(
        "pgwatch.ts",
        version=str(KIT_VERSION),
        written=bare(statements.transaction_written),
        database=bare(statements.transaction_database),
    )
    yield f"{repository.helpers}/pgwatch.ts", helper
    yield f"{repository.helpers}/reporter.ts", render("reporter.ts")


def vitest_files(repository: Repository) -> Iterator[tuple[str, str]]:
    """Yields the files for Vitest: those that fit its version."""
    has_around = (repository.version("vitest") or _AROUND_EACH) >= _AROUND_EACH
    name = "vitest.setup.around.ts" if has_around else "vitest.setup.ts"
    has_js = repository.uses("postgres")
    setup = render(
        name,
        vi=", vi" if has_js else "",
        mock=_MOCK.replace("./pgwatch", f"./pgwatch{_ending(repository)}") if has_js else "",
        **_hooks(repository),
    )
    yield f"{repository.helpers}/vitest.setup.ts", setup
    yield VITEST_CONFIG, _vitest_config(repository)


def _vitest_config(repository: Repository) -> str:
    node = repository.node
    existing, text = (node.vitest_config, node.vitest_text) if node else ("", "")
    aliases = {} if node is None or re.search(r"\balias\b|tsconfigPaths", text) else node.aliases
    listed = ", ".join(
        f"{json.dumps(one)}: join(process.cwd(), {json.dumps(to)}) + '/'" for one, to in aliases.items()
    )
    # Vitest's default takes the files of Playwright for its own.
    excludes = repository.uses("@playwright/test") and not re.search(r"\b(include|exclude|dir)\s*:", text)
    return render(
        "vitest.config.ts",
        run=f"{run_command(repository)} vitest run",
        config=VITEST_CONFIG,
        helpers=repository.helpers,
        begin=f"export default defineConfig({'async (env)' if existing else '()'} => {{",
        own=_import_of(existing, repository) if existing else "",
        existing=_EXISTING if existing else "  const existing: ViteUserConfig = {}",
        defaults="configDefaults, " if excludes else "",
        exclude=f"      exclude: [...configDefaults.exclude, '{_of_playwright(repository)}'],"
        if excludes
        else "",
        alias_import="import { join } from 'node:path'" if aliases else "",
        alias=f"    resolve: {{ alias: {{ {listed} }} }}," if aliases else "",
        github_reporter=_github_reporter(repository),
    )


def _of_playwright(repository: Repository) -> str:
    # In a directory that Vitest's tests may be in as well, Playwright's are told by their usual ending.
    e2e = repository.e2e
    return (
        f"{e2e}/**" if e2e not in (".", "src", "test", "tests") else f"{e2e}/**/*.spec.*".removeprefix("./")
    )


def vitest_lines(repository: Repository) -> Iterator[Lines]:
    """Yields what is to be added, or changed, for Vitest."""
    run = f"{run_command(repository)} vitest run --config {VITEST_CONFIG}"
    yield Lines("package.json, scripts", "to run the suite with the kit", f'"test:pgwatch": "{run}"')
    node = repository.node
    text, config = (node.vitest_text, node.vitest_config) if node else ("", "")
    version = repository.version("vitest") or _AROUND_EACH
    if re.search(r"\b(projects|workspace)\s*:", text):
        setup = f"setupFiles: ['./{repository.helpers}/vitest.setup.ts']"
        yield Lines(f"{config}, test of each project", "a project has set-up files of its own", setup)
    if re.search(r"\bworkspace\s*:", text) and version >= _NO_POOL_OPTIONS:
        yield Lines(config, "Vitest 4 has no test.workspace", "projects: [ … ]")
    yield from _own_reporters(text, VITEST_CONFIG)
    if "poolOptions" in text and version >= _NO_POOL_OPTIONS:
        yield Lines(
            config,
            "Vitest 4 ignores test.poolOptions; maxConcurrency isn't the number of workers either",
            "pool: 'forks', isolate: true, maxWorkers: '50%'",
        )


def _own_reporters(text: str, config: str) -> Iterator[Lines]:
    if match := re.search(r"\breporters?\s*:", text):
        why = (
            "these stand in place of the suite's own: add those of them that you need, the file is yours then"
        )
        yield Lines(config, why, f"{match[0]} [ … ]")


def jest_files(repository: Repository) -> Iterator[tuple[str, str]]:
    """Yields the file for Jest: what names the sessions of each test."""
    has_js = repository.uses("postgres")
    hooks = _hooks(repository)
    if has_js:
        hooks["names"] += "namedPostgres, "
    setup = render("jest.setup.ts", jest=_JEST if has_js else "", mock=_JEST_MOCK if has_js else "", **hooks)
    yield f"{repository.helpers}/{JEST_SETUP}", setup


def jest_lines(repository: Repository) -> Iterator[Lines]:
    """Yields what is to be added for Jest."""
    setup = f"setupFilesAfterEnv: ['<rootDir>/{repository.helpers}/{JEST_SETUP}']"
    yield Lines("jest.config", "so that each test names its sessions", setup)
    if not repository.uses("jest-junit"):
        add = f"{repository.node.manager if repository.node else 'npm'} add -D jest-junit"
        yield Lines("a shell", "reports of the workflow's shards come from it", add)


def driver_lines(repository: Repository) -> Iterator[Lines]:
    """Yields what is to be added where no driver is a dependency, but what is built on one."""
    if not repository.uses("pg") and not repository.uses("postgres"):
        for package in filter(repository.uses, _BUILT_ON_PG):
            why = f"so that sessions are named: {package} is built on pg, and has to find this copy of it"
            yield Lines("package.json, devDependencies; then run init again", why, '"pg": "^8"')
            return


def playwright_files(repository: Repository, suites: Suites) -> Iterator[tuple[str, str]]:
    """Yields the files for Playwright."""
    yield f"{repository.helpers}/playwright.ts", render("playwright.ts", **_hooks(repository))
    existing = repository.node.playwright_config if repository.node else ""
    projects = "\n".join(_project(one.project) for one in suites.of("playwright") if one.project)
    has_strategy = (repository.version("@playwright/test") or (0, 0, 0)) >= _RETRY_STRATEGY
    yield (
        PLAYWRIGHT_CONFIG,
        render(
            "playwright.config.ts",
            run=f"{run_command(repository)} playwright test",
            config=PLAYWRIGHT_CONFIG,
            helpers=repository.helpers,
            js=_ending(repository),
            existing=_import_of(existing, repository) if existing else "const own: PlaywrightTestConfig = {}",
            types="" if existing else "type PlaywrightTestConfig, ",
            devices="" if existing or not projects else "devices, ",
            test_dir=f"./{repository.e2e}",
            retry_strategy=_RETRY if has_strategy else "",
            projects="" if existing or not projects else f"  projects: [\n{projects}\n  ],",
        ),
    )


def playwright_lines(repository: Repository) -> Iterator[Lines]:
    """Yields what is to be added for Playwright."""
    up = PurePosixPath(*[".."] * len(PurePosixPath(repository.e2e).parts))
    yield Lines(
        f"{repository.e2e}/*.spec.ts",
        "instead of '@playwright/test', so that each request says which test it is for",
        f"import {{ expect, test }} from '{up}/{repository.helpers}/playwright'",
    )
    yield Lines(
        "the server under test",
        "so that its sessions have the name of the test that sent the request; without PGWATCH_SECRET, as in "
        "production, it passes each request on",
        f"import {{ forTests }} from './{repository.helpers}/pgwatch'\napp.use(forTests)",
    )
    yield from _own_reporters(repository.node.playwright_text if repository.node else "", PLAYWRIGHT_CONFIG)
    run = f"{run_command(repository)} playwright test --config {PLAYWRIGHT_CONFIG}"
    yield Lines("package.json, scripts", "to run the suite with the kit", f'"e2e:pgwatch": "{run}"')


def pytest_files(repository: Repository) -> Iterator[tuple[str, str]]:
    """Yields the file for pytest: tests that show that the set-up works."""
    tests = repository.python.tests if repository.python else "tests"
    yield (f"{tests}/{PYTEST_TESTS}" if tests != "." else PYTEST_TESTS), render("pytest_kit.txt")


def pytest_lines(repository: Repository, suites: Suites) -> Iterator[Lines]:
    """Yields what is to be added for pytest."""
    python = repository.python
    needed = ["pgwatch-tests", "pytest-xdist"]
    if any(one.shards > 1 for one in suites.of("pytest")):
        needed.append("pytest-split")
    add = _ADDING.get(python.manager if python else "pip", "")
    file = python.requirements if python else "requirements.txt"
    if not add and file == "pyproject.toml":
        yield Lines(f"{file}, beside pytest", "what the tests need", ", ".join(map(json.dumps, needed)))
    else:
        text = f"{add} {' '.join(needed)}" if add else "\n".join(needed)
        yield Lines("a shell" if add else file, "what the tests need", text)
    config = python.config if python else "pyproject.toml"
    section = {"pyproject.toml": "[tool.pytest.ini_options]", "setup.cfg": "[tool:pytest]"}.get(
        config, "[pytest]"
    )
    value = '"warn"' if config == "pyproject.toml" else "warn"
    yield Lines(config, "to tell what each test leaves", f"{section}\npgwatch = {value}")


def run_command(repository: Repository) -> str:
    """Returns what runs a program of the Node package: `pnpm exec`."""
    manager = repository.node.manager if repository.node else "npm"
    return {"npm": "npx", "pnpm": "pnpm exec", "yarn": "yarn", "bun": "bunx"}[manager]


def bare(statement: str) -> str:
    """Returns a statement without the comments at its beginning and the semicolon at its end."""
    lines = [line for line in statement.splitlines() if not line.startswith("--")]
    return "\n".join(lines).strip().removesuffix(";")


def _hooks(repository: Repository) -> dict[str, str]:
    """Returns the import and the call that name the sessions of `pg`, where the repository has it.

    What is only built on pg (Knex, an adapter of Prisma's) may not have it among its own dependencies.
    """
    has_pg = repository.uses("pg")
    return {
        "pg_import": "import pg from 'pg'" if has_pg else "",
        "names": "nameSessions, " if has_pg else "",
        "hooks": "nameSessions(pg)" if has_pg else "",
        "js": _ending(repository),
    }


def _import_of(config: str, repository: Repository) -> str:
    stem, _, ending = config.rpartition(".")
    # A file `.mts` is found by `.mjs` alone, by TypeScript, Vite and Playwright alike.
    module = f".{ending[0]}js" if ending[0] in "cm" else _ending(repository)
    return f"import own from './{stem}{module}'"


def _ending(repository: Repository) -> str:
    return ".js" if repository.node and repository.node.has_js_endings else ""


def _github_reporter(repository: Repository) -> str:
    if (repository.version("vitest") or _JOB_SUMMARY) < _JOB_SUMMARY:
        return "'github-actions'"
    # One summary of all shards is written by the last job.
    return "['github-actions', { jobSummary: { enabled: false } }] as ['github-actions', object]"


def _project(name: str) -> str:
    return f"    {{ name: {json.dumps(name)}, use: {{ ...devices[{json.dumps(_device(name))}] }} }},"


def _device(project: str) -> str:
    slug = project.lower()
    return next((device for word, device in _DEVICES.items() if word in slug), _DEVICES["chromium"])
