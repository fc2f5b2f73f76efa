"""`interleave`: schedules a second, how soon a bug is found, replays that agree, schedules saved.

Bare transactions of the same statements run in turns with it, so that the ratio tells on any machine.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from itertools import count

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from pgwatch_tests.embedded.server import EmbeddedServer, find_programs
from pgwatch_tests.testing import Exploration, interleave, race, replay
from pgwatch_tests.testing.interleaving.schedules.schedule import Schedule
from tests.benchmarks.measure import interleave as in_turns
from tests.servers.server_places import server_directory

Booking = Callable[[int], bool]
TABLES = """
CREATE TABLE booking (slot int NOT NULL, who text);
CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY, slot int);
CREATE INDEX ON booking (slot);
"""
_SLOTS = count(1)
_STEPS, _STEPS_OF_THREE = 6, 9
"""Of a schedule of two actors, and of three."""
_ALL, _REDUCED = "all orders", "reduced, of three actors, for six steps"


def booker(connection: Connection[TupleRow], who: str) -> Booking:
    """Three steps: looks, books, commits."""

    def book(slot: int) -> bool:
        with connection.transaction():
            found = connection.execute("SELECT count(*) FROM booking WHERE slot = %s", [slot]).fetchone()
            if found == (0,):
                connection.execute("INSERT INTO booking (slot, who) VALUES (%s, %s)", [slot, who])
            return found == (0,)

    return book


def auditor(connection: Connection[TupleRow]) -> Booking:
    """Three steps on another table."""

    def audit(slot: int) -> bool:
        with connection.transaction():
            connection.execute("SELECT count(*) FROM audit WHERE slot = %s", [slot])
            connection.execute("INSERT INTO audit (slot) VALUES (%s)", [slot])
        return True

    return audit


def next_slot() -> int:
    """A slot that nobody has booked."""
    return next(_SLOTS)


def main() -> None:
    """Prints the figures, each with its budget."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--replays", type=int, default=1000)
    asked = options.parse_args()
    with EmbeddedServer(find_programs(), server_directory(), {"autovacuum": "off"}) as server:
        connections = [psycopg.connect(server.dsn()) for _ in range(3)]
        looking = psycopg.connect(server.dsn(), autocommit=True)
        looking.execute(TABLES)
        try:
            _report(connections, looking, asked.rounds, asked.replays)
        finally:
            for connection in (*connections, looking):
                connection.close()


def _report(
    connections: list[Connection[TupleRow]], looking: Connection[TupleRow], rounds: int, replays: int
) -> None:
    a, b = booker(connections[0], "a"), booker(connections[1], "b")

    def is_booked_once(slot: int, _: object) -> bool:
        return looking.execute("SELECT count(*) FROM booking WHERE slot = %s", [slot]).fetchone() == (1,)

    def explored(*functions: Booking, **more: object) -> Exploration:
        exploration: Exploration = interleave(
            *functions,
            setup=next_slot,
            invariant=is_booked_once,
            max_seconds=120,
            **more,  # type: ignore[arg-type]
        )
        assert exploration.complete, exploration
        return exploration

    def all_orders_s() -> float:
        found = explored(a, b, max_preemptions=None, reduction=False)
        return found.seconds / found.explored

    def reduced_s() -> float:
        """Those that matter, of three actors: what each step has locked is asked for."""
        found = explored(a, b, booker(connections[2], "c"), max_preemptions=None, isolation="READ COMMITTED")
        return found.seconds / found.explored * _STEPS / _STEPS_OF_THREE

    def bare_s() -> float:
        began = time.perf_counter()
        for _ in range(20):
            slot = next_slot()
            a(slot), b(slot)
            is_booked_once(slot, None)
        return (time.perf_counter() - began) / 20

    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    samples = in_turns({_ALL: all_orders_s, _REDUCED: reduced_s, "bare": bare_s}, rounds)
    for name in (_ALL, _REDUCED):
        per_second, ratio = 1 / samples.median(name), samples.ratio(name, "bare")
        print(f"{name}: {per_second:.0f} schedules/s (budget: 100/s), {ratio} the bare statements")

    found = [explored(a, b) for _ in range(rounds)]
    first = max(min(one.number for one in each.bad) for each in found)
    seconds = sorted(each.seconds / each.explored * min(one.number for one in each.bad) for each in found)
    median_s = seconds[len(seconds) // 2]
    print(f"check-then-insert: found by schedule {first} (budget: 5) in {median_s:.3f} s (budget: 0.2 s)")

    _report_replays(found[0].bad[0], (a, b), is_booked_once, replays)

    audit = auditor(connections[2])
    full = explored(a, b, audit, max_preemptions=1, reduction=False)
    reduced = explored(a, b, audit, max_preemptions=1)
    print(
        f"three actors over two tables, one preemption: {reduced.explored} of {full.explored} schedules,"
        f" 1/{full.explored / reduced.explored:.1f} (budget: 1/5)"
    )
    barrier = sum(
        not is_booked_once(slot, race(2, _either(a, b), args=[[0, slot], [1, slot]])) for slot in _some(100)
    )
    print(f"a barrier alone finds it in {barrier} of 100 rounds")


def _report_replays(
    bad: Schedule, functions: tuple[Booking, Booking], invariant: Callable[[int, object], bool], replays: int
) -> None:
    began = time.perf_counter()
    same = sum(
        [one.id for one in replay(bad.id, *functions, setup=next_slot, invariant=invariant).bad] == [bad.id]
        for _ in range(replays)
    )
    each_ms = (time.perf_counter() - began) / replays * 1000
    print(f"replays: {same} of {replays} the same (budget: all), {each_ms:.1f} ms each")


def _either(a: Booking, b: Booking) -> Callable[[int, int], bool]:
    return lambda number, slot: (a, b)[number](slot)


def _some(n: int) -> list[int]:
    return [next_slot() for _ in range(n)]


if __name__ == "__main__":
    main()
