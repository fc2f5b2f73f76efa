"""The workflow for GitHub Actions, written from the list of suites. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pgwatch_tests.kit.job_commands import (
    NODE_RUNNERS,
    POSTGRES_IMAGE,
    PYTHON,
    Commands,
    commands,
    junit_commands,
    node_version,
    quoted,
    shared_checks,
    test_script,
)
from pgwatch_tests.kit.repository import Repository
from pgwatch_tests.kit.suites import Suites

_STEP_LIMIT = (
    "# Less than the job's limit, past which nothing would be uploaded.",
    "timeout-minutes: 25",
)
_SUMMARY = '>> "$GITHUB_STEP_SUMMARY"'
GITHUB = ".github/workflows/pgwatch-tests.yml"

# Commits of the releases that the comments name: a tag can be moved to other code.
_ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "actions/checkout": "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
        "actions/setup-node": "820762786026740c76f36085b0efc47a31fe5020 # v7.0.0",
        "actions/setup-python": "5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0",
        "actions/upload-artifact": "043fb46d1a93c77aae656e7c1c64a875d1fc6a0a # v7.0.1",
        "actions/download-artifact": "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1",
        "oven-sh/setup-bun": "0c5077e51419868618aeaa5fe8019c62421857d6 # v2.2.0",
    }
)


def github_workflow(repository: Repository, suites: Suites, version: str) -> str:
    """Returns the workflow for GitHub Actions; `version` is that of pgwatch-tests."""
    own = commands(repository, suites)
    is_shared = suites.database == "external"
    needs_node = any(suites.of(runner) for runner in NODE_RUNNERS)
    needs_python = bool(suites.of("pytest"))
    lines = [
        "name: pgwatch-tests",
        "on:",
        "  push:",
        f"    branches: [{quoted(repository.branch)}]",
        "  pull_request:",
        "permissions:",
        "  contents: read",
        "concurrency:",
        "  group: pgwatch-tests-${{ github.ref }}",
        "  # A run on the branch itself goes on to its end, and to what it removes.",
        "  cancel-in-progress: ${{ github.event_name == 'pull_request' }}",
        *(_external_env() if is_shared else ["env:", *_local_url()]),
        "jobs:",
    ]
    if is_shared and own.migrate:
        lines += [
            "  migrate:",
            "    runs-on: ubuntu-latest",
            "    timeout-minutes: 10",
            "    steps:",
            *_setup(repository, own, needs_node=needs_node, needs_python=needs_python),
            *_run("Migrate the shared database", own.migrate),
        ]
    lines += [
        "  test:",
        "    name: ${{ matrix.suite }} ${{ matrix.shard }}/${{ matrix.shards }}",
        *(["    needs: migrate"] if is_shared and own.migrate else []),
        "    runs-on: ubuntu-latest",
        "    timeout-minutes: 30",
        "    strategy:",
        "      # One shard that fails says nothing of the others.",
        "      fail-fast: false",
        "      matrix:",
        "        include:",
        *_matrix(suites),
        *([] if is_shared else _service()),
        "    env:",
        "      SUITE: ${{ matrix.suite }}",
        "      SUITE_RUNNER: ${{ matrix.runner }}",
        "      PROJECT: ${{ matrix.project }}",
        "      SHARD: ${{ matrix.shard }}",
        "      SHARDS: ${{ matrix.shards }}",
        "    steps:",
        *_setup(repository, own, needs_node=needs_node, needs_python=needs_python),
        *_run("Install pgwatch-tests", f"pipx install 'pgwatch-tests=={version}'"),
        *(
            _run("Install the browser", own.browsers, "matrix.runner == 'playwright'")
            if suites.of("playwright")
            else []
        ),
        *(_run("Migrate", own.migrate) if own.migrate and not is_shared else []),
        "      # Its exit code is the suite's; who waited for whom, and what is left, is recorded beside it.",
        *_run("Test", test_script(own.tests, shared=is_shared), more=_STEP_LIMIT),
        f"      - uses: actions/upload-artifact@{_ACTIONS['actions/upload-artifact']}",
        "        # Not in a cancelled job, as with always().",
        "        if: ${{ !cancelled() }}",
        "        with:",
        "          # An artifact can't be added to: a name per job and attempt.",
        "          name: results-${{ matrix.suite }}-${{ matrix.shard }}-attempt-${{ github.run_attempt }}",
        "          path: test-results/",
        "          include-hidden-files: true",
        "          if-no-files-found: error",
        "          retention-days: 7",
        *_report(repository, suites, own, version),
    ]
    return "\n".join(lines) + "\n"


def _matrix(suites: Suites) -> list[str]:
    return [
        f"          - {{suite: {quoted(one.name)}, runner: {one.runner}, project: {quoted(one.project)}, "
        f"shard: {shard}, shards: {one.shards}}}"
        for one in suites.suites
        for shard in range(1, one.shards + 1)
    ]


def _setup(repository: Repository, own: Commands, *, needs_node: bool, needs_python: bool) -> list[str]:
    lines = [
        f"      - uses: actions/checkout@{_ACTIONS['actions/checkout']}",
        "        with:",
        "          persist-credentials: false",
        f"      - uses: actions/setup-python@{_ACTIONS['actions/setup-python']}",
        "        with:",
        f'          python-version: "{PYTHON}"',
    ]
    if needs_node:
        if repository.node and repository.node.manager == "bun":
            lines.append(f"      - uses: oven-sh/setup-bun@{_ACTIONS['oven-sh/setup-bun']}")
        lines += [
            f"      - uses: actions/setup-node@{_ACTIONS['actions/setup-node']}",
            "        with:",
            f"          node-version: {quoted(node_version(repository))}",
            *_run("Install", own.install_node),
        ]
    if needs_python:
        lines += _run("Install for pytest", own.install_python)
    return lines


def _report(repository: Repository, suites: Suites, own: Commands, version: str) -> list[str]:
    is_shared = suites.database == "external"
    has_blobs = bool(suites.of("playwright"))
    lines = [
        "  report:",
        "    needs: test",
        "    if: ${{ !cancelled() }}",
        "    runs-on: ubuntu-latest",
        "    timeout-minutes: 15",
        "    steps:",
    ]
    if has_blobs:
        lines += _setup(repository, own, needs_node=True, needs_python=False)
    else:
        lines += [
            f"      - uses: actions/setup-python@{_ACTIONS['actions/setup-python']}",
            "        with:",
            f'          python-version: "{PYTHON}"',
        ]
    lines += [
        f"      - uses: actions/download-artifact@{_ACTIONS['actions/download-artifact']}",
        "        with:",
        "          pattern: results-*",
        "          path: results",
        *_run("Install pgwatch-tests", f"pipx install 'pgwatch-tests=={version}'"),
        *_run("Report all shards as one", "\n".join(junit_commands(suites, "results", _SUMMARY))),
    ]
    if has_blobs:
        # Of two attempts, the later one's counts.
        find = "find results -path '*/blob/*.zip' | sort -V | xargs -r -d '\\n' -I{} cp {} all-blobs/"
        merge = f"mkdir -p all-blobs\n{find}\n{own.merge_blobs}"
        lines += _run("Merge Playwright's reports, traces included", merge, "${{ !cancelled() }}")
    if is_shared:
        for check in shared_checks("results"):
            name = "Remove what this run left" if " sweep " in check else "Check what all shards left"
            lines += _run(name, check, "${{ !cancelled() }}")
    lines += [
        f"      - uses: actions/upload-artifact@{_ACTIONS['actions/upload-artifact']}",
        "        if: ${{ !cancelled() }}",
        "        with:",
        "          name: report-attempt-${{ github.run_attempt }}",
        "          path: |",
        "            merged.xml",
        *(["            playwright-report/"] if has_blobs else []),
        "          retention-days: 7",
        "      # This job alone can be required of a branch: it passes only if all shards did.",
        *_run("All shards passed", "exit 1", "${{ !cancelled() && needs.test.result != 'success' }}"),
    ]
    return lines


def _external_env() -> list[str]:
    return [
        "env:",
        "  # A database for tests on a server that all jobs reach.",
        "  DATABASE_URL: ${{ secrets.DATABASE_URL }}",
    ]


def _local_url() -> list[str]:
    return ["  DATABASE_URL: postgresql://postgres:postgres@localhost:5432/test_app"]


def _service() -> list[str]:
    return [
        "    services:",
        "      postgres:",
        f"        image: {POSTGRES_IMAGE}",
        "        env:",
        "          POSTGRES_PASSWORD: postgres",
        "          POSTGRES_DB: test_app",
        "        options: >-",
        '          --health-cmd "pg_isready -U postgres" --health-interval 2s --health-timeout 5s',
        "          --health-retries 30",
        "        ports:",
        "          - 5432:5432",
    ]


def _run(name: str, script: str, condition: str = "", *, more: Sequence[str] = ()) -> list[str]:
    lines = [f"      - name: {name}"]
    if condition:
        lines.append(f"        if: {condition}")
    lines += [f"        {line}" for line in more]
    if "\n" not in script:
        return [*lines, f"        run: {_plain_or_block(script)}"]
    return [*lines, "        run: |", *(f"          {line}" for line in script.splitlines())]


def _plain_or_block(script: str) -> str:
    return f"|\n          {script}" if any(mark in script for mark in (": ", " #", "'", '"')) else script
