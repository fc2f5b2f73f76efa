"""Words where there is no connection: why, when it is tried again, what to check. Pure."""

from __future__ import annotations

import math
import re

from pgwatch_tests.reports.render.detail_text import Line, joined
from pgwatch_tests.text.plain_text import plain
from pgwatch_tests.text.toned_text import Cell, Toned

# Messages of libpq and psycopg, and of the server (src/backend/utils/init/postinit.c; auth.c and hba.c in
# src/backend/libpq). In other languages (lc_messages) none matches.
_CHECKS = (
    (
        r"^cannot connect \((no server is named|[A-Z_]+ is empty)\)",
        "name the server: --dsn postgresql://USER@HOST/DATABASE, or DATABASE_URL. Without it, libpq looks "
        "for one on this machine.",
    ),
    (
        r"connection refused|no such file or directory|is the server running",
        "is the server started, and does it listen there? A CI service may need a health check before.",
    ),
    (
        r"resolve host|translate host name",
        "is the host's name right, and known here? In Docker it is the service's name, on the same network.",
    ),
    (r"database \".*\" does not exist", "is the database's name right, and is it created by now?"),
    (
        r"authentication failed|no password supplied|role \".*\" does not exist|pg_hba\.conf",
        "user and password: they are of the connection string, PGUSER and PGPASSWORD, or ~/.pgpass; and "
        "pg_hba.conf has to let that user in from here.",
    ),
    (
        r"starting up|shutting down|recovery mode|not accepting connections",
        "the server is starting, stopping or in recovery: it lets us in once that is over.",
    ),
    (r"\bssl\b|certificate", "sslmode and sslrootcert of the connection string."),
    (
        r"timed? ?out|timeout|no answer|in time|unreachable",
        "is a firewall or a VPN in between? A server that is out of memory, stopped by a signal, or whose "
        "catalogs are locked doesn't answer either.",
    ),
)
_ANY = (
    "host, port, database and user, of --dsn, PGWATCH_DSN, DATABASE_URL, [tool.pgwatch-tests] in "
    "pyproject.toml, or libpq's own PGHOST and PGSERVICE: the first of these that is set counts."
)


def what_to_check(reason: str) -> str:
    """What to check where a connection failed for `reason`; empty if the reason itself says what to do."""
    if "max_connections" in reason or "CONNECTION LIMIT" in reason or "max_client_conn" in reason:
        return ""
    return next((check for words, check in _CHECKS if re.search(words, reason, re.IGNORECASE)), _ANY)


def no_connection(reason: str, retry_in_s: float | None) -> Cell:
    """What is said in place of the rows: `retry_in_s` seconds until the next attempt; None while paused."""
    if retry_in_s is None:
        again = "Paused: no further attempt until polling is resumed."
    else:
        seconds = math.ceil(retry_in_s)
        again = f"Trying again in {seconds} s." if seconds > 0 else "Trying again …"
    lines: list[Line] = [
        (Toned("Not connected. ", "trouble"), Toned(again)),
        (),
        (Toned(plain(reason)),),
    ]
    if check := what_to_check(reason):
        lines += [(), (Toned(f"Check: {check}", "notice"),)]
    return joined(lines)
