"""The list of suites: read, refused, and what workflows and configurations make of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.kit.github import github_workflow
from pgwatch_tests.kit.gitlab import gitlab_pipeline
from pgwatch_tests.kit.repository import read_repository
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
        assert workflow.count("timeout-minutes:") == workflow.count("runs-on:")
    assert "image: postgres" in local
    assert "secrets.DATABASE_URL" not in local
    assert "image: postgres" not in shared
    assert shared.count("drizzle-kit migrate") == 1
    assert "pgwatch-tests sweep --run" in shared
    pipeline = gitlab_pipeline(repository, LISTED, "1.2")
    assert "parallel: 3" in pipeline
    assert "stage: .post" in pipeline
    assert pipeline.count("\npgwatch-") == 4
    shared_pipeline = gitlab_pipeline(repository, replace(LISTED, database="external"), "1.2")
    assert "stage: .pre" in shared_pipeline
    assert shared_pipeline.count("drizzle-kit migrate") == 1
