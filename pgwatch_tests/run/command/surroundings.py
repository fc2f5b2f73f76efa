"""Surroundings of a run: its settings, its CI, its commit, and the environment of its command."""

from __future__ import annotations

import getpass
import os
import platform
import re
import secrets
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pgwatch_tests.foreign_files import read_text
from pgwatch_tests.identity.application_name import compose_run
from pgwatch_tests.identity.value_tokens import RUN_VARIABLE
from pgwatch_tests.record.run_summary import RunFacts
from pgwatch_tests.run.command.dotenv import read_dsn
from pgwatch_tests.settings.load import Dsn, Flags, Settings, load

LOG_VARIABLE = "PGWATCH_LOG_DIR"
"""The environment variable by which the pytest plugin learns where its logs go."""
_NAME_VARIABLE = "PGAPPNAME"
_DOTENV = ".env"
_RUN_ID = re.compile(r"[0-9a-f]{8}")
_GIT_WITHIN_S = 2.0


def settings_of(flags: Flags, environ: Mapping[str, str], folder: Path) -> tuple[Settings, str]:
    """Returns the settings, and a sentence if their connection string comes from a `.env` file of `folder`.

    Such a file counts only where neither a flag, the environment nor pyproject.toml names a database: the
    command reads it then, too. Raises ConfigurationError.
    """
    settings = load(flags, environ, folder)
    if settings.dsn.value or any(environ.get(name) for name in ("PGWATCH_DSN", "DATABASE_URL")):
        return settings, ""
    with suppress(OSError, UnicodeDecodeError):
        found = read_dsn(read_text(folder / _DOTENV), environ)
        if found is not None:
            name, value = found
            where = f"{name} in {_DOTENV}"
            return replace(settings, dsn=Dsn(value, where)), f"the database is that of {where}"
    return settings, ""


def run_id_of(environ: Mapping[str, str]) -> str:
    """Returns the id of the run: that of PGWATCH_RUN, which a CI may give all its shards, else a new one."""
    given = environ.get(RUN_VARIABLE, "").lower()
    return given if _RUN_ID.fullmatch(given) else secrets.token_hex(4)


def command_environment(
    environ: Mapping[str, str], run: str, program: str, logs: Path | None
) -> dict[str, str]:
    """Returns the environment of the command: with the run's id, a name for its sessions, a place for logs.

    What was set before stays: an application's own name, a directory of logs.
    """
    added = {RUN_VARIABLE: run}
    if not environ.get(_NAME_VARIABLE):
        added[_NAME_VARIABLE] = compose_run(run, Path(program).name)
    if logs is not None and not environ.get(LOG_VARIABLE):
        added[LOG_VARIABLE] = str(logs)
    return {**environ, **added}


def own_session_name(environ: Mapping[str, str]) -> str:
    """Returns the name that only this run's sessions have, in the environment of its command.

    Empty if others may have it: PGAPPNAME was set before, or PGWATCH_RUN, which shards share.
    """
    is_ours = RUN_VARIABLE not in os.environ and not os.environ.get(_NAME_VARIABLE)
    return environ.get(_NAME_VARIABLE, "") if is_ours else ""


def machine_facts(facts: RunFacts) -> RunFacts:
    """Returns the facts with those of this machine and account."""
    account = ""
    with suppress(KeyError, OSError, ImportError):
        account = getpass.getuser()
    return replace(facts, machine=platform.node(), account=account, pid=os.getpid())


def ci_facts(facts: RunFacts, environ: Mapping[str, str]) -> RunFacts:
    """Returns the facts with those that the CI's environment tells, if there is one."""
    for variable, fill in _CIS.items():
        if environ.get(variable):
            return fill(facts, lambda name: environ.get(name, ""))
    return facts


def repository_facts(facts: RunFacts, folder: Path) -> RunFacts:
    """Returns the facts with commit, branch and name of the folder's git repository, unless the CI told."""
    if facts.commit and facts.branch and facts.repository:
        return facts
    said = _git(folder, "rev-parse", "--show-toplevel", "HEAD", "--abbrev-ref", "HEAD").splitlines()
    if len(said) != 3:
        return facts
    top, commit, branch = said
    return replace(
        facts,
        commit=facts.commit or commit,
        branch=facts.branch or ("" if branch == "HEAD" else branch),
        repository=facts.repository or Path(top).name,
    )


def _git(folder: Path, *arguments: str) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_WITHIN_S,
            check=True,
            start_new_session=True,
        ).stdout
    return ""


_Get = Callable[[str], str]


def _github(facts: RunFacts, get: _Get) -> RunFacts:
    run, attempt = get("GITHUB_RUN_ID"), _number(get("GITHUB_RUN_ATTEMPT"))
    url = f"{get('GITHUB_SERVER_URL')}/{get('GITHUB_REPOSITORY')}/actions/runs/{run}/attempts/{attempt}"
    return replace(
        facts,
        ci="github",
        ci_run=run,
        ci_job=get("GITHUB_JOB"),
        ci_url=url if run else "",
        attempt=attempt,
        commit=get("GITHUB_SHA"),
        branch=get("GITHUB_HEAD_REF") or get("GITHUB_REF_NAME"),
        repository=get("GITHUB_REPOSITORY"),
    )


def _gitlab(facts: RunFacts, get: _Get) -> RunFacts:
    return replace(
        facts,
        ci="gitlab",
        ci_run=get("CI_PIPELINE_ID"),
        ci_job=get("CI_JOB_NAME"),
        ci_url=get("CI_JOB_URL"),
        commit=get("CI_COMMIT_SHA"),
        branch=get("CI_COMMIT_REF_NAME"),
        repository=get("CI_PROJECT_PATH"),
    )


def _circleci(facts: RunFacts, get: _Get) -> RunFacts:
    names = (get("CIRCLE_PROJECT_USERNAME"), get("CIRCLE_PROJECT_REPONAME"))
    return replace(
        facts,
        ci="circleci",
        ci_run=get("CIRCLE_WORKFLOW_ID"),
        ci_job=get("CIRCLE_JOB"),
        ci_url=get("CIRCLE_BUILD_URL"),
        commit=get("CIRCLE_SHA1"),
        branch=get("CIRCLE_BRANCH"),
        repository="/".join(filter(None, names)),
    )


def _buildkite(facts: RunFacts, get: _Get) -> RunFacts:
    return replace(
        facts,
        ci="buildkite",
        ci_run=get("BUILDKITE_BUILD_ID"),
        ci_job=get("BUILDKITE_LABEL") or get("BUILDKITE_STEP_KEY"),
        ci_url=get("BUILDKITE_BUILD_URL"),
        attempt=_number(get("BUILDKITE_RETRY_COUNT"), 0) + 1,
        commit=get("BUILDKITE_COMMIT"),
        branch=get("BUILDKITE_BRANCH"),
        repository=get("BUILDKITE_PIPELINE_SLUG"),
    )


def _azure(facts: RunFacts, get: _Get) -> RunFacts:
    return replace(
        facts,
        ci="azure",
        ci_run=get("BUILD_BUILDID"),
        ci_job=get("SYSTEM_JOBDISPLAYNAME") or get("AGENT_JOBNAME"),
        attempt=_number(get("SYSTEM_JOBATTEMPT")),
        commit=get("BUILD_SOURCEVERSION"),
        branch=get("BUILD_SOURCEBRANCHNAME"),
        repository=get("BUILD_REPOSITORY_NAME"),
    )


def _jenkins(facts: RunFacts, get: _Get) -> RunFacts:
    return replace(
        facts,
        ci="jenkins",
        ci_run=get("BUILD_TAG"),
        ci_job=get("JOB_NAME"),
        ci_url=get("BUILD_URL"),
        commit=get("GIT_COMMIT"),
        branch=get("BRANCH_NAME") or get("GIT_BRANCH"),
    )


_CIS: Mapping[str, Callable[[RunFacts, _Get], RunFacts]] = {
    "GITHUB_ACTIONS": _github,
    "GITLAB_CI": _gitlab,
    "CIRCLECI": _circleci,
    "BUILDKITE": _buildkite,
    "TF_BUILD": _azure,
    "JENKINS_URL": _jenkins,
}


def _number(text: str, otherwise: int = 1) -> int:
    return int(text) if text.isascii() and text.isdigit() else otherwise
