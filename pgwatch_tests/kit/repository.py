"""A repository as `init` finds it: package managers, versions, libraries, configurations, workflows.

Read from the files of its root directory, and of those above it up to the one with `.git` in it; nothing is
run. What can't be read counts as not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pgwatch_tests.kit.lockfiles import LOCKFILES, PackageManager, Version, locked_version, parse_version
from pgwatch_tests.kit.plan import is_written

Migrator = Literal["drizzle", "prisma", "knex", "alembic", "django"]
PythonManager = Literal["uv", "poetry", "pdm", "pip"]

_SCRIPTS = ("ts", "mts", "cts", "js", "mjs", "cjs")
_MOST_READ = 50_000_000  # characters of a lockfile
_HELPERS_BESIDE = ("test-helpers", "tests", "test", "e2e")
_PYTHON_FILES = (
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements-test.txt",
    "requirements.txt",
    "Pipfile",
)
PYTEST_TESTS = "test_pgwatch_kit.py"
_PYTEST_FILES = ("pytest.ini", "conftest.py", "tests/conftest.py", "test/conftest.py")


@dataclass(frozen=True, slots=True)
class NodePackage:
    """The package of a package.json."""

    manager: PackageManager
    is_locked: bool
    """Whether there is a lockfile."""
    is_classic_yarn: bool
    """Whether its lockfile is of Yarn 1, whose commands differ from those of later versions."""
    is_workspace: bool
    """Whether its lockfile lies in a directory above."""
    dependencies: Mapping[str, str]
    """Ranges by package, those for development included."""
    versions: Mapping[str, Version]
    """Versions of the packages that matter here, by lockfile, else by range."""
    node: str = ""
    """The version that `.nvmrc`, `.node-version` or package.json's `engines` ask for; empty if none does."""
    vitest_config: str = ""
    """The name of the suite's configuration, Vite's if there is no other; empty if there is none."""
    vitest_text: str = field(default="", repr=False)
    playwright_config: str = ""
    playwright_text: str = field(default="", repr=False)
    has_js_endings: bool = False
    """Whether relative imports end in `.js`, as ES modules of Node's own resolution have it."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Directories, `src`, by the prefix of imports that `paths` of tsconfig.json gives them: `@/`."""


@dataclass(frozen=True, slots=True)
class PythonProject:
    """A Python project with tests for pytest."""

    manager: PythonManager
    install: str
    """The command that installs it with its tests' requirements."""
    requirements: str
    """The file that names its tests' requirements."""
    config: str
    """The file that configures pytest; pyproject.toml if none does yet."""
    tests: str
    """The directory of its tests: `tests`, or `.`."""
    has_split: bool
    """Whether pytest-split is among its requirements."""


@dataclass(frozen=True, slots=True)
class Repository:
    """What `init` has found."""

    root: Path
    node: NodePackage | None
    python: PythonProject | None
    migrator: Migrator | None
    has_github: bool
    has_gitlab: bool
    has_gitlab_file: bool
    helpers: str
    """Where the helper goes, relative to the root: `tests/pgwatch`."""
    e2e: str
    """Where Playwright's tests are, or would be: `e2e`."""
    top: Path
    """The directory with `.git` in it, in which CI services look for workflows; the root if there is none."""
    branch: str
    """The default branch, as far as the clone tells; else `main`."""

    def version(self, package: str) -> Version | None:
        """Returns the version of a Node package; None if the repository hasn't it."""
        return self.node.versions.get(package) if self.node else None

    def uses(self, package: str) -> bool:
        """Whether a Node package is among the dependencies."""
        return self.node is not None and package in self.node.dependencies


_VERSIONED = ("vitest", "@playwright/test", "pg", "postgres", "drizzle-orm", "drizzle-kit", "prisma", "knex")


def read_repository(root: Path) -> Repository:
    """Returns what is found in a directory."""
    top = next((one for one in (root, *root.parents) if (one / ".git").exists()), root)
    node = _node_package(root, top)
    python = _python_project(root)
    e2e = next(
        (one for one in ("e2e", "tests/e2e", "test/e2e", "playwright") if (root / one).is_dir()), "e2e"
    )
    if node and (match := re.search(r"testDir:\s*['\"](?:\./)?([^'\"]+)", node.playwright_text)):
        e2e = match[1].rstrip("/")
    # Where an earlier run has put it, whatever directories have come since.
    beside = next(
        (one for one in _HELPERS_BESIDE if is_written(root, f"{one}/pgwatch/pgwatch.ts")),
        next((one for one in _HELPERS_BESIDE if (root / one).is_dir()), "tests"),
    )
    return Repository(
        root,
        node,
        python,
        _migrator(root, node),
        has_github=(top / ".github").is_dir(),
        has_gitlab=(root / ".gitlab-ci.yml").is_file() or (root / ".gitlab").is_dir(),
        has_gitlab_file=(root / ".gitlab-ci.yml").is_file(),
        helpers=f"{beside}/pgwatch",
        e2e=e2e,
        top=top,
        branch=_branch(top),
    )


def _branch(top: Path) -> str:
    # Of a clone, else of a repository that was made here.
    for name, prefix in (("refs/remotes/origin/HEAD", "refs/remotes/origin/"), ("HEAD", "refs/heads/")):
        match = re.fullmatch(rf"ref: {prefix}([\w./-]+)\s*", _text(top / ".git" / name))
        if match and (name != "HEAD" or match[1] in ("main", "master", "trunk", "develop")):
            return match[1]
    return "main"


def _node_package(root: Path, top: Path) -> NodePackage | None:
    manifest = _json(root / "package.json")
    if manifest is None:
        return None
    dependencies: dict[str, str] = {}
    for key in ("peerDependencies", "optionalDependencies", "devDependencies", "dependencies"):
        some = manifest.get(key)
        if isinstance(some, dict):
            dependencies |= {str(name): str(range_) for name, range_ in some.items()}
    lockfile = _lockfile(root, top)
    manager = _manager(manifest, lockfile)
    versions: dict[str, Version] = {}
    text = _text(lockfile) if lockfile else ""
    importer = root.relative_to(lockfile.parent).as_posix() if lockfile else "."
    for package in _VERSIONED:
        version = locked_version(lockfile.name, text, package, importer) if lockfile and text else None
        version = version or parse_version(dependencies.get(package, ""))
        if version is not None and package in dependencies:
            versions[package] = version
    vitest = _config(root, "vitest.config") or _config(root, "vite.config")
    playwright = _config(root, "playwright.config")
    return NodePackage(
        manager,
        is_locked=lockfile is not None,
        is_classic_yarn=lockfile is not None and "\n# yarn lockfile v1\n" in text[:1000],
        is_workspace=lockfile is not None and lockfile.parent != root,
        dependencies=dependencies,
        versions=versions,
        node=_node_version(root, top, manifest),
        vitest_config=vitest,
        vitest_text=_text(root / vitest) if vitest else "",
        playwright_config=playwright,
        playwright_text=_text(root / playwright) if playwright else "",
        has_js_endings=manifest.get("type") == "module" and _has_node_resolution(root),
        aliases=_aliases(root),
    )


def _lockfile(root: Path, top: Path) -> Path | None:
    for directory in (root, *root.parents):
        for name in LOCKFILES:
            if (directory / name).is_file():
                return directory / name
        if directory == top:
            return None
    return None


def _manager(manifest: Mapping[str, object], lockfile: Path | None) -> PackageManager:
    # `"packageManager": "pnpm@9.1.0"` is what Corepack obeys.
    said = str(manifest.get("packageManager", "")).partition("@")[0]
    for name in ("npm", "pnpm", "yarn", "bun"):
        if said == name:
            return name
    return LOCKFILES[lockfile.name] if lockfile else "npm"


def _node_version(root: Path, top: Path, manifest: Mapping[str, object]) -> str:
    for directory in dict.fromkeys((root, top)):
        for name in (".nvmrc", ".node-version"):
            if match := re.match(r"v?(\d+(?:\.\d+)*)\s*$", _text(directory / name)):
                return match[1]
    engines = manifest.get("engines")
    version = parse_version(str(engines.get("node", ""))) if isinstance(engines, dict) else None
    return str(version[0]) if version else ""


def _has_node_resolution(root: Path) -> bool:
    text = _text(root / "tsconfig.json")
    return (
        re.search(r'"module(?:Resolution)?"\s*:\s*"node(?:16|18|20|next)"', text, re.IGNORECASE) is not None
    )


def _aliases(root: Path) -> dict[str, str]:
    text = _text(root / "tsconfig.json")
    paths = re.search(r'"paths"\s*:\s*\{(.*?)\}', text, re.DOTALL)
    base = re.search(r'"baseUrl"\s*:\s*"([^"]*)"', text)
    found = {}
    for name, target in re.findall(r'"([^"*]+)\*"\s*:\s*\[\s*"([^"*]*)\*"', paths[1] if paths else ""):
        place = Path(base[1] if base else ".") / target
        found[name] = place.as_posix().removeprefix(".").strip("/")
    return found


def _migrator(root: Path, node: NodePackage | None) -> Migrator | None:
    if _config(root, "drizzle.config"):
        return "drizzle"
    if (root / "prisma").is_dir() or (node and "prisma" in node.dependencies):
        return "prisma"
    if _config(root, "knexfile"):
        return "knex"
    if (root / "alembic.ini").is_file():
        return "alembic"
    if (root / "manage.py").is_file():
        return "django"
    return None


def _python_project(root: Path) -> PythonProject | None:
    texts = {name: _text(root / name) for name in (*_PYTHON_FILES, "setup.cfg", "tox.ini")}
    has_pytest = any((root / name).is_file() for name in _PYTEST_FILES) or any(
        re.search(r"\bpytest\b", text) for text in texts.values()
    )
    if not has_pytest:
        return None
    requirements = next(
        (
            name
            for name in ("requirements-dev.txt", "requirements-test.txt", "requirements.txt")
            if texts[name]
        ),
        "",
    )
    manager: PythonManager = "pip"
    install = f"python -m pip install -r {requirements}" if requirements else "python -m pip install ."
    if (root / "uv.lock").is_file():
        manager, install = "uv", "uv sync --all-extras --all-groups"
    elif (root / "poetry.lock").is_file():
        manager, install = "poetry", "poetry install --all-extras --all-groups"
    elif (root / "pdm.lock").is_file():
        manager, install = "pdm", "pdm install --group :all"
    elif not requirements and (
        match := re.search(r"^(test|tests|dev)\s*=\s*\[", texts["pyproject.toml"], re.M)
    ):
        install = f"python -m pip install '.[{match[1]}]'"
    config = next(
        (
            name
            for name, mark in (
                ("pytest.ini", "[pytest]"),
                ("tox.ini", "[pytest]"),
                ("setup.cfg", "[tool:pytest]"),
            )
            if mark in _text(root / name)
        ),
        "pyproject.toml",
    )
    return PythonProject(
        manager,
        install,
        requirements=requirements or "pyproject.toml",
        config=config,
        tests=next(
            (one for one in ("tests", "test", ".") if is_written(root, f"{one}/{PYTEST_TESTS}")),
            next((one for one in ("tests", "test") if (root / one).is_dir()), "."),
        ),
        has_split=any("pytest-split" in text for text in texts.values()),
    )


def _config(root: Path, name: str) -> str:
    return next((f"{name}.{ending}" for ending in _SCRIPTS if (root / f"{name}.{ending}").is_file()), "")


def _json(path: Path) -> Mapping[str, object] | None:
    try:
        document: object = json.loads(_text(path))
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_READ)
    except OSError:
        return ""
