"""The question whether one schema or prepared transaction goes: what is known of it, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pgwatch_tests.identity.application_name import parse
from pgwatch_tests.reports.locks.test_labels import label_of_test
from pgwatch_tests.reports.render.detail_text import Labelled, labelled
from pgwatch_tests.reports.sweeps import sweep_words
from pgwatch_tests.sweep.model import SweepReport
from pgwatch_tests.sweep.orphans.orphan_facts import OrphanFacts, SeenSession
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import byte_size, named, plural
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.secrets import mask_name

_MOST_NAMED = 3
_JUST_PREPARED_S = 60.0
"""Up to this age, whoever has prepared it may be about to commit it."""


def question(found: OrphanFacts) -> str:
    """`Drop the schema test_gw0 with all that is in it?`"""
    name = plain(found.part.name)
    if found.part.kind == "prepared":
        return f"Roll back the prepared transaction {name}?"
    return f"Drop the schema {name} with all that is in it?"


def facts(found: OrphanFacts, server: str = "") -> list[tuple[str, str]]:
    """What is known of it on `server` (host:port): name and plain text."""
    where = plain(found.database) + (f" on {plain(server)}" if server else "")
    pairs = [("database", where), ("owner", plain(found.owner))]
    return pairs + (_prepared(found) if found.part.kind == "prepared" else _schema(found))


def refusal(found: OrphanFacts, server: str = "") -> tuple[str, list[Labelled]]:
    """The title and the lines that say why it can't go now, with what is known of it."""
    name = f"{sweep_words.kind(found.part.kind)} {plain(found.part.name)}"
    lines = [labelled("stays", f"{plain(found.why_not)}", "warning")]
    lines += [labelled(label, fact) for label, fact in facts(found, server)]
    return f"{name[0].upper()}{name[1:]} can't be removed now", lines


def advice(found: OrphanFacts) -> str:
    """What to think of before."""
    if found.part.kind == "prepared":
        lost = "Its changes will be lost; COMMIT PREPARED in its database keeps them."
        if found.age_s is not None and found.age_s < _JUST_PREPARED_S:
            age = durations.in_words(found.age_s)
            return f"{lost} It is only {age} old: whoever prepared it may be about to commit it."
        return lost
    return (
        "No lease named it, so whether its run is over isn't known: drop it only if no suite works in "
        f"{plain(found.database)} now. It can't be undone."
    )


def outcome(report: SweepReport) -> str:
    """`Schema test_gw0 dropped`, or why it stays; of a sweep that wasn't confirmed so, its summary."""
    part = report.part
    if part is None or not part.confirmed:
        return sweep_words.in_short(report)
    what = f"{sweep_words.kind(part.kind)} {plain(part.name)}"
    what = what[0].upper() + what[1:]
    for one in report.orphans:
        if one.removed:
            return f"{what} {sweep_words.ending(part.kind, report.dry_run)}"
        return f"{what} stays: {plain(one.detail)}"
    return f"{what} was gone already"


def _schema(found: OrphanFacts) -> list[tuple[str, str]]:
    size = "size not known" if found.size_bytes is None else byte_size(found.size_bytes)
    rows = f"about {plural(found.rows, 'row')}, {size}"
    others = [plural(found.others, "view or sequence", "views or sequences")] if found.others else []
    holds = ", ".join([plural(found.tables, "table"), *others, rows])
    age = "not known: its name and the server's commits tell none"
    if found.age_s is not None:
        age = f"last created or altered {durations.in_words(max(0.0, found.age_s))} ago"
    return [
        ("holds", holds),
        ("age", age),
        *([] if found.why_not else [("locks", "nobody holds a lock in it, nothing elsewhere needs it")]),
        ("sessions", _sessions(found)),
    ]


def _sessions(found: OrphanFacts) -> str:
    if not found.sessions:
        return "no other session in this database"
    others = f"{plural(found.sessions, 'other session')} in this database"
    names = f"last statement of {_named(found.users)} names it" if found.users else ""
    if found.hidden:
        unseen = f"statements of {found.hidden:,} hidden (needs pg_monitor)"
        return "; ".join(filter(None, [others, names, unseen]))
    it = "its" if found.sessions == 1 else "no"
    none = "its last statement doesn't name it" if it == "its" else "no last statement names it"
    return f"{others}; {names or none}"


def _prepared(found: OrphanFacts) -> list[tuple[str, str]]:
    locks = named([plain(one) for one in found.locks], _MOST_NAMED) or "no table"
    return [
        ("prepared", f"{durations.in_words(found.age_s)} ago"),
        ("locks", locks),
        ("blocks", f"{plural(len(found.waiters), 'session')}: {_named(found.waiters)}")
        if found.waiters
        else ("blocks", "nobody now"),
    ]


def _named(sessions: Sequence[SeenSession]) -> str:
    return named([_who(one) for one in sessions], _MOST_NAMED)


def _who(one: SeenSession) -> str:
    identity = parse(one.application_name)
    if identity is not None and identity.test:
        return f"{label_of_test(identity.test).name} (pid {one.pid})"
    name = plain(mask_name(one.application_name))
    return f"{name} (pid {one.pid})" if name else f"pid {one.pid}"
