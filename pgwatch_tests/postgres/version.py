"""Server versions: which are supported, and a version number in words."""

from __future__ import annotations

from typing import Literal

from pgwatch_tests.errors import ConfigurationError

OLDEST_SUPPORTED = 13
NEWEST_TESTED = 18


def support(server_version: int) -> Literal["supported", "untested"]:
    """Whether a server (`server_version_num`) that isn't too old is one that the tests run on."""
    return "supported" if server_version < (NEWEST_TESTED + 1) * 10000 else "untested"


def check_supported(server_version: int) -> None:
    """Raises ConfigurationError for a server (`server_version_num`) older than what the queries are for."""
    if server_version < OLDEST_SUPPORTED * 10000:
        raise ConfigurationError(
            f"the server is PostgreSQL {in_words(server_version)}; "
            f"pgwatch-tests needs {OLDEST_SUPPORTED} or newer"
        )


def in_words(server_version: int) -> str:
    """`180001` as `18.1`, `90624` as `9.6.24`."""
    major, rest = divmod(server_version, 10000)
    if major < 10:
        return f"{major}.{rest // 100}.{rest % 100}"
    return f"{major}.{rest}"
