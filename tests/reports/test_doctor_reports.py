"""An examination as text and as JSON, whatever the names in it are."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from pgwatch_tests.doctor.model import (
    Advice,
    Clock,
    ConnectionLimit,
    Endpoint,
    Examination,
    Feature,
    Role,
    Unread,
    Usage,
)
from pgwatch_tests.locks.capacity import Capacity
from pgwatch_tests.locks.snapshot.connection_usage import ConnectionGroup
from pgwatch_tests.reports import doctor_json, doctor_table

HOSTILE = '[red]x[/]\n\x1b[31m\x9b1m\u202e \udcff "quoted" %s \x00'
GRANT = 'GRANT pg_monitor TO "ci";'

FOUND = Examination(
    checked_at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
    place=Endpoint("db.example", 5432, "test_app", "ci", "TLS", local=False),
    server_version="18.1",
    support="supported",
    role=Role("ci", superuser=False, inherits=True, reads_all_stats=False, signals_backends=True),
    standby=False,
    features=(
        Feature("lock_tree", "lock tree", "works", "who waits for whom"),
        Feature("session_details", "session details", "missing", "hidden", (GRANT,)),
        Feature("row_keys", "names of rows", "partly", "optional", (GRANT, "SELECT 1;")),
    ),
    advice=(
        Advice("log_lock_waits", "off", "on", "why", ("ALTER SYSTEM SET log_lock_waits = on;",)),
        Advice("track_commit_timestamp", "off", "on", "why", (), restart=True),
    ),
    clock=Clock(0.02, 0.0004),
    usage=Usage(
        Capacity(38, 40, 3, 1234, 2880),
        (ConnectionGroup("pool of gw0", "app", "shop", 37, 30), ConnectionGroup("", "ci", "shop", 1, 0)),
        (ConnectionLimit("role", "app", 37, 37),),
    ),
)


def test_as_people_read_it() -> None:
    assert (
        doctor_table.text(FOUND)
        == """\
database test_app · PostgreSQL 18.1 · role ci · db.example:5432 · encrypted (TLS)

  lock tree                         works          who waits for whom
  session details                   doesn't work   hidden
      GRANT pg_monitor TO "ci";
  names of rows                     partly         optional
      SELECT 1;

Use: 38 of 40 connections taken, 3 kept for superusers: 37 by pool of gw0 (user app, database shop,
  30 idle), 1 by sessions without a name (user ci, database shop)
  role app: 37 of its 37 connections taken, nearly all
  the lock table holds 1,234 of about 2,880 objects
Close pools and sessions in the fixtures' clean-up, or raise max_connections.

Settings of the server
  log_lock_waits                    off            better on: why
      ALTER SYSTEM SET log_lock_waits = on;
  track_commit_timestamp            off            better on: why; needs a restart of the server

Clocks: the server's is ≈ 0.0 s from this machine's (± 0.4 ms, half the round trip)

1 of 3 features doesn't work. The statements above are for a superuser, in this database
Not checked here: sweeping
"""
    )


def test_remarks() -> None:
    odd = replace(FOUND, support="untested", standby=True, place=replace(FOUND.place, encryption="none"))
    text = doctor_table.text(odd)
    assert "isn't tested on a PostgreSQL as new as this" in text
    assert "a standby" in text
    assert "NOT ENCRYPTED" in text


def test_what_could_not_be_read_is_said() -> None:
    reason = Unread("canceling statement due to lock timeout")
    unread = replace(FOUND, role=reason, standby=reason, advice=reason, clock=reason, usage=reason)
    assert not unread.complete
    assert doctor_table.text(unread).count("canceling statement due to lock timeout") == 4
    document = json.loads(doctor_json.document(unread))
    assert (document["complete"], document["settings"], document["clock"]) == (False, None, None)
    assert (document["connections"], document["lock_table"]) == (None, None)
    assert [one["what"] for one in document["not_checked"]] == [
        "role",
        "standby",
        "settings",
        "clock",
        "usage",
    ]


def test_hostile_text_is_harmless_in_text_and_exact_in_json() -> None:
    bad = replace(
        FOUND,
        place=replace(FOUND.place, host=HOSTILE, database=HOSTILE, user=HOSTILE),
        server_version=HOSTILE,
        features=(Feature("count_leaks", "count leaks", "missing", HOSTILE, (HOSTILE,)),),
    )
    text = doctor_table.text(bad)
    assert not set(text) & set("\x1b\x9b\u202e\x00\udcff")
    assert "[red]x[/]" in text
    document = doctor_json.document(bad)
    assert document.isascii()
    assert json.loads(document)["features"][0]["detail"] == HOSTILE
