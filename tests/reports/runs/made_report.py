"""A report on a run with some of everything in it, and one whose every text is hostile."""

from __future__ import annotations

from dataclasses import replace

from pgwatch_tests.record.merging.merged import (
    LastPicture,
    LastSession,
    RecordedRun,
    RunReport,
    Unreadable,
    merge,
)
from pgwatch_tests.record.model import LeakEvent, Mark, TestSighting, WaitEvent
from pgwatch_tests.record.run_summary import Hang
from tests.record.made_events import at, deadlock, facts, run, server, side, wait

CAUSES = ("idle_in_transaction", "same_key", "same_row", "ddl_queue", "advisory_lock", "long_query", "other")
HOSTILE = (
    "</script><script>window.ran = 1</script>",
    '"><img src=x onerror="window.ran = 2">',
    "<svg/onload=window.ran=3>",
    "' onmouseover='window.ran = 4",
    "javascript:window.ran=5",
    "&lt;b&gt; &amp; &#x3c;script&#x3e;",
    "\u202eevil\u2066 \u05d0\u05d1\u05d2 \u0627\u0644",
    "nul\x00 bell\x07 esc\x1b[31m",
    b"not \xff\xfe utf-8".decode("utf-8", "surrogateescape"),
    "a\nb\r\nc\u2028d\u0085e",
    "]]> --> <!-- <![CDATA[ {{7*7}} ${7*7} `x`",
    "| a | **b** [c](https://evil.example) <https://evil.example> @someone #1",
)
"""Texts that would run, load, hide or break out, if they were taken for anything but text."""


def waits(number: int, tests: int = 12) -> list[WaitEvent]:
    """That many waits of that many tests, longer and shorter ones, of all causes."""
    return [
        wait(
            2.0 + place * 90.0 / number,
            0.2 + (place * 7 % 11) / 3,
            side(100 + place % 40, f"tests/test_bookings.py::test_waits_{place % tests:02}"),
            side(200 + place % 40, f"tests/test_payments.py::test_blocks_{place * 5 % tests:02}", "SELECT 1"),
            object=("row of bookings", "unique key of users", "table instructors")[place % 3],
            target=f"row of bookings (id={place})",
            cause=CAUSES[place % len(CAUSES)],
        )
        for place in range(number)
    ]


def killed_run(number: int = 60) -> RecordedRun:
    """A run that was killed, with waits, deadlocks, leaks, a hang and a gap."""
    first, second = side(11, "tests/test_a.py::test_one"), side(12, "tests/test_a.py::test_two")
    return replace(
        run("pgwatch-results/recording.pgwatch", waits(number), facts=facts(exit_code=137)),
        facts=replace(facts(exit_code=137), signal=9, ci_url="https://ci.example.com/job/1"),
        deadlocks=(
            deadlock(30.0, first, second, victim=first.who),
            deadlock(66.0, side(13), side(14), source="server log"),
        ),
        marks=(Mark(at(50), "server_lost", "refused"), Mark(at(55), "server_back")),
        tests=tuple(
            TestSighting(f"tests/test_a.py::test_{place}", "pytest", "gw0", 1, at(place), at(place + 2), 8)
            for place in range(20)
        ),
        leaks=(
            LeakEvent("rows", "public.users", 12, "tests/test_a.py::test_one", "marker"),
            LeakEvent("rows", "public.bookings", 7, "", "1 of N", ("tests/a.py::b", "tests/a.py::c")),
            LeakEvent("rows", "public.payments", 3, "", "unknown"),
            LeakEvent("schema", "test_1700000000000_77_abcd", 1, "", "unknown", detail="2 h old"),
        ),
        leaks_checked=True,
        hangs=(
            Hang(at(80), 30.0, "pid 4711  gw1 a::b  idle in transaction\n└─ pid 4712 waits 30 s\n→ End it."),
        ),
        not_checked=("The server's log could not be read: permission denied.",),
        last=LastPicture(
            at(99),
            (
                LastSession(first, "row of users (id=7)", 12.5, (second.who,)),
                LastSession(replace(second, state="idle in transaction")),
            ),
        ),
    )


def report(number: int = 60) -> RunReport:
    """The report on it, with something that couldn't be read."""
    return merge([killed_run(number)], [Unreadable("pgwatch-results/3-of-4", "no recording in it")])


def hostile_report() -> RunReport:
    """A report that has each hostile text wherever somebody else's text can be."""
    runs = []
    for number, text in enumerate(HOSTILE):
        bad = replace(
            side(number + 1, "t"), who=text, name=text, test=text, worker=text, database=text, user=text
        )
        bad = replace(bad, client=text, state=text, statement=text, runner=text)
        waited = replace(
            wait(5.0 + number, 2.0, bad, replace(bad, pid=99)), lock=text, mode=text, held_mode=text
        )
        waited = replace(waited, target=text, object=text, cause=text, explanation=text, advice=text)
        locked = replace(deadlock(9.0 + number, bad, replace(bad, pid=98), victim=text, advice=text))
        locked = replace(
            locked,
            explanation=text,
            members=tuple(replace(one, target=text, object=text) for one in locked.members),
        )
        of = replace(facts(text, pid=number), command=(text,), machine=text, commit=text, branch=text)
        of = replace(of, ci_url=text, signal=9)
        runs.append(
            replace(
                run(f"{text}/recording", [waited], facts=of, deadlocks=[locked]),
                servers=(replace(server(), version=text, address=text, database=text),),
                tests=(TestSighting(text, text, text, 1, at(1), at(2), 3),),
                leaks=(
                    LeakEvent("rows", text, 2, text, "marker"),
                    LeakEvent("rows", text, 1, "", "1 of N", (text, text)),
                    LeakEvent("schema", text, 1, text, "unknown", detail=text),
                ),
                leaks_checked=True,
                hangs=(Hang(at(3), 2.0, text, text),),
                not_checked=(text,),
                last=LastPicture(at(4), (LastSession(bad, text, 1.0, (text,)),)),
            )
        )
    return merge(runs, [Unreadable(text, text) for text in HOSTILE])
