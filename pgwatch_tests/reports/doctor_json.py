"""An examination as the JSON document `pgwatch-tests.doctor/1`."""

from __future__ import annotations

import json
from dataclasses import asdict

from pgwatch_tests.doctor.model import Advice, Examination, Role, Unread, Usage
from pgwatch_tests.reports.verdict import capacity_use
from pgwatch_tests.text.times import iso_time

SCHEMA = "pgwatch-tests.doctor/1"


def document(examination: Examination) -> str:
    """The document, indented, ASCII only. What couldn't be determined is null, with its reason beside it."""
    place = examination.place
    usage = None if isinstance(examination.usage, Unread) else examination.usage
    clock = None if isinstance(examination.clock, Unread) else examination.clock
    content = {
        "schema": SCHEMA,
        "checked_at": iso_time(examination.checked_at),
        "connection": {
            "host": place.host,
            "port": place.port,
            "database": place.database,
            "user": place.user,
            "superuser": examination.role.superuser if isinstance(examination.role, Role) else None,
            "encryption": None if place.encryption == "none" else place.encryption,
            "local_socket": place.local,
            "pooler": examination.pooled,
        },
        "server": {
            "version": examination.server_version,
            "support": examination.support,
            "standby": None if isinstance(examination.standby, Unread) else examination.standby,
        },
        "works": examination.works,
        "complete": examination.complete,
        "features": [asdict(feature) for feature in examination.features],
        "settings": None
        if isinstance(examination.advice, Unread)
        else [_setting(one) for one in examination.advice],
        "connections": None if usage is None else _connections(usage),
        "lock_table": None if usage is None else capacity_use.lock_table_fields(usage.capacity),
        "clock": clock and asdict(clock) | {"off": clock.is_off},
        "not_checked": [
            {"what": what, "reason": fact.reason}
            for what, fact in (
                ("database", Unread(examination.unreached) if examination.unreached else None),
                ("role", examination.role),
                ("standby", examination.standby),
                ("settings", examination.advice),
                ("clock", examination.clock),
                ("usage", examination.usage),
            )
            if isinstance(fact, Unread)
        ],
    }
    return json.dumps(content, indent=2, allow_nan=False)


def _setting(advice: Advice) -> dict[str, object]:
    return {
        "name": advice.setting,
        "value": advice.value,
        "better": advice.better,
        "why": advice.why,
        "how": advice.how,
        "restart": advice.restart,
    }


def _connections(usage: Usage) -> dict[str, object]:
    limits = [{**asdict(one), "nearly_used_up": one.nearly_used_up} for one in usage.limits]
    return {**capacity_use.connection_fields(usage.capacity, usage.groups), "limits": limits}
