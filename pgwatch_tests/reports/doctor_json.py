"""An examination as the JSON document `pgwatch-tests.doctor/1`."""

from __future__ import annotations

import json
from datetime import UTC

from pgwatch_tests.doctor.model import Advice, Clock, Examination, Feature, Role, Unread

SCHEMA = "pgwatch-tests.doctor/1"


def document(found: Examination) -> str:
    """The document, indented, ASCII only. What couldn't be determined is null, with its reason beside it."""
    place = found.place
    content = {
        "schema": SCHEMA,
        "checked_at": found.checked_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "connection": {
            "host": place.host,
            "port": place.port,
            "database": place.database,
            "user": place.user,
            "superuser": found.role.superuser if isinstance(found.role, Role) else None,
            "encryption": None if place.encryption == "none" else place.encryption,
            "local_socket": place.local,
        },
        "server": {
            "version": found.server_version,
            "support": found.support,
            "standby": None if isinstance(found.standby, Unread) else found.standby,
        },
        "works": found.works,
        "complete": found.complete,
        "features": [_feature(feature) for feature in found.features],
        "settings": None if isinstance(found.advice, Unread) else [_setting(one) for one in found.advice],
        "clock": None if isinstance(found.clock, Unread) else _clock(found.clock),
        "not_checked": [
            {"what": what, "reason": fact.reason}
            for what, fact in (
                ("database", Unread(found.unreached) if found.unreached else None),
                ("role", found.role),
                ("standby", found.standby),
                ("settings", found.advice),
                ("clock", found.clock),
            )
            if isinstance(fact, Unread)
        ],
    }
    return json.dumps(content, indent=2, allow_nan=False)


def _feature(feature: Feature) -> dict[str, object]:
    return {
        "id": feature.id,
        "name": feature.name,
        "status": feature.status,
        "detail": feature.detail,
        "fix": feature.fix,
    }


def _setting(advice: Advice) -> dict[str, object]:
    return {
        "name": advice.setting,
        "value": advice.value,
        "better": advice.better,
        "why": advice.why,
        "how": advice.how,
        "restart": advice.restart,
    }


def _clock(clock: Clock) -> dict[str, object]:
    return {"skew_s": clock.skew_s, "uncertainty_s": clock.uncertainty_s, "off": clock.is_off}
