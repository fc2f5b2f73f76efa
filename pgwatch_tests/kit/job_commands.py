"""Commands of CI jobs: what installs, migrates and runs the suites, and looks at all of them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pgwatch_tests.kit.repository import Repository
from pgwatch_tests.kit.runner_files import PLAYWRIGHT_CONFIG, VITEST_CONFIG, run_command
from pgwatch_tests.kit.suites import Runner, Suites

POSTGRES_IMAGE = "postgres:18"
PYTHON = "3.13"
NODE_RUNNERS: tuple[Runner, ...] = ("vitest", "jest", "playwright")

_NODE = "24"
_RESULTS = '"${PGWATCH_RESULTS:-test-results}"'
_PYTEST_REPORT = f"--junit-xml={_RESULTS}/junit.xml"
# Ids of tests are those of the helper's hashes: docs/test-ids.md.
_JEST_REPORT = (
    f"env JEST_JUNIT_OUTPUT_FILE={_RESULTS}/junit.xml JEST_JUNIT_ADD_FILE_ATTRIBUTE=true "
    "JEST_JUNIT_ANCESTOR_SEPARATOR=' > ' JEST_JUNIT_CLASSNAME='{classname}' JEST_JUNIT_TITLE='{title}'"
)
_INSTALL: Mapping[str, str] = {
    "npm": "npm ci",
    "pnpm": "pnpm install --frozen-lockfile",
    "yarn": "yarn install --immutable",
    "bun": "bun install --frozen-lockfile",
}
_PREFIXES: Mapping[str, str] = {"uv": "uv run ", "poetry": "poetry run ", "pdm": "pdm run "}


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of a repository's jobs. Empty where it has none."""

    install_node: str
    install_python: str
    migrate: str
    browsers: str
    tests: Mapping[Runner, str]
    """For a POSIX shell; $SHARD, $SHARDS and $PROJECT are set."""
    merge_blobs: str


def commands(repository: Repository, suites: Suites) -> Commands:
    """Returns the commands of a repository's jobs."""
    run = run_command(repository)
    manager = repository.node.manager if repository.node else "npm"
    # Node 25 and newer come without Corepack.
    has_corepack = int(node_version(repository).partition(".")[0]) < 25
    corepack = "corepack enable\n" if has_corepack else "npm install -g corepack\ncorepack enable\n"
    enable = corepack if manager in ("pnpm", "yarn") else ""
    node = repository.node
    install_node = f"{manager} install"
    if node and node.is_classic_yarn:
        install_node = "yarn install --frozen-lockfile"  # Yarn 1 ignores --immutable
    elif node and node.is_locked:
        install_node = _INSTALL[manager]
    python = repository.python
    has_split = any(one.shards > 1 for one in suites.of("pytest"))
    prefix = _PREFIXES.get(python.manager if python else "", "")
    split = ' --splits "$SHARDS" --group "$SHARD"' if has_split else ""
    shard, project = '"--shard=$SHARD/$SHARDS"', '${PROJECT:+"--project=$PROJECT"}'
    tests: dict[Runner, str] = {
        "vitest": f"{run} vitest run --config {VITEST_CONFIG} {shard}",
        "jest": f"{_JEST_REPORT} {run} jest --ci --reporters=default --reporters=jest-junit {shard}",
        "playwright": f"{run} playwright test --config {PLAYWRIGHT_CONFIG} {project} {shard}",
        "pytest": f"{prefix}python -m pytest -n auto --pgwatch=warn {_PYTEST_REPORT}{split}",
    }
    migrations = {
        "drizzle": f"{run} drizzle-kit migrate",
        "prisma": f"{run} prisma migrate deploy",
        "knex": f"{run} knex migrate:latest",
        "alembic": f"{prefix}alembic upgrade head",
        # Django's runner makes a database of its own.
        "django": "",
    }
    install_python = python.install if python else ""
    if python and python.manager != "pip":
        install_python = f"pipx install {python.manager}\n{install_python}"
    return Commands(
        install_node=enable + install_node if repository.node else "",
        install_python=install_python,
        migrate=migrations.get(repository.migrator or "", ""),
        browsers=f"{run} playwright install --with-deps{_browsers(repository, suites)}",
        tests={runner: tests[runner] for runner in dict.fromkeys(one.runner for one in suites.suites)},
        merge_blobs=f"{run} playwright merge-reports --reporter=html all-blobs",
    )


def _browsers(repository: Repository, suites: Suites) -> str:
    """Returns the argument that installs Chromium alone; none, for all browsers, where others are named."""
    named = " ".join(one.project for one in suites.of("playwright"))
    text = f"{repository.node.playwright_text if repository.node else ''} {named}"
    return "" if re.search(r"firefox|webkit|safari|iphone|ipad", text, re.IGNORECASE) else " chromium"


def junit_commands(suites: Suites, directory: str, summary: str) -> list[str]:
    """Returns the commands that make one report of all shards: a `summary`, then a merged document.

    The last one fails where a test failed, or a shard is missing or can't be believed.
    """
    shards = ",".join(f"{one.name}:{one.shards}" for one in suites.suites)
    # Not the findings of each run, which lie deeper.
    command = f"pgwatch-tests junit '{directory}/*/junit.xml' --results {directory} --shards '{shards}'"
    return [f"{command} --format markdown {summary}", f"{command} -o merged.xml --fail"]


def shared_checks(directory: str) -> list[str]:
    """Returns the commands for a server that all jobs share: only there, all shards have left their rows."""
    logs = f"logs=$(mktemp -d) && find {directory} -path '*/logs/*.jsonl' -exec cp {{}} \"$logs\" ';'"
    return [
        f'{logs} && pgwatch-tests leaks --transactions "$logs"',
        f'{run_id_command()} && pgwatch-tests sweep --run "$PGWATCH_RUN" --yes',
    ]


def run_id_command() -> str:
    """Returns the command that sets the id of a run, the same in all jobs of an attempt."""
    seed = "$CI_PIPELINE_ID$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT"
    return f'PGWATCH_RUN=$(printf %s "{seed}" | sha256sum | cut -c1-8) && export PGWATCH_RUN'


def _wrapped(shared: bool) -> str:
    # With a server per job, what is new is this shard's; else the last job looks.
    fail_on = "deadlock" if shared else "deadlock,rows,schemas"
    return (
        f'exec pgwatch-tests run --name "$SUITE-$SHARD" -o {_RESULTS}/pgwatch '
        f"--junit {_RESULTS}/junit.xml --fail-on {fail_on} -- "
    )


def test_script(tests: Mapping[Runner, str], *, shared: bool) -> str:
    script = [run_id_command()] if shared else []
    script.append('case "$SUITE_RUNNER" in')
    script += [f"  {runner}) set -- {command} ;;" for runner, command in tests.items()]
    script += ["esac", _wrapped(shared) + '"$@"']
    return "\n".join(script)


def wrapped_test(command: str, *, shared: bool) -> str:
    return "\n".join(
        [*([run_id_command()] if shared else []), _wrapped(shared).removeprefix("exec ") + command]
    )


def node_version(repository: Repository) -> str:
    return (repository.node.node if repository.node else "") or _NODE


def quoted(text: str) -> str:
    """Returns a text between double quotes, for YAML."""
    return json.dumps(text, ensure_ascii=False)
