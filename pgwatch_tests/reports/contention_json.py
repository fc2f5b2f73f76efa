"""What a watch saw of contention as the JSON document `pgwatch-tests.contention/1`."""

from __future__ import annotations

import json

from pgwatch_tests.locks.contention import Contention, LockedObject
from pgwatch_tests.locks.ranking import Tally
from pgwatch_tests.reports.json_time import iso_time

SCHEMA = "pgwatch-tests.contention/1"


def document(seen: Contention) -> str:
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
            {"blocker": pair.blocker, "waiter": pair.waiter, **_tally(tally)}
            for pair, tally in seen.pairs.rows
        ],
        "objects": [{**_object(locked), **_tally(tally)} for locked, tally in seen.objects.rows],
        "causes": [{"cause": cause, **_tally(tally)} for cause, tally in seen.causes.rows],
        "others": {
            name: None if others is None else _tally(others)
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
                    "sessions": [{"waiter": member.who, **_object(member.object)} for member in one.sessions],
                }
                for one in seen.deadlocks
            ],
        },
    }
    return json.dumps(content, indent=2, allow_nan=False)


def _tally(tally: Tally) -> dict[str, object]:
    return {"blocked_s": tally.blocked_s, "waits": tally.waits, "longest_s": tally.longest_s}


def _object(locked: LockedObject) -> dict[str, object]:
    return {"object": locked.object, "mode": locked.mode}
