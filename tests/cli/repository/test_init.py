"""`init` as people run it: dry, for real, again, after a change by hand, and with `--check`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgwatch_tests.kit.plan import KIT_VERSION
from pgwatch_tests.kit.runner_files import bare
from pgwatch_tests.postgres import queries
from tests.cli.running import pgwatch
from tests.kit.test_repository import made, manifest


def files(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    packages = {"vitest": "^4.1", "@playwright/test": "^1.65", "pg": "^8", "postgres": "^3"}
    config = "export default { test: { poolOptions: {}, reporters: ['verbose'] } }\n"
    return made(
        tmp_path,
        {".git": "", "package.json": manifest(packages), "vitest.config.ts": config, ".github/x": ""},
    )


def test_init_writes_beside_what_is_there_and_once(repository: Path) -> None:
    before = files(repository)
    dry = pgwatch(repository, "init", "--dry-run")
    assert (dry.returncode, files(repository)) == (0, before)
    assert "+++ b/tests/pgwatch/pgwatch.ts" in dry.stdout

    done = pgwatch(repository, "init")
    assert (done.returncode, done.stdout) == (0, "")
    after = files(repository)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {
        "tests/pgwatch/pgwatch.ts",
        "tests/pgwatch/reporter.ts",
        "tests/pgwatch/vitest.setup.ts",
        "tests/pgwatch/playwright.ts",
        "vitest.pgwatch.config.ts",
        "playwright.pgwatch.config.ts",
        "pgwatch.suites.json",
        ".github/workflows/pgwatch-tests.yml",
    }
    assert not any("@@" in text for text in after.values())
    assert "Vitest 4 ignores test.poolOptions" in done.stderr
    assert "vitest.pgwatch.config.ts: these stand in place of the suite's own" in done.stderr
    assert "aroundEach" in after["tests/pgwatch/vitest.setup.ts"]
    for name in ("written", "database"):
        assert bare(queries.load(f"leaks/transaction_{name}")) in after["tests/pgwatch/pgwatch.ts"]

    again = pgwatch(repository, "init")
    assert (again.returncode, files(repository)) == (0, after)
    assert "written" not in again.stderr
    assert pgwatch(repository, "init", "--check").returncode == 0


def test_a_file_that_was_changed_by_hand_stays(repository: Path) -> None:
    pgwatch(repository, "init", "vitest")
    setup = repository / "tests/pgwatch/vitest.setup.ts"
    written = setup.read_text()
    setup.write_text(written + "// mine\n")
    done = pgwatch(repository, "init", "vitest")
    assert "vitest.setup.ts: changed by hand, so it stays" in done.stderr
    assert setup.read_text().endswith("// mine\n")
    assert pgwatch(repository, "init", "--check").returncode == 0
    assert pgwatch(repository, "init", "vitest", "--force").returncode == 0
    assert setup.read_text() == written

    # Another Vitest needs another file.
    made(repository, {"package.json": manifest({"vitest": "3.2.4", "pg": "8"})})
    checked = pgwatch(repository, "init", "--check")
    assert checked.returncode == 1
    assert "vitest.setup.ts: not what this version writes for what is here now" in checked.stderr
    pgwatch(repository, "init", "vitest")
    assert "enterTest(test)" in setup.read_text()
    assert pgwatch(repository, "init", "--check").returncode == 0


def test_a_second_run_keeps_to_the_places_of_the_first(tmp_path: Path) -> None:
    made(tmp_path, {".git": "", "package.json": manifest({"vitest": "4"}), "conftest.py": ""})
    assert pgwatch(tmp_path, "init").returncode == 0
    (tmp_path / "test-helpers").mkdir()  # where a first run would put the helper
    before = files(tmp_path)
    assert {"tests/pgwatch/pgwatch.ts", "test_pgwatch_kit.py"} <= before.keys()
    again = pgwatch(tmp_path, "init")
    assert (again.returncode, files(tmp_path)) == (0, before)
    assert "written" not in again.stderr


def test_a_file_of_a_newer_kit_stays(tmp_path: Path) -> None:
    made(tmp_path, {".git": "", "package.json": manifest({"vitest": "4"})})
    pgwatch(tmp_path, "init")
    helper = tmp_path / "tests/pgwatch/pgwatch.ts"
    newer = helper.read_text().replace(f"kit {KIT_VERSION},", f"kit {KIT_VERSION + 1},", 1)
    helper.write_text(newer)
    done = pgwatch(tmp_path, "init")
    assert f"of kit {KIT_VERSION + 1}, newer than this version's {KIT_VERSION}, so it stays" in done.stderr
    assert helper.read_text() == newer
    assert pgwatch(tmp_path, "init", "--check").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["init"], "nothing is found here"),
        (["init", "vitest"], "needs a package.json"),
        (["init", "mocha"], "Invalid value"),
        (["init", "--check", "--force"], "leave out"),
    ],
)
def test_what_cannot_be_done(arguments: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / ".git").touch()
    done = pgwatch(tmp_path, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".git"]
