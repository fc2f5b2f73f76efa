from __future__ import annotations

from datetime import UTC, datetime
from unicodedata import category

from hypothesis import given, settings
from hypothesis import strategies as st

from pgwatch_tests.leaks.model import Attribution, LeakReport, TableLeak
from pgwatch_tests.reports.leaks.leak_table import by_test, table

A, B = "tests/test_a.py::test_a", "tests/test_b.py::test_b"


def report(**attributions: tuple[Attribution, ...]) -> LeakReport:
    leaks = tuple(
        TableLeak("public", name, "table", ("c",), sum(one.rows for one in some), attribution=some)
        for name, some in attributions.items()
    )
    return LeakReport(datetime(2026, 1, 1, tzinfo=UTC), "18.4", "app_test", ("m",), 3, leaks, (), 0.1)


WHOLE = report(
    users=(
        Attribution(A, "marker", 2),
        Attribution(B, "transaction", 3),
        Attribution("", "1 of N", 9, (A, B)),
        Attribution("", "unknown", 1, (), "#1a2b3c4d: a hash of no known test"),
    ),
    bookings=(Attribution(A, "marker", 4), Attribution("", "1 of N", 1, (B,))),
)


def test_the_whole() -> None:
    assert by_test(WHOLE) == (
        "By test                                    Known by       Rows  Tables\n"
        "-----------------------------------------  -----------  ------  -----------------------------\n"
        "tests/test_a.py::test_a                    marker            6  public.bookings, public.users\n"
        "tests/test_b.py::test_b                    transaction       3  public.users\n"
        "one of tests/test_a.py::test_a             1 of 2            9  public.users\n"
        "    or tests/test_b.py::test_b\n"
        "tests/test_b.py::test_b, or somebody else  1 of 1            1  public.bookings\n"
        "(#1a2b3c4d: a hash of no known test)       unknown           1  public.users"
    )
    assert by_test(WHOLE) in table(WHOLE)


def test_nothing_if_nobody_asked() -> None:
    assert by_test(report(users=())) == by_test(report()) == ""
    assert "By test" not in table(report(users=()))


texts = st.text(st.characters(), min_size=1, max_size=12)


@settings(deadline=None)
@given(texts, texts, texts)
def test_foreign_text_can_neither_break_lines_nor_command_a_terminal(one: str, two: str, why: str) -> None:
    text = by_test(
        report(
            t=(
                Attribution(one, "marker", 1),
                Attribution("", "1 of N", 1, (one, two)),
                Attribution("", "unknown", 1, (), why),
            )
        )
    )

    assert len(text.split("\n")) == 6
    assert not any(
        category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in text.replace("\n", "")
    )
