"""The practice text's own files: each of its don'ts is found, each of its do's is quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgwatch_tests.lint.check import check
from tests.lint.suites import ALL, checked

PRACTICE = Path(__file__).parent / "practice"
FOUND = [
    # The text's bad example; the two good ones in the same file are quiet.
    ("test-helpers/booking-factory.ts", 2, "no-cleanup"),
    ("test-helpers/ids.ts", 13, "static-identity"),
    ("test-helpers/leftover-check.ts", 6, "shared-count"),
    ("test-helpers/name-logging.ts", 7, "test-name-outside-test"),
    ("test-helpers/schema-isolation.ts", 16, "search-path-on-pool"),
    ("test-helpers/schema-isolation.ts", 29, "search-path-on-pool"),
    ("test-helpers/user-factory.ts", 5, "no-cleanup"),
    ("tests/load.test.ts", 26, "cleanup-in-test"),
    ("tests/race.test.ts", 26, "swallowed-race"),
    ("tests/race.test.ts", 38, "cleanup-in-test"),
    ("workflow.yml", 64, "overwritten-report"),
]


def test_each_dont_is_found_and_each_do_is_quiet() -> None:
    report = check([PRACTICE], ALL)

    found = [(Path(one.path).relative_to(_shown()).as_posix(), one.line, one.rule) for one in report.findings]
    assert sorted(found) == sorted(FOUND)
    assert report.not_read == ()
    assert report.files == 11


HOOK = "\nafterEach(() => db.delete(users).where(eq(users.email, email)))\n"
OWN = "const email = `user-${Date.now()}-${crypto.randomUUID()}@test.example.com`"
DONTS = {
    # The text's lists are prose: each of their points in a line of code, and what does it right.
    "fixed data": (
        "static-identity",
        "test('a', async () => { await db.insert(users).values({ email: 'test@example.com' }) })",
        f"test('a', async () => {{ {OWN}; await db.insert(users).values({{ email }}) }})",
    ),
    "order": (
        "order-dependence",
        "test.describe.serial('checkout', () => {})",
        "test.describe('checkout', () => {})",
    ),
    "shared state": (
        "order-dependence",
        "let id\ntest('a', async () => { id = await make() })\ntest('b', async () => { await use(id) })",
        "let id\nbeforeEach(async () => { id = await make() })\ntest('b', async () => { await use(id) })",
    ),
    "sleep": (
        "sleep",
        "test('a', async () => { await new Promise((r) => setTimeout(r, 1000)) })",
        "test('a', async () => { await expect.poll(() => job.status(), { timeout: 5000 }).toBe('done') })",
    ),
    "skipped clean-up": (
        "no-cleanup",
        f"test('a', async () => {{ {OWN}; await db.insert(users).values({{ email }}) }})",
        f"test('a', async () => {{ {OWN}; await db.insert(users).values({{ email }}) }}){HOOK}",
    ),
    "mocks": (
        "mocked-database",
        "vi.mock('@/lib/db/connection')",
        "import { db } from '@/lib/db/connection'",
    ),
}


@pytest.mark.parametrize("point", DONTS)
def test_each_point_of_the_lists_is_found_and_its_counterpart_quiet(point: str, tmp_path: Path) -> None:
    rule, wrong, right = DONTS[point]
    hook = "" if point == "skipped clean-up" else HOOK
    assert [one.rule for one in checked(tmp_path, {"a.test.ts": wrong + hook}).findings] == [rule]
    assert checked(tmp_path, {"a.test.ts": right + hook}).findings == ()


def test_a_factory_whose_clean_up_a_hook_calls_is_quiet(tmp_path: Path) -> None:
    factory = (PRACTICE / "test-helpers" / "user-factory.ts").read_text(encoding="utf-8")
    (tmp_path / ".git").mkdir()
    (tmp_path / "test-helpers").mkdir()
    (tmp_path / "test-helpers" / "user-factory.ts").write_text(factory, encoding="utf-8")
    assert [one.rule for one in check([tmp_path], ALL).findings] == ["no-cleanup"]

    hook = "const factory = new TestUserFactory()\nafterEach(() => factory.cleanup())\n"
    (tmp_path / "users.test.ts").write_text(hook, encoding="utf-8")
    assert check([tmp_path], ALL).findings == ()


def _shown() -> Path:
    return PRACTICE.relative_to(Path.cwd()) if PRACTICE.is_relative_to(Path.cwd()) else PRACTICE
