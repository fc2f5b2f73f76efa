"""The list of suites: read, refused, and what workflows and configurations make of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.kit.github import github_workflow
from pgwatch_tests.kit.gitlab import gitlab_pipeline
from pgwatch_tests.kit.kit import plan_kit
from pgwatch_tests.kit.repository import read_repository
from pgwatch_tests.kit.runner_files import HelperStatements
from pgwatch_tests.kit.suites import Suite, Suites, found_suites, parse_suites, suites_text
from tests.kit.test_repository import made, manifest

LISTED = Suites(
    (Suite("unit", "vitest", 2), Suite("e2e-chromium", "playwright", 3, "chromium"), Suite("py", "pytest"))
)


def test_a_list_is_read_as_it_is_written() -> None:
    assert parse_suites(suites_text(LISTED)) == LISTED
    assert parse_suites(suites_text(replace(LISTED, database="external"))).database == "external"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("{", "isn't JSON"),
        ("[]", "no list"),
        ({"suites": [], "database": "mine"}, "per-job or external"),
        ({"suites": [{"name": "a b", "runner": "vitest"}]}, "letters, digits"),
        ({"suites": [{"name": "a", "runner": "mocha"}]}, "one of vitest"),
        ({"suites": [{"name": "a", "runner": "vitest", "shards": 0}]}, "1 to 100"),
        ({"suites": [{"name": "a", "runner": "vitest", "shards": True}]}, "1 to 100"),
        ({"suites": [{"name": "a", "runner": "playwright", "project": "$(id)"}]}, "no shell"),
        ({"suites": [{"name": "a", "runner": "playwright", "project": "\ud83d"}]}, "no shell"),
        ({"suites": [{"name": "a", "runner": "vitest"}] * 2}, "two suites"),
    ],
)
def test_a_list_that_is_none(found: object, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse_suites(found if isinstance(found, str) else json.dumps(found))


def test_workflows_have_a_job_per_shard(tmp_path: Path) -> None:
    packages = {"vitest": "5", "@playwright/test": "1.65", "pg": "8"}
    files = {
        ".git": "",
        "package.json": manifest(packages),
        "requirements.txt": "pytest\n",
        "drizzle.config.ts": "",
    }
    repository = read_repository(made(tmp_path, files))
    assert [one.name for one in found_suites(repository, ("vitest", "playwright", "pytest")).suites] == [
        "integration",
        "e2e-chromium",
        "pytest",
    ]
    local, shared = (
        github_workflow(repository, one, "1.2") for one in (LISTED, replace(LISTED, database="external"))
    )
    assert local.count("- {suite: ") == 6
    for workflow in (local, shared):
        for line in (
            "fail-fast: false",
            "contents: read",
            "if: ${{ !cancelled() }}",
            "${{ matrix.suite }}-${{ matrix.shard }}-attempt-${{ github.run_attempt }}",
            "pgwatch-tests==1.2",
            "--shards 'unit:2,e2e-chromium:3,py:1'",
        ):
            assert line in workflow
        # One per job, and one of the step whose results are uploaded after it.
        assert workflow.count("timeout-minutes:") == workflow.count("runs-on:") + 1
        # The job that may be required of a branch: it writes its summary, then fails for a shard.
        assert workflow.index("--format markdown") < workflow.index("-o merged.xml --fail")
        assert workflow.endswith("needs.test.result != 'success' }}\n        run: exit 1\n")
    assert "image: postgres" in local
    assert "secrets.DATABASE_URL" not in local
    assert "image: postgres" not in shared
    assert shared.count("drizzle-kit migrate") == 1
    assert "pgwatch-tests sweep --run" in shared
    pipeline = gitlab_pipeline(repository, LISTED, "1.2")
    assert "parallel: 3" in pipeline
    assert "stage: .post" in pipeline
    assert pipeline.count("\npgwatch-") == 4
    assert pipeline.index("-o merged.xml --fail || failed=$?") < pipeline.index('exit "${failed:-0}"')
    shared_pipeline = gitlab_pipeline(repository, replace(LISTED, database="external"), "1.2")
    assert "stage: .pre" in shared_pipeline
    assert shared_pipeline.count("drizzle-kit migrate") == 1
    assert shared_pipeline.index(" sweep ") < shared_pipeline.index('exit "${failed:-0}"')


def test_names_stay_what_they_are_in_yaml(tmp_path: Path) -> None:
    listed = Suites((Suite("1.10", "vitest", 2), Suite("true", "playwright", 1, "Mobile: #1 é 🙂")))
    repository = read_repository(made(tmp_path, {".git": "", "package.json": manifest({"vitest": "4"})}))
    workflow, pipeline = (
        github_workflow(repository, listed, "1.2"),
        gitlab_pipeline(repository, listed, "1.2"),
    )
    assert '- {suite: "1.10", runner: vitest,' in workflow
    assert '- {suite: "true", runner: playwright, project: "Mobile: #1 é 🙂",' in workflow
    assert ('SUITE: "1.10"' in pipeline, 'SUITE: "true"' in pipeline) == (True, True)


@pytest.mark.parametrize(
    ("config", "installed"),
    [
        ("projects: [{ name: 'setup' }, { name: 'chromium' }]", "--with-deps chromium\n"),
        ("projects: [{ name: 'chromium' }, { name: 'firefox' }]", "--with-deps\n"),
        ("projects: [{ name: 'phone', use: devices['iPhone 15'] }]", "--with-deps\n"),
    ],
)
def test_a_workflow_installs_the_browsers_of_its_projects(
    config: str, installed: str, tmp_path: Path
) -> None:
    packages = manifest({"@playwright/test": "1.65"})
    files = {".git": "", "package.json": packages, "playwright.config.ts": config}
    repository = read_repository(made(tmp_path, files))
    suites = found_suites(repository, ("playwright",))
    assert f"playwright install {installed}" in github_workflow(repository, suites, "1.2")


def test_a_workflow_without_suites_is_refused(tmp_path: Path) -> None:
    repository = read_repository(made(tmp_path, {".git": "", "README": ""}))
    with pytest.raises(ConfigurationError, match="a workflow needs a suite"):
        plan_kit(repository, ("github",), HelperStatements("", ""), "1.0")


def test_what_a_job_installs_is_what_is_locked(tmp_path: Path) -> None:
    for name, files, wanted in (
        ("none", {}, "npm install"),
        ("npm", {"package-lock.json": "{}"}, "npm ci"),
        ("pnpm", {"pnpm-lock.yaml": ""}, "corepack enable\n          pnpm install --frozen-lockfile"),
        ("new", {"yarn.lock": "", ".nvmrc": "25.1.0"}, "npm install -g corepack\n          corepack enable"),
    ):
        given = {".git": "", "package.json": manifest({"vitest": "4"}), **files}
        repository = read_repository(made(tmp_path / name, given))
        workflow = github_workflow(repository, LISTED, "1.2")
        assert f" {wanted}\n" in workflow
        assert ("install -g corepack" in workflow) == (name == "new")
