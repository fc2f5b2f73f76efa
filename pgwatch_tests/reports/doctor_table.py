"""An examination as text for people: every statement on a line of its own, to be copied."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from pgwatch_tests.doctor.model import Advice, Clock, Endpoint, Examination, Feature, Status, Unread, Usage
from pgwatch_tests.reports.verdict import capacity_use
from pgwatch_tests.text import durations
from pgwatch_tests.text.plain_text import plain

_WIDTH = 100
_WORDS: dict[Status, str] = {
    "works": "works",
    "partly": "partly",
    "missing": "doesn't work",
    "unknown": "not checked",
}
_FIRST, _SECOND = 33, 14


def text(examination: Examination) -> str:
    """Where we are, what works, what would make the rest work, settings that would help, and the clock."""
    shown: set[str] = set()
    lines = [_header(examination), *_remarks(examination), ""]
    for feature in examination.features:
        lines += _feature(feature, shown)
    lines += ["", *_usage(examination.usage)]
    lines += ["", "Settings of the server", *_settings(examination.advice), "", _clock(examination.clock), ""]
    lines += _summary(examination)
    return "\n".join(lines) + "\n"


def _header(examination: Examination) -> str:
    place = examination.place
    parts = (
        f"database {plain(place.database)}",
        f"PostgreSQL {plain(examination.server_version)}",
        f"role {plain(place.user)}{_superuser(examination)}",
        f"{plain(place.host)}:{place.port}",
        _encryption(place),
    )
    return " · ".join(parts)


def _superuser(examination: Examination) -> str:
    return " (superuser)" if not isinstance(examination.role, Unread) and examination.role.superuser else ""


def _encryption(place: Endpoint) -> str:
    if place.encryption != "none":
        return f"encrypted ({place.encryption})"
    return "not encrypted (local socket)" if place.local else "NOT ENCRYPTED"


def _remarks(examination: Examination) -> list[str]:
    lines = []
    if examination.pooled:
        lines.append(
            "a connection pooler is in between: leases, sweeps that delete, index builds and the look for "
            "advisory locks need the address of the server itself"
        )
    if examination.unreached is not None:
        lines.append(f"the database wasn't reached, so another one was asked: {plain(examination.unreached)}")
    if examination.support == "untested":
        lines.append("pgwatch-tests isn't tested on a PostgreSQL as new as this")
    if isinstance(examination.standby, Unread):
        lines.append(f"standby or not: not checked: {plain(examination.standby.reason)}")
    elif examination.standby:
        lines.append("a standby: it shows its own sessions only; make changes on its primary")
    return lines


def _feature(feature: Feature, shown: set[str]) -> list[str]:
    lines = _entry(feature.name, _WORDS[feature.status], f"{feature.detail}")
    # A statement that helps two features is printed once.
    lines += _statements(statement for statement in feature.fix if statement not in shown)
    shown.update(feature.fix)
    return lines


def _usage(usage: Usage | Unread) -> list[str]:
    if isinstance(usage, Unread):
        return [f"Connections and locks: not checked: {plain(usage.reason)}"]
    capacity = usage.capacity
    kept = f", {capacity.reserved:,} kept for superusers" if capacity.reserved else ""
    taken = f"{capacity_use.connections(capacity)} taken{kept}"
    lines = _wrapped(f"Use: {taken}: {capacity_use.holders(usage.groups)}")
    for limit in usage.limits:
        nearly = ", nearly all" if limit.nearly_used_up else ""
        use = f"{limit.used:,} of its {limit.most:,} connections taken{nearly}"
        lines.append(f"  {limit.kind} {plain(limit.name)}: {use}")
    lines.append(f"  {capacity_use.lock_table(capacity)}")
    lines += [line for one in capacity_use.what_to_do(capacity) for line in _wrapped(one)]
    return lines


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _settings(advice: tuple[Advice, ...] | Unread) -> list[str]:
    if isinstance(advice, Unread):
        return _entry("", _WORDS["unknown"], advice.reason)
    lines = []
    for one in advice:
        better = "" if one.better is None else f"better {one.better}: "
        restart = "; needs a restart of the server" if one.restart else ""
        lines += _entry(one.setting, one.value, f"{better}{one.why}{restart}")
        lines += _statements(one.how)
    return lines


def _entry(first: str, second: str, detail: str) -> list[str]:
    head = f"  {plain(first):<{_FIRST}} {plain(second):<{_SECOND}} "
    # Only what is ours is cut into lines at its spaces; a name in it may be longer than a line.
    wrapped = textwrap.wrap(plain(detail), _WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    if len(head) + len(plain(detail)) <= _WIDTH:
        return [head + plain(detail)]
    return [head.rstrip(), *(f"    {line}" for line in wrapped)]


def _statements(statements: Iterable[str]) -> list[str]:
    return [f"      {plain(statement)}" for statement in statements]


def _clock(clock: Clock | Unread) -> str:
    if isinstance(clock, Unread):
        return f"Clocks: not checked: {plain(clock.reason)}"
    within = f"± {clock.uncertainty_s * 1000:.1f} ms, half the round trip"
    if not clock.is_off:
        return f"Clocks: the server's is ≈ {abs(clock.skew_s):.1f} s from this machine's ({within})"
    way = "ahead of" if clock.skew_s > 0 else "behind"
    return (
        f"Clocks: the server's is {durations.in_words(abs(clock.skew_s))} {way} this machine's ({within}): "
        "ages computed from times in test data are off by that"
    )


def _summary(examination: Examination) -> list[str]:
    missing = [feature for feature in examination.features if feature.status == "missing"]
    unknown = [feature for feature in examination.features if feature.status == "unknown"]
    parts = []
    if missing:
        verb = "doesn't" if len(missing) == 1 else "don't"
        parts.append(f"{len(missing):,} of {len(examination.features):,} features {verb} work")
    if unknown:
        parts.append(f"{len(unknown):,} couldn't be checked")
    line = "; ".join(parts) or "Everything works that can work for this role"
    if any(feature.fix for feature in missing):
        line += ". The statements above are for a superuser, in this database"
    return [line, "Not checked here: sweeping"]
