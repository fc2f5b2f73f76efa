"""The kit for a repository: which parts it gets, and the plan of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.kit import github, gitlab, runner_files, suites
from pgwatch_tests.kit.plan import Lines, Plan, PlannedFile, is_written, kept, planned, stamped
from pgwatch_tests.kit.repository import PYTEST_TESTS, Repository
from pgwatch_tests.kit.runner_files import HelperStatements
from pgwatch_tests.kit.suites import RUNNERS, Runner, Suites

Part = Literal["vitest", "jest", "playwright", "pytest", "github", "gitlab"]
PARTS: tuple[Part, ...] = get_args(Part)


def found_parts(repository: Repository) -> tuple[Part, ...]:
    """Returns the parts for what a repository has: runners, and the CI service whose files are there."""
    has = {
        "vitest": repository.uses("vitest"),
        "jest": repository.uses("jest"),
        "playwright": repository.uses("@playwright/test"),
        "pytest": repository.python is not None,
        "github": repository.has_github and repository.top == repository.root,
        "gitlab": repository.has_gitlab and repository.top == repository.root,
    }
    return tuple(part for part in PARTS if has[part])


def written_parts(repository: Repository) -> tuple[Part, ...]:
    """Returns the parts that an earlier `init` has written."""
    root, tests = repository.root, repository.python.tests if repository.python else "tests"
    files = {
        "vitest": runner_files.VITEST_CONFIG,
        "jest": f"{repository.helpers}/{runner_files.JEST_SETUP}",
        "playwright": runner_files.PLAYWRIGHT_CONFIG,
        "pytest": f"{tests}/{PYTEST_TESTS}",
        "github": github.GITHUB,
        "gitlab": gitlab.GITLAB,
    }
    return tuple(part for part in PARTS if is_written(root, files[part]))


def plan_kit(
    repository: Repository, parts: Sequence[Part], statements: HelperStatements, version: str
) -> Plan:
    """Returns what `init` does for these parts; `version` is that of pgwatch-tests.

    Raises ConfigurationError if there is nothing to do them with, or the list of suites can't be read.
    """
    if not parts:
        raise ConfigurationError(
            "nothing is found here that the kit is for (no Vitest, Jest, Playwright or pytest): "
            f"name the parts, of {', '.join(PARTS)}"
        )
    for part in ("vitest", "jest", "playwright"):
        if part in parts and repository.node is None:
            raise ConfigurationError(f"{part} needs a package.json, and there is none in {repository.root}")
    for part in ("github", "gitlab"):
        if part in parts and repository.top != repository.root:
            raise ConfigurationError(
                f"workflows are looked for in {repository.top} alone: run init {part} there, and have its "
                f"steps work in {repository.root.relative_to(repository.top)}"
            )
    root = repository.root
    runners = [runner for runner in RUNNERS if runner in parts] or [
        runner for runner in RUNNERS if runner in (*found_parts(repository), *written_parts(repository))
    ]
    listed = _suites(root, repository, runners)
    if not listed.suites and ("github" in parts or "gitlab" in parts):
        raise ConfigurationError(
            f"a workflow needs a suite: name its part too ({', '.join(RUNNERS)}), or list it in {suites.FILE}"
        )
    files: list[PlannedFile] = []
    if "github" in parts or "gitlab" in parts or "playwright" in parts:
        files.append(kept(root, suites.FILE, suites.suites_text(listed)))
    for path, text in _files(repository, parts, listed, statements, version):
        files.append(planned(root, path, stamped(path, text)))
    if "gitlab" in parts and not (repository.has_gitlab_file and not is_written(root, gitlab.GITLAB_MAIN)):
        main = stamped(gitlab.GITLAB_MAIN, f"include:\n  - local: {gitlab.GITLAB}\n")
        files.append(planned(root, gitlab.GITLAB_MAIN, main))
    return Plan(tuple(files), tuple(_lines(repository, parts, listed)))


def _suites(root: Path, repository: Repository, runners: Sequence[Runner]) -> Suites:
    place = root / suites.FILE
    try:
        text = place.read_text(encoding="utf-8")
    except FileNotFoundError:
        return suites.found_suites(repository, runners)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read {suites.FILE}: {error}") from None
    return suites.parse_suites(text)


def _files(
    repository: Repository, parts: Sequence[Part], listed: Suites, statements: HelperStatements, version: str
) -> Iterator[tuple[str, str]]:
    if {"vitest", "jest", "playwright"} & {*parts}:
        yield from runner_files.helper_files(repository, statements)
    if "vitest" in parts:
        yield from runner_files.vitest_files(repository)
    if "jest" in parts:
        yield from runner_files.jest_files(repository)
    if "playwright" in parts:
        yield from runner_files.playwright_files(repository, listed)
    if "pytest" in parts:
        yield from runner_files.pytest_files(repository)
    if "github" in parts:
        yield github.GITHUB, github.github_workflow(repository, listed, version)
    if "gitlab" in parts:
        yield gitlab.GITLAB, gitlab.gitlab_pipeline(repository, listed, version)


def _lines(repository: Repository, parts: Iterable[Part], listed: Suites) -> Iterator[Lines]:
    parts = tuple(parts)
    if "vitest" in parts:
        yield from runner_files.vitest_lines(repository)
    if "jest" in parts:
        yield from runner_files.jest_lines(repository)
    if {"vitest", "jest", "playwright"} & {*parts}:
        yield from runner_files.driver_lines(repository)
    if "playwright" in parts:
        yield from runner_files.playwright_lines(repository)
    if "pytest" in parts:
        yield from runner_files.pytest_lines(repository, listed)
    has_file = repository.has_gitlab_file and not is_written(repository.root, gitlab.GITLAB_MAIN)
    if "github" in parts or "gitlab" in parts:
        yield from _workflow_lines(listed, include="gitlab" in parts and has_file)


def _workflow_lines(listed: Suites, *, include: bool) -> Iterator[Lines]:
    if include:
        yield Lines(
            gitlab.GITLAB_MAIN, "so that GitLab reads the jobs", f"include:\n  - local: {gitlab.GITLAB}"
        )
    if listed.database == "external":
        yield Lines(
            "the settings of your CI",
            "the server that all jobs share, with a database for tests only; masked, and not for forks",
            "DATABASE_URL = postgresql://…",
        )
