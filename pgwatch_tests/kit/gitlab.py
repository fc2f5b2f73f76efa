"""The jobs for GitLab CI, written from the list of suites. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.kit.job_commands import (
    NODE_RUNNERS,
    POSTGRES_IMAGE,
    PYTHON,
    commands,
    junit_commands,
    node_version,
    quoted,
    shared_checks,
    wrapped_test,
)
from pgwatch_tests.kit.repository import Repository
from pgwatch_tests.kit.suites import Suites

GITLAB, GITLAB_MAIN = ".gitlab/pgwatch-tests.yml", ".gitlab-ci.yml"


def gitlab_pipeline(repository: Repository, suites: Suites, version: str) -> str:
    """Returns the jobs for GitLab CI; `version` is that of pgwatch-tests."""
    own = commands(repository, suites)
    is_shared = suites.database == "external"
    lines = [
        ".pgwatch-tests:",
        "  stage: test",
        "  interruptible: true",
        "  timeout: 30 minutes",
        *([] if is_shared else ["  services:", f"    - name: {POSTGRES_IMAGE}", "      alias: postgres"]),
        "  variables:",
        "    # A variable of the project, masked: DATABASE_URL."
        if is_shared
        else "    DATABASE_URL: postgresql://postgres:postgres@postgres:5432/test_app",
        *([] if is_shared else ["    POSTGRES_PASSWORD: postgres", "    POSTGRES_DB: test_app"]),
        "    # Less than the job's limit, past which nothing would be uploaded.",
        "    RUNNER_SCRIPT_TIMEOUT: 25m",
        '    SHARD: "1"',
        '    SHARDS: "1"',
        "  artifacts:",
        "    when: always",
        "    expire_in: 7 days",
        "    paths: [test-results/]",
        "    reports:",
        "      junit: test-results/*/junit.xml",
        "",
    ]
    if is_shared and own.migrate:
        install = own.install_node if own.install_node else own.install_python
        lines += [
            "pgwatch-migrate:",
            "  stage: .pre",
            f"  image: {f'node:{node_version(repository)}' if own.install_node else f'python:{PYTHON}'}",
            "  timeout: 10 minutes",
            "  script:",
            *_script([*_lines(install), own.migrate]),
            "",
        ]
    for suite in suites.suites:
        is_node = suite.runner in NODE_RUNNERS
        script = [*_lines(own.install_node if is_node else own.install_python)]
        if is_node:
            script = ["apt-get update -q && apt-get install -y -q --no-install-recommends pipx", *script]
        else:
            script = ["python -m pip install -q pipx", *script]
        script.append(f"pipx install 'pgwatch-tests=={version}'")
        script.append(
            'export PATH="$HOME/.local/bin:$PATH" SHARD="${CI_NODE_INDEX:-1}" SHARDS="${CI_NODE_TOTAL:-1}"'
        )
        # The last job has the files of all jobs in one directory.
        script.append('export PGWATCH_RESULTS="test-results/$SUITE-$SHARD"')
        if suite.runner == "playwright":
            script.append(own.browsers)
        if own.migrate and not is_shared:
            script.append(own.migrate)
        script.append(wrapped_test(own.tests[suite.runner], shared=is_shared))
        lines += [
            f"pgwatch-{suite.name}:",
            "  extends: .pgwatch-tests",
            f"  image: {f'node:{node_version(repository)}-bookworm' if is_node else f'python:{PYTHON}'}",
            *([f"  parallel: {suite.shards}"] if suite.shards > 1 else []),
            "  variables:",
            f"    SUITE: {quoted(suite.name)}",
            f"    PROJECT: {quoted(suite.project)}",
            "  script:",
            *_script(script),
            "",
        ]
    summary, merged = junit_commands(suites, "test-results", "> summary.md")
    lines += [
        "pgwatch-report:",
        "  stage: .post",
        f"  image: python:{PYTHON}",
        "  timeout: 10 minutes",
        "  # Also where a suite failed: that is when it is needed.",
        "  when: always",
        "  script:",
        *_script(
            [
                f"python -m pip install -q 'pgwatch-tests=={version}'",
                f"{summary}\n{merged} || failed=$?",
                *(shared_checks("test-results") if is_shared else []),
                'exit "${failed:-0}"',
            ]
        ),
        "  artifacts:",
        "    when: always",
        "    paths: [summary.md, merged.xml, test-results/]",
        "    reports:",
        "      junit: merged.xml",
    ]
    return "\n".join(lines) + "\n"


def _script(commands_: Sequence[str]) -> list[str]:
    lines = []
    for command in commands_:
        lines += ["    - |", *(f"      {line}" for line in command.splitlines())]
    return lines


def _lines(script: str) -> list[str]:
    return [line for line in script.splitlines() if line]
