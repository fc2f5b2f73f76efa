"""The verdict: the largest trouble first, honest about what wasn't checked, on a line of any width."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pgwatch_tests.leaks.model import LeakReport, Leftover, Skipped, TableLeak
from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.contention.last_troubles import Trouble
from pgwatch_tests.locks.graph.lock_graph import LockGraph
from pgwatch_tests.locks.graph.settled_waits import settle
from pgwatch_tests.locks.model import LockSnapshot, PreparedTransaction, Session
from pgwatch_tests.reports.verdict.calm import advice_lines
from pgwatch_tests.reports.verdict.verdict import LOCKS_ONLY, Clause, Facts, clauses, with_hint
from pgwatch_tests.reports.verdict.verdict_line import TROUBLE, WELL, fitted, text
from pgwatch_tests.text.toned_text import Tone, text_of
from tests.locks.snapshots import MOMENT, edge, session, snapshot


def report(*tables: TableLeak, skipped: tuple[Skipped, ...] = ()) -> LeakReport:
    return LeakReport(MOMENT, "18.1", "test_app", ("test email",), 12, tables, skipped, 0.1)


NO_LEAKS = Facts(report())
USERS = TableLeak("public", "users", "table", ("email",), 13)
SECRETS = Skipped("public", "secrets", "no SELECT privilege", "GRANT SELECT ON secrets TO app")


def verdict(shown: LockSnapshot, facts: Facts = NO_LEAKS) -> str:
    return text(clauses(LockGraph(shown), facts))


def tones(shown: LockSnapshot, facts: Facts = NO_LEAKS) -> set[Tone]:
    return {clause.tone for clause in clauses(LockGraph(shown), facts)}


def importing() -> LockSnapshot:
    """`test_import` holds an advisory lock that four tests wait for."""
    waiting = tuple(edge(pid, 1, wait_s=12.0 - pid, target="advisory lock 4711") for pid in range(2, 6))
    waiting = (*waiting[1:], replace(waiting[0], wait_s=12.0))
    return settle(None, snapshot(waiting, (session(1, "pytest:gw3 tests/test_calendar.py::test_import"),)))


def quiet_suite(*doing: tuple[str, str | None, str | None], still_s: float = 34.0) -> LockSnapshot:
    """Sessions with that state, type of wait event and wait event, none of which has changed for long."""
    sessions = tuple(
        replace(session(pid, state=state), wait_event_type=kind, wait_event=event, state_age_s=still_s + pid)
        for pid, (state, kind, event) in enumerate(doing)
    )
    return snapshot((), sessions)


def test_the_whole_sentence() -> None:
    facts = Facts(report(USERS), next_sweep=MOMENT + timedelta(hours=1))
    at = f"{(MOMENT + timedelta(hours=1)).astimezone():%H:%M}"
    assert verdict(importing(), facts) == (
        f"test_import blocks 4 tests for 12 s (advisory lock 4711) · 13 rows leaked · next sweep {at}"
    )


def test_all_is_well() -> None:
    assert verdict(snapshot()) == "Nothing is blocked · no rows leaked"
    assert tones(snapshot()) == {"good"}
    assert text_of(fitted(clauses(LockGraph(snapshot()), NO_LEAKS), None)).startswith(WELL)


def test_a_deadlock_is_first() -> None:
    ring = snapshot((edge(2, 1), edge(1, 2), edge(3, 1), edge(9, 8, wait_s=99.0)))
    seen = settle(None, ring)
    sure = replace(seen, deadlocks=seen.probable_deadlocks, probable_deadlocks=())
    assert verdict(sure).startswith("test_1 and test_2 deadlock each other · test_8 blocks 1 test")
    assert verdict(seen).startswith("test_1 and test_2 seem to deadlock each other")


def test_many_roots_are_summed_up() -> None:
    pairs = tuple(edge(root + 1, root, target=f"advisory lock {root}") for root in range(10, 60, 10))
    said = verdict(settle(None, snapshot(pairs)), Facts(report(USERS)))
    assert said.endswith("(advisory lock 10) · 13 rows leaked · 4 more blockers, 4 waiting")


def test_a_session_without_a_test_and_a_prepared_transaction_as_blockers() -> None:
    shown = settle(None, snapshot((edge(2, 1),), (session(1, "psql"),)))
    assert verdict(shown).startswith("psql (pid 1) blocks 1 test for 1.0 s")
    prepared = replace(
        snapshot((edge(2, 0, gid="payment"),)), prepared=(PreparedTransaction("payment", 5, 10),)
    )
    assert verdict(settle(None, prepared)).startswith("prepared transaction payment blocks 1 test")


UNSURE = [
    ("not counted yet", snapshot(), Facts(), "leaked rows not counted yet"),
    ("not counted", snapshot(), Facts(leaks_trouble="gone"), "leaked rows not counted"),
    ("a count that failed", snapshot(), Facts(report(), "gone"), "no rows leaked (latest count failed)"),
    ("an old count", snapshot(), Facts(report(), leaks_age_s=50), "no rows leaked (counted 50 s ago)"),
    (
        "an old count, and a newer one that failed",
        snapshot(),
        Facts(report(USERS), "gone", leaks_age_s=120),
        "13 rows leaked (counted 2 min ago, latest count failed)",
    ),
    ("not checked", snapshot(), Facts(report(skipped=(SECRETS,))), "no leaked rows found, but 1 not checked"),
    ("hidden", snapshot((), (session(7, hidden=True),)), NO_LEAKS, "1 session hidden"),
    ("stale", snapshot(), replace(NO_LEAKS, is_stale=True), "Nothing is blocked"),
    ("leaked", snapshot(), Facts(report(USERS)), "13 rows leaked · nothing is blocked"),
    (
        "a recording without a check",
        replace(snapshot(), is_past=True),
        Facts(is_recorded=True),
        "Nothing is blocked",
    ),
]


@pytest.mark.parametrize(("shown", "facts", "words"), [one[1:] for one in UNSURE], ids=[o[0] for o in UNSURE])
def test_what_isnt_sure_is_never_green(shown: LockSnapshot, facts: Facts, words: str) -> None:
    assert words in verdict(shown, facts)
    assert "good" not in tones(shown, facts)


def test_several_databases_are_told_apart() -> None:
    elsewhere = replace(session(7), database="billing")
    assert "13 rows leaked in test_app" in verdict(snapshot((), (elsewhere,)), Facts(report(USERS)))
    assert "13 rows leaked in" not in verdict(snapshot((), (session(7),)), Facts(report(USERS)))


@pytest.mark.parametrize(
    ("doing", "words"),
    [
        ((("active", None, None),) * 3, "3 compute (CPU)"),
        ((("active", "IO", "DataFileRead"),) * 2, "2 wait for disk DataFileRead"),
        ((("active", "LWLock", "WALWrite"),), "1 waits for internal lock WALWrite"),
        ((("active", "Client", "ClientRead"),) * 2, "2 wait for their clients"),
        ((("active", "Timeout", "PgSleep"), ("idle", "Client", "ClientRead")), "1 waits for timer PgSleep"),
        ((("idle in transaction", "Client", "ClientRead"), ("idle", None, None)), "1 idle in transaction"),
    ],
)
def test_what_a_suite_waits_for_that_hangs_though_nothing_is_blocked(
    doing: tuple[tuple[str, str | None, str | None], ...], words: str
) -> None:
    said = verdict(quiet_suite(*doing))
    assert said.startswith("Nothing is blocked, but no test's session has changed for 30 s: ")
    assert words in said
    assert "good" not in tones(quiet_suite(*doing))


def test_who_has_not_changed_is_told_in_any_width() -> None:
    suite = quiet_suite(("idle", None, None), ("idle in transaction", None, None))
    found = clauses(LockGraph(suite), NO_LEAKS)
    for width in (60, 45, 36):
        assert "Tests unchanged for 30 s: 1 idle" in text_of(fitted(found, width))


@pytest.mark.parametrize(
    ("doing", "look"),
    [
        ((("idle", "Client", "ClientRead"),) * 2, "The server waits for the next statement: look at what"),
        (
            (("idle in transaction", "Client", "ClientRead"), ("idle", None, None)),
            "Transactions are open, and the server waits for their next statement: look at what the tests do",
        ),
        ((("active", "Client", "ClientWrite"),), "A program doesn't read its rows"),
        ((("active", "Timeout", "PgSleep"), ("active", None, None)), "A statement sleeps"),
        ((("active", "LWLock", "WALWrite"),), "Many sessions do the same at once"),
        ((("active", "IO", "DataFileRead"), ("active", None, None)), "A statement reads or writes much"),
        ((("active", None, None), ("idle", None, None)), "A statement computes"),
        ((("active", "IPC", "ParallelFinish"),), "Sessions (2) shows what each does."),
    ],
)
def test_where_to_look_where_nothing_is_blocked(
    doing: tuple[tuple[str, str | None, str | None], ...], look: str
) -> None:
    keys = {"sessions": "2", "cancel": "C", "terminate": "K"}
    [[line]] = advice_lines(quiet_suite(*doing), keys.__getitem__)
    assert line.text.startswith(look)
    # Who waits for its client hears no cancel.
    acts = "K ends it there" if "its rows" in look else "C cancels it there"
    assert (acts in line.text) == look.startswith("A ")
    [[line]] = advice_lines(quiet_suite(*doing), keys.__getitem__, acts=False)
    assert acts not in line.text
    assert advice_lines(quiet_suite(*doing, still_s=2.0), keys.__getitem__) == []


def test_used_up_connections_lead_to_who_has_them_and_what_to_do() -> None:
    full = replace(quiet_suite(("idle", None, None), still_s=1.0), capacity=Capacity(97, 100, 3, 20, 6400))
    [[who], [advice]] = advice_lines(full, str)
    assert who.text == "Sessions (sessions) shows who has the connections."
    assert advice.text.startswith("Close pools")


def test_idle_sessions_point_outside_of_the_database() -> None:
    idle = quiet_suite(*[("idle", "Client", "ClientRead")] * 12)
    assert verdict(idle).startswith(
        "Nothing is blocked, all 12 sessions idle for 30 s: if the suite hangs, "
        "the cause is outside of the database"
    )
    assert "idle" not in verdict(quiet_suite(("idle", None, None), still_s=2.0))


def test_a_deadlock_that_comes_again_is_told_between_two_polls() -> None:
    def deadlock(ago_s: float) -> Trouble:
        who = "test_a (gw0, pid 1) and test_b (gw1, pid 2)"
        return Trouble(MOMENT - timedelta(seconds=ago_s), who, "row of t (id=1)", 1, 0.4, is_deadlock=True)

    late = replace(NO_LEAKS, troubles=(deadlock(-5), deadlock(3), deadlock(7), deadlock(70)))
    assert verdict(snapshot(), late) == (
        "2 deadlocks in the last minute: test_a (gw0, pid 1) and test_b (gw1, pid 2) "
        "· nothing is blocked · no rows leaked"
    )
    assert "good" not in tones(snapshot(), late)
    assert "deadlock" not in verdict(snapshot(), replace(NO_LEAKS, troubles=(deadlock(70),)))


def test_a_suite_without_names_is_that_of_the_database() -> None:
    def app(pid: int, database: str) -> Session:
        return replace(session(pid, "app", "idle"), database=database, state_age_s=60.0)

    others = snapshot((), (app(1, "test_app"), app(2, "other")))
    assert "the only session in test_app idle for 1 min" in verdict(others)
    assert "the only session idle for 1 min" in verdict(snapshot((), (app(1, "test_app"),)))
    assert "idle" not in verdict(snapshot((), (app(2, "other"),)))


def test_whose_sessions_are_idle_is_said_where_there_are_others() -> None:
    tests = [replace(session(pid, state="idle"), state_age_s=60.0) for pid in (1, 2)]
    other = replace(session(3, "psql", "idle"), state_age_s=1.0)
    assert "all 2 sessions of tests idle for 1 min" in verdict(snapshot((), (*tests, other)))
    assert "the only session of a test idle for 1 min" in verdict(snapshot((), (tests[0], other)))


def test_what_a_suite_left_comes_before_why_it_might_hang() -> None:
    idle = replace(session(1, state="idle"), state_age_s=420.0)
    left = replace(report(), leftovers=(Leftover("schema", "test_gw0_abc123"),))
    said = verdict(snapshot((), (idle,)), Facts(left))
    assert said == (
        "Test schema test_gw0_abc123 left · no rows leaked · nothing is blocked, the only session idle for "
        "7 min: if the suite hangs, the cause is outside of the database"
    )


def test_a_transaction_is_left_open_in_one_number_only() -> None:
    tests = [replace(session(pid, state="idle in transaction"), state_age_s=120.0) for pid in (1, 2)]
    other = replace(session(3, "psql", "idle in transaction"), state_age_s=120.0)
    unchanged = "nothing is blocked, but no test's session has changed for 2 min: 2 idle in transaction"
    assert verdict(snapshot((), tuple(tests)), LOCKS_ONLY).lower() == unchanged
    assert verdict(snapshot((), (*tests, other)), LOCKS_ONLY).lower() == (
        f"{unchanged} · 1 other session idle in transaction for up to 2 min"
    )


def test_connections_and_transactions_left_open() -> None:
    full = replace(snapshot(), capacity=Capacity(97, 100, 3, 20, 6400))
    assert verdict(full).startswith("Connections used up (97 of 100) · nothing is blocked")
    nearly = replace(snapshot(), capacity=Capacity(90, 100, 3, 6000, 6400))
    assert "nearly used up (90 of 100) · lock table nearly full" in verdict(nearly)
    forgotten = replace(session(1, state="idle in transaction"), state_age_s=120.0)
    busy = session(2)
    assert "1 session idle in transaction for up to 2 min" in verdict(snapshot((), (forgotten, busy)))


@pytest.mark.parametrize(("number", "words"), [(1, "transaction pid 1 left"), (7, "7 transactions left")])
def test_transactions_that_a_count_found_open_arent_told_as_those_that_are_idle_now(
    number: int, words: str
) -> None:
    left = tuple(Leftover("idle_in_transaction", f"pid {pid}") for pid in range(1, 1 + number))
    assert f"{words} open for a while" in verdict(snapshot(), Facts(replace(report(), leftovers=left)))
    mixed = replace(report(), leftovers=(*left, *left, Leftover("schema", "test_gw0")))
    assert "left open for a while, 1 other leftover" in verdict(snapshot(), Facts(mixed))


# Fitting.

_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=60)
_TONES: tuple[Tone, ...] = ("", "quiet", "good", "notice", "warning", "trouble")
_CLAUSES = st.lists(
    st.builds(
        Clause,
        st.lists(_TEXT, min_size=1, max_size=3).map(lambda all_: tuple(sorted(all_, key=len, reverse=True))),
        st.sampled_from(_TONES),
    ),
    min_size=1,
    max_size=6,
)


@given(_CLAUSES, st.integers(0, 200))
def test_a_verdict_fits_every_width_and_never_loses_its_first_sentence(
    found: list[Clause], width: int
) -> None:
    line = text_of(fitted(found, width))
    assert cell_len(line) <= width
    if width >= 5:
        shown = line.removeprefix(TROUBLE).removeprefix(WELL).casefold()
        beginnings = [form.casefold()[:1] for form in found[0].forms]
        assert shown[:1] in [*(one[:1] for one in beginnings), "…"]


@given(_CLAUSES)
def test_with_room_nothing_is_lost(found: list[Clause]) -> None:
    line = text_of(fitted(found, None)).casefold()
    assert all(clause.forms[0].casefold() in line for clause in found)


def test_troubles_outlast_what_is_calm() -> None:
    found = clauses(LockGraph(importing()), Facts(report(USERS), next_sweep=MOMENT))
    assert text_of(fitted(found, 80)).endswith("(advisory lock 4711) · ● 13 rows leaked")
    assert text_of(fitted(found, 60)) == "● test_import blocks 4 tests for 12 s · ● 13 rows leaked"
    assert text_of(fitted(found, 40)) == "● test_import blocks 4 tests for 12 s …"
    assert text_of(fitted(found, 20)) == "● test_import block…"


def cut_test(digest: str, file: str) -> str:
    return f"pytest:gw0 #{digest} ..{file}.py::test_orders"


def test_which_key_helps_is_told_where_that_takes_the_place_of_no_trouble() -> None:
    found = with_hint(clauses(LockGraph(importing()), Facts(report(USERS))), "A frees 4")
    for width, line in (
        (
            None,
            "● test_import blocks 4 tests for 12 s (advisory lock 4711): A frees 4 · ● 13 rows leaked",
        ),
        (80, "● test_import blocks 4 tests for 12 s: A frees 4 · ● 13 rows leaked"),
        (60, "● test_import blocks 4 tests: A frees 4 · ● 13 rows leaked"),
        (55, "● test_import blocks 4 tests · ● 13 rows leaked"),
    ):
        assert text_of(fitted(found, width)) == line
    assert with_hint((), "A frees 4") == ()
    assert with_hint(found, "") == found


def test_a_hash_is_told_only_of_two_cut_tests_of_one_name() -> None:
    found = (edge(2, 1, wait_s=12.0, target="table orders"),)
    report_reads = session(1, cut_test("3e3344b2", "t_report"))
    alone = settle(None, snapshot(found, (report_reads,)))
    assert verdict(alone).startswith("test_orders blocks 1 test for 12 s (table orders)")
    alike = (report_reads, session(2, cut_test("2de9ef80", "st_list")))
    assert verdict(settle(None, snapshot(found, alike))).startswith("test_orders #3e3344b2 blocks 1 test for")


def deadlocked(first: str, second: str) -> LockSnapshot:
    sessions = (session(1, f"pytest:gw0 t.py::{first}"), session(2, f"pytest:gw1 t.py::{second}"))
    seen = settle(None, snapshot((edge(2, 1), edge(1, 2)), sessions))
    return replace(seen, deadlocks=seen.probable_deadlocks, probable_deadlocks=())


def test_80_columns_name_both_tests_of_a_deadlock() -> None:
    shown = deadlocked("test_transfer_from_savings", "test_transfer_from_giro")
    found = clauses(LockGraph(shown), Facts(report(USERS)))
    assert text_of(fitted(found, 100)) == (
        "● test_transfer_from_savings and test_transfer_from_giro deadlock each other · ● 13 rows leaked"
    )
    assert text_of(fitted(found, 78)) == (
        "● test_trans…m_savings and test_trans…from_giro deadlock · ● 13 rows leaked"
    )
    assert text_of(fitted(found, 52)) == "● test_tra…_savings and test_tra…rom_giro deadlock …"
    assert text_of(fitted(found, 40)) == "● 2 sessions deadlock each other …"


def test_names_are_not_cut_to_the_same() -> None:
    first, second = (f"test_transfer_{one}_of_several_currencies" for one in ("in", "out"))
    found = clauses(LockGraph(deadlocked(first, second)), NO_LEAKS)
    assert text_of(fitted(found, 78)) == "● 2 sessions deadlock each other · no rows leaked"
    assert f"{first} and {second}" in text_of(fitted(found, 120))


def test_80_columns_name_the_tests_of_a_deadlock_that_is_over() -> None:
    names = ("test_transfer_from_savings", "test_transfer_from_giro")
    over = Trouble(
        MOMENT,
        " and ".join(f"{one} (gw0, pid 1)" for one in names),
        "row of t (id=1)",
        2,
        0.4,
        is_deadlock=True,
        names=names,
    )
    found = clauses(LockGraph(snapshot()), replace(Facts(report(USERS)), troubles=(over,)))
    assert text_of(fitted(found, 78)) == (
        "● 1 deadlock in the last minute: test_tra…_savings and test_tra…rom_giro …"
    )
