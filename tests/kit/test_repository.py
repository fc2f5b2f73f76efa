"""What `init` finds in repositories of several kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.kit.kit import found_parts, plan_kit
from pgwatch_tests.kit.repository import read_repository
from pgwatch_tests.kit.runner_files import HelperStatements

ROOT = "package.json"


def made(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def manifest(packages: Mapping[str, str], **more: object) -> str:
    return json.dumps({"devDependencies": packages, **more})


def test_a_node_package_in_a_workspace(tmp_path: Path) -> None:
    made(
        tmp_path,
        {
            ".git/HEAD": "ref: refs/heads/feature\n",
            ".git/refs/remotes/origin/HEAD": "ref: refs/remotes/origin/trunk\n",
            ".github/workflows/ci.yml": "",
            ".nvmrc": "v22.12.0\n",
            "pnpm-lock.yaml": "importers:\n\n  apps/web:\n    dependencies:\n      vitest:\n"
            "        specifier: ^4\n        version: 4.1.12\n",
            "apps/web/package.json": manifest({"vitest": "^4", "pg": "^8.1", "@playwright/test": "1.65"}),
            "apps/web/vite.config.mts": "export default {}",
            "apps/web/drizzle.config.ts": "",
            "apps/web/tsconfig.json": '{"baseUrl": ".", "paths": {"@/*": ["./src/*"], "~/*": ["./*"]}}',
            "apps/web/playwright.config.ts": "export default { testDir: './browser' }",
            "apps/web/test/a.ts": "",
        },
    )
    found = read_repository(tmp_path / "apps/web")
    node = found.node
    assert node is not None
    assert (node.manager, node.is_workspace, node.node) == ("pnpm", True, "22.12.0")
    assert found.version("vitest") == (4, 1, 12)
    assert (found.version("pg"), found.version("knex")) == ((8, 1, 0), None)
    assert (node.vitest_config, node.playwright_config) == ("vite.config.mts", "playwright.config.ts")
    assert node.aliases == {"@/": "src", "~/": ""}
    assert (found.migrator, found.helpers, found.e2e) == ("drizzle", "test/pgwatch", "browser")
    assert found_parts(found) == ("vitest", "playwright")
    assert (found.top, found.branch, found.has_github) == (tmp_path, "trunk", True)
    with pytest.raises(ConfigurationError, match="run init github there"):
        plan_kit(found, ("github",), HelperStatements("", ""), "1.0")


@pytest.mark.parametrize(
    ("config", "imported"),
    [("config.ts", "config"), ("config.mts", "config.mjs"), ("config.cjs", "config.cjs")],
)
def test_the_configuration_of_the_suite_is_imported_by_its_ending(
    config: str, imported: str, tmp_path: Path
) -> None:
    packages = manifest({"vitest": "4", "@playwright/test": "1.65"})
    given = {f"vitest.{config}": "export default {}", f"playwright.{config}": "export default {}"}
    found = read_repository(made(tmp_path, {".git": "", "package.json": packages, **given}))
    plan = plan_kit(found, ("vitest", "playwright"), HelperStatements("", ""), "1.0")
    texts = {one.path: one.text for one in plan.files}
    for runner in ("vitest", "playwright"):
        assert f"import own from './{runner}.{imported}'\n" in texts[f"{runner}.pgwatch.config.ts"]


@pytest.mark.parametrize(
    ("directory", "excluded"),
    [("./browser", "browser/**"), ("./tests", "tests/**/*.spec.*"), ("./", "**/*.spec.*")],
)
def test_vitest_leaves_out_only_the_files_of_playwright(
    directory: str, excluded: str, tmp_path: Path
) -> None:
    packages = manifest({"vitest": "4", "@playwright/test": "1.65"})
    config = f"export default {{ testDir: '{directory}' }}"
    files = {".git": "", "package.json": packages, "playwright.config.ts": config}
    plan = plan_kit(read_repository(made(tmp_path, files)), ("vitest",), HelperStatements("", ""), "1.0")
    text = next(one.text for one in plan.files if one.path == "vitest.pgwatch.config.ts")
    assert f"exclude: [...configDefaults.exclude, '{excluded}']" in text


def test_managers_and_migrators(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, str], tuple[str, str | None]]] = [
        ({ROOT: manifest({})}, ("npm", None)),
        ({ROOT: manifest({}), "yarn.lock": ""}, ("yarn", None)),
        ({ROOT: manifest({}, packageManager="pnpm@9.1.0"), "yarn.lock": ""}, ("pnpm", None)),
        ({ROOT: manifest({"prisma": "6"}), "bun.lockb": ""}, ("bun", "prisma")),
        ({ROOT: manifest({}), "knexfile.js": "", "package-lock.json": "{}"}, ("npm", "knex")),
        ({ROOT: manifest({}), "alembic.ini": ""}, ("npm", "alembic")),
    ]
    for number, (files, (manager, migrator)) in enumerate(cases):
        found = read_repository(made(tmp_path / str(number), {**files, ".git": ""}))
        assert found.node is not None
        assert (found.node.manager, found.migrator) == (manager, migrator), files


def test_python_projects(tmp_path: Path) -> None:
    extras = '[project.optional-dependencies]\ntest = ["pytest"]\n'
    cases: list[tuple[dict[str, str], tuple[str, str, str]]] = [
        ({"pytest.ini": "[pytest]\n"}, ("pip", "python -m pip install .", "pytest.ini")),
        ({"pyproject.toml": extras}, ("pip", "python -m pip install '.[test]'", "pyproject.toml")),
        (
            {"requirements-dev.txt": "pytest\n"},
            ("pip", "python -m pip install -r requirements-dev.txt", "pyproject.toml"),
        ),
        (
            {"pyproject.toml": extras, "uv.lock": ""},
            ("uv", "uv sync --all-extras --all-groups", "pyproject.toml"),
        ),
        (
            {"setup.cfg": "[tool:pytest]\n", "conftest.py": ""},
            ("pip", "python -m pip install .", "setup.cfg"),
        ),
    ]
    for number, (files, wanted) in enumerate(cases):
        python = read_repository(made(tmp_path / str(number), {**files, ".git": ""})).python
        assert python is not None
        assert (python.manager, python.install, python.config) == wanted, files
    assert read_repository(made(tmp_path / "none", {"setup.py": "", ".git": ""})).python is None


@pytest.mark.parametrize(
    ("files", "place", "text"),
    [
        ({"uv.lock": "", "conftest.py": ""}, "a shell", "uv add --dev pgwatch-tests pytest-xdist"),
        ({"conftest.py": ""}, "pyproject.toml, beside pytest", '"pgwatch-tests", "pytest-xdist"'),
        ({"requirements.txt": "pytest"}, "requirements.txt", "pgwatch-tests\npytest-xdist"),
    ],
)
def test_what_the_tests_need_is_said_as_the_project_adds_it(
    files: dict[str, str], place: str, text: str, tmp_path: Path
) -> None:
    found = read_repository(made(tmp_path, {".git": "", **files}))
    lines = plan_kit(found, ("pytest",), HelperStatements("", ""), "1.0").lines
    assert (lines[0].place, lines[0].text) == (place, text)


def test_files_that_cannot_be_read_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "pyproject.toml").mkdir()
    found = read_repository(tmp_path)
    assert (found.node, found.python, found_parts(found)) == (None, None, ())
