"""What a watch saw of contention as the JSON document `pgwatch-tests.contention/1`."""

from __future__ import annotations

import json
from dataclasses import asdict

from pgwatch_tests.locks.contention.contention import Contention
from pgwatch_tests.locks.contention.deadlocks import DeadlockedSession
from pgwatch_tests.locks.contention.wait_record import LockedObject, RecordedWait, Side
from pgwatch_tests.locks.gate import AcceptanceUse
from pgwatch_tests.reports.locks.formats import lock_accepted
from pgwatch_tests.text.times import iso_time

SCHEMA = "pgwatch-tests.contention/1"


def document(seen: Contention, accepted: AcceptanceUse | None = None) -> str:
    """The document, indented. Text is as it came, ASCII-escaped; `blocked` is null where nobody looked."""
    counted = seen.deadlocks_counted
    longest = seen.longest
    content = {
        "schema": SCHEMA,
        "since": iso_time(seen.since),
        "until": iso_time(seen.until),
        "server_version": seen.server_version,
        "database": seen.database,
        "polls": seen.polls,
        "watched_s": seen.watched_s,
        "unwatched_s": seen.unwatched_s,
        "blocked_s": seen.blocked_s,
        "waits": seen.waits,
        "most_blocked": seen.most_blocked,
        "longest_wait": longest
        and {
            "wait_s": longest.wait_s,
            "waiter": longest.waiter,
            "blockers": longest.blockers,
            **_object(longest.object),
            "seen_at": iso_time(longest.seen_at),
        },
        "pairs": [
            {
                "blocker": pair.blocker,
                "waiter": pair.waiter,
                **asdict(blocked),
                "longest_wait": _wait(seen.pair_waits.get(pair)),
            }
            for pair, blocked in seen.pairs.rows
        ],
        "objects": [{**_object(locked), **asdict(blocked)} for locked, blocked in seen.objects.rows],
        "causes": [{"cause": cause, **asdict(blocked)} for cause, blocked in seen.causes.rows],
        "others": {
            name: None if others is None else asdict(others)
            for name, others in (
                ("pairs", seen.pairs.others),
                ("objects", seen.objects.others),
                ("causes", seen.causes.others),
            )
        },
        "timeline": [
            {"at": iso_time(moment.at), "span_s": moment.span_s, "blocked": moment.blocked}
            for moment in seen.timeline
        ],
        "accepted": lock_accepted.for_json(accepted),
        "deadlocks": {
            "caught": seen.deadlocks_caught,
            "counted_by_server": None if counted is None else counted.total,
            "counted_until": None if counted is None else iso_time(counted.read_at),
            "by_database": []
            if counted is None
            else [{"database": name, "deadlocks": deadlocks} for name, deadlocks in counted.by_database],
            "cycles": [
                {
                    "seen_at": iso_time(one.seen_at),
                    "sessions": [_deadlocked(member) for member in one.sessions],
                    "victim": one.victim or None,
                    "explanation": one.explanation,
                    "advice": one.advice,
                }
                for one in seen.deadlocks
            ],
        },
    }
    return json.dumps(content, indent=2, allow_nan=False)


def _object(locked: LockedObject) -> dict[str, object]:
    """`database` is null for the tested one, and for what belongs to none."""
    return asdict(locked) | {"database": locked.database or None}


def _wait(wait: RecordedWait | None) -> dict[str, object] | None:
    if wait is None:
        return None
    return {
        "wait_s": wait.wait_s,
        "seen_at": iso_time(wait.seen_at),
        "target": wait.target,
        **_object(wait.object),
        "waiter": _side(wait.waiter),
        "blocker": _side(wait.blocker),
        "cause": wait.cause,
        "explanation": wait.explanation,
        "advice": wait.advice,
    }


def _deadlocked(member: DeadlockedSession) -> dict[str, object]:
    return {
        "waiter": member.who,
        "target": member.target,
        **_object(member.object),
        "session": _side(member.side),
    }


def _side(side: Side) -> dict[str, object]:
    return asdict(side) | {"client": side.client or None, "statement": side.statement or None}
