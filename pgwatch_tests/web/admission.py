"""Who is let in: holders of the link, who reach this machine by one of its own names.

The link's token is the first part of each path. The Host header is checked since a page of a foreign name may
be made to resolve to this machine (DNS rebinding); the Origin, since any page may open a websocket to it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.web.listen_address import loopback

TOKEN_VARIABLE = "PGWATCH_SERVE_TOKEN"
"""The environment variable that holds the link's token, for a link that stays from start to start."""
_HOST = re.compile(r"(?P<name>[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,200}")


def token(environ: Mapping[str, str] | None = None) -> str:
    """The token of TOKEN_VARIABLE, else a new one. Raises ConfigurationError for one that can be guessed."""
    given = (os.environ if environ is None else environ).get(TOKEN_VARIABLE)
    if not given:
        return secrets.token_urlsafe()
    if not _TOKEN.fullmatch(given):
        raise ConfigurationError(
            f"{TOKEN_VARIABLE} must be 22 to 200 letters, digits, - and _; this makes one: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return given


def is_own_name(host: str) -> bool:
    """Whether a Host header names this machine, with any port: a tunnel may have another at its end."""
    match = _HOST.fullmatch(host)
    return match is not None and loopback(match["name"]) is not None


def is_own_page(origin: str | None, host: str) -> bool:
    """Whether a websocket is opened by a page of this very server."""
    return origin is not None and origin.lower() == f"http://{host.lower()}"


def within(path: str, token: str) -> str | None:
    """What a path names below the link; None if it doesn't begin with the link's token."""
    first, _, rest = path.removeprefix("/").partition("/")
    given, expected = (part.encode("utf-8", "surrogateescape") for part in (first, token))
    return rest if secrets.compare_digest(given, expected) else None
