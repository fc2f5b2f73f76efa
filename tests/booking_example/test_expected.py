"""What is wrong with a run is told: a good test that is named, a bad one that isn't, or not as it should."""

from __future__ import annotations

from tests.booking_example.expected import BAD, TESTS, mistakes
from tests.booking_example.run import Run

TITLE = "===== pgwatch: 8 findings in 7 tests ====="
STATIC_EMAIL = "tests/bad/test_static_email.py::test_a_parent_registers"


def run_that_says(*lines: str, failed: frozenset[str] = frozenset()) -> Run:
    return Run(1, "\n".join((TITLE, *lines, "==== 41 passed ====")), TESTS, failed)


def test_what_is_named_and_what_is_not() -> None:
    said = run_that_says(
        f"{STATIC_EMAIL} [gw0]",
        "  left 1 row in public.users (id=1)",
        "    → delete them",
        "tests/test_service.py::test_good [gw1]",
        "  left 1 row in public.users (id=2)",
        "    → delete them",
        failed=frozenset({"tests/test_service.py::test_other", STATIC_EMAIL}),
    )
    found = mistakes(said)
    assert found[0] == "tests/test_service.py::test_good is named: left 1 row in public.users (id=2)"
    assert found[-1] == "tests/test_service.py::test_other failed"
    assert len(found) == 1 + (len(BAD) - 1) + 1


def test_a_reason_that_is_another_one_or_without_advice() -> None:
    for lines in (("  left 1 row in public.notices", "    → delete it"), ("  left 1 row in public.users",)):
        found = mistakes(run_that_says(f"{STATIC_EMAIL} [gw0]", *lines))
        assert f"{STATIC_EMAIL} is said to have {lines[0].strip()}" in found
