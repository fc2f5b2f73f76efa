"""What is left of a report once accepted findings are counted apart."""

from __future__ import annotations

from datetime import UTC, datetime

from pgwatch_tests.accepted_findings import ANY_TEST, Acceptance, Finding
from pgwatch_tests.leaks.accepted_leaks import findings, without_accepted
from pgwatch_tests.leaks.gate import Gate, verdict
from pgwatch_tests.leaks.model import Attribution, LeakReport, Leftover, LeftoverKind, Skipped, TableLeak

KINDS: tuple[LeftoverKind, ...] = ("schema", "idle_in_transaction", "prepared_transaction")


def report(
    *tables: TableLeak, leftovers: tuple[Leftover, ...] = (), skipped: tuple[Skipped, ...] = ()
) -> LeakReport:
    return LeakReport(
        datetime(2026, 1, 2, tzinfo=UTC),
        "18.4",
        "app_test",
        ("test email",),
        3,
        tables,
        skipped,
        0.1,
        leftovers=leftovers,
        kinds_checked=KINDS,
    )


def users(*attribution: Attribution) -> TableLeak:
    rows = sum(one.rows for one in attribution) or 4
    return TableLeak("public", "users", "table", ("email",), rows, attribution=attribution)


def rows(test: str, place: str = "public.users") -> Finding:
    return Finding("leaks", "rows", place, test)


def test_a_report_accepted_as_it_is_passes() -> None:
    found = report(
        users(Attribution("t::a", "marker", 3), Attribution("", "unknown", 1)),
        TableLeak("test_1717171717171_1_ab", "orders", "table", ("id",), 1),
        leftovers=(
            Leftover("schema", "test_1717171717171_1_ab"),
            Leftover("idle_in_transaction", "pid 4711", test="t::b"),
        ),
    )
    later = report(
        users(Attribution("t::a", "marker", 9), Attribution("", "1 of N", 2, ("t::a", "t::c"))),
        TableLeak("test_1818181818181_1_cd", "orders", "table", ("id",), 5),
        leftovers=(
            Leftover("schema", "test_1818181818181_1_cd"),
            Leftover("idle_in_transaction", "pid 4712", test="t::b"),
        ),
    )
    accepted = Acceptance(dict.fromkeys(findings([found]), ""))

    [judged] = without_accepted([later], accepted)

    assert judged.total == 0
    assert judged.leftovers == ()
    assert verdict(Gate(), [judged]) == "clean"
    assert judged.accepted is not None
    assert (judged.accepted.rows, judged.accepted.leftovers, judged.accepted.gone) == (16, 2, ())


def test_new_findings_fail_beside_known_ones() -> None:
    accepted = Acceptance({rows("t::a"): "", Finding("leaks", "idle_in_transaction", "session", "t::b"): ""})
    found = report(
        users(Attribution("t::a", "marker", 3), Attribution("t::new", "transaction", 2)),
        leftovers=(
            Leftover("idle_in_transaction", "pid 1", test="t::b"),
            Leftover("idle_in_transaction", "pid 2", test="t::new"),
        ),
    )

    [judged] = without_accepted([found], accepted)

    assert judged.tables == (users(Attribution("t::new", "transaction", 2)),)
    assert [one.name for one in judged.leftovers] == ["pid 2"]
    assert verdict(Gate(), [judged]) == "findings"


def test_a_guess_is_not_the_test_that_was_accepted() -> None:
    accepted = Acceptance({rows("t::a"): ""})
    for unsure in (Attribution("", "1 of N", 1, ("t::a",)), Attribution("", "unknown", 1)):
        [judged] = without_accepted([report(users(unsure))], accepted)
        assert judged.total == 1
    [judged] = without_accepted([report(users())], accepted)
    assert judged.total == 4, "nobody asked which test it was"


def test_any_test() -> None:
    [judged] = without_accepted(
        [report(users(Attribution("t::a", "marker", 3)))], Acceptance({rows(ANY_TEST): ""})
    )
    assert judged.total == 0


def test_what_is_there_no_more_is_told_if_it_was_looked_for() -> None:
    gone = [
        rows("t::a"),
        Finding("leaks", "schema", "test_*", ""),
    ]
    not_looked_for = [
        rows("t::a", "public.secret"),
        Finding("leaks", "large_object", "owner", ""),
        Finding("locks", "same_row", "row of users", ""),
    ]
    skipped = (Skipped("public", "secret", "no SELECT privilege"),)

    first, second = without_accepted(
        [report(skipped=skipped), report()], Acceptance(dict.fromkeys([*gone, *not_looked_for], ""))
    )

    assert first.accepted is not None
    assert second.accepted is not None
    assert first.accepted.gone == tuple(sorted(gone))
    assert second.accepted.gone == ()
