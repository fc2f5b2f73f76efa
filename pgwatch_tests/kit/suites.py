"""The list of suites: what workflows and configurations are written from, `pgwatch.suites.json`. Pure.

    {
      "database": "per-job",
      "suites": [
        {"name": "integration", "runner": "vitest", "shards": 2},
        {"name": "e2e-chromium", "runner": "playwright", "project": "chromium", "shards": 2}
      ]
    }

`init` writes it once, from what it finds. From then on it is the repository's own: change it and run `init`
again. `database` is `per-job`, a server in each job, or `external`, one that all jobs share.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.kit.repository import Repository

FILE = "pgwatch.suites.json"
Runner = Literal["vitest", "jest", "playwright", "pytest"]
Placement = Literal["per-job", "external"]
RUNNERS: tuple[Runner, ...] = get_args(Runner)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_PROJECT = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff'\"`$\\]{1,80}")
_MOST_SHARDS = 100


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite, which CI runs in `shards` jobs."""

    name: str
    runner: Runner
    shards: int = 1
    project: str = ""
    """The project of Playwright's configuration."""


@dataclass(frozen=True, slots=True)
class Suites:
    """The suites of a repository, and where their database is."""

    suites: tuple[Suite, ...]
    database: Placement = "per-job"

    def of(self, runner: Runner) -> tuple[Suite, ...]:
        """Returns the suites of a runner."""
        return tuple(one for one in self.suites if one.runner == runner)


def found_suites(repository: Repository, runners: Sequence[Runner]) -> Suites:
    """Returns the list for a repository that has none: a suite per runner, and per Playwright project."""
    suites: list[Suite] = []
    for runner in runners:
        if runner == "vitest":
            suites.append(Suite("integration", "vitest", 2))
        elif runner == "jest":
            suites.append(Suite("jest", "jest", 2))
        elif runner == "pytest":
            split = repository.python is not None and repository.python.has_split
            suites.append(Suite("pytest", "pytest", 2 if split else 1))
        else:
            for project in _projects(repository):
                slug = re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-") or "project"
                suites.append(Suite(f"e2e-{slug}", "playwright", 2, project))
    return Suites(tuple(suites))


def parse_suites(text: str) -> Suites:
    """Returns the list that a file holds. Raises ConfigurationError, which says what is wrong with it."""
    try:
        document: object = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{FILE} isn't JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("suites"), list):
        raise ConfigurationError(f"{FILE} has no list `suites`")
    database = document.get("database", "per-job")
    for placement in get_args(Placement):
        if database == placement:
            suites = tuple(_suite(one) for one in document["suites"])
            names = [one.name for one in suites]
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise ConfigurationError(f"{FILE} has two suites with the name {twice}")
            return Suites(suites, placement)
    raise ConfigurationError(f"{FILE}: database must be per-job or external")


def suites_text(suites: Suites) -> str:
    """Returns the file of a list."""
    lines = [
        "    "
        + json.dumps(
            {"name": one.name, "runner": one.runner}
            | ({"project": one.project} if one.project else {})
            | {"shards": one.shards}
        )
        for one in suites.suites
    ]
    return f'{{\n  "database": "{suites.database}",\n  "suites": [\n' + ",\n".join(lines) + "\n  ]\n}\n"


def _suite(found: object) -> Suite:
    if not isinstance(found, dict):
        raise ConfigurationError(f"{FILE}: a suite is an object with name, runner and shards")
    name, project, shards = found.get("name"), found.get("project", ""), found.get("shards", 1)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(f"{FILE}: the name of a suite is 1 to 40 letters, digits, '.', '_' and '-'")
    if not isinstance(shards, int) or isinstance(shards, bool) or not 1 <= shards <= _MOST_SHARDS:
        raise ConfigurationError(f"{FILE}: {name} must have 1 to {_MOST_SHARDS} shards")
    if not isinstance(project, str) or (project and not _PROJECT.fullmatch(project)):
        raise ConfigurationError(f"{FILE}: the project of {name} has characters that no shell should see")
    for runner in RUNNERS:
        if found.get("runner") == runner:
            return Suite(name, runner, shards, project)
    raise ConfigurationError(f"{FILE}: the runner of {name} must be one of {', '.join(RUNNERS)}")


def _projects(repository: Repository) -> list[str]:
    text = repository.node.playwright_text if repository.node else ""
    own = re.search(r"\bprojects\s*:\s*\[(.*)", text, re.DOTALL)
    found = re.findall(r"\bname\s*:\s*['\"]([^'\"]+)['\"]", own[1]) if own else []
    return [one for one in dict.fromkeys(found) if _PROJECT.fullmatch(one)] or ["chromium"]
