"""Connection strings in all the forms people have, and messages that never show a password."""

from __future__ import annotations

import re

from psycopg import BaseConnection, ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.postgres.connections.session_settings import Row
from pgwatch_tests.settings.load import Dsn

_PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_SSL_MODES = {"true": "require", "false": "disable", "1": "require", "0": "disable"}
_SCHEME = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")


def normalise(dsn: Dsn) -> tuple[str, list[str]]:
    """Returns the libpq form of a connection string, and the left-out parameters that libpq doesn't know.

    Takes SQLAlchemy's form (`postgresql+psycopg://`), `postgres://`, `postgresql://` and `key=value`.
    Frameworks add parameters of their own to DATABASE_URL (`?schema=public`), which libpq refuses.
    Raises ConfigurationError; its message shows nothing of the string, which may hold a password.
    """
    text = dsn.value.strip()
    if not _is_text(text):
        raise ConfigurationError(f"{dsn.source} isn't UTF-8 text, so it can't be read as a connection string")
    match = _SCHEME.match(text)
    ignored: list[str] = []
    if match is not None:
        scheme = match["scheme"].lower().partition("+")[0]
        if scheme not in ("postgres", "postgresql"):
            raise ConfigurationError(f"{dsn.source} is a {scheme!r} URL; a postgresql:// URL is needed")
        text = f"postgresql://{text[match.end() :]}"
    try:
        # NULs end a C string: what libpq would read is not what was meant.
        if "\0" in text or (match is not None and _is_ambiguous(text)):
            raise ProgrammingError
        if match is not None:
            text, ignored = _without_unknown_parameters(text)
        parameters = conninfo_to_dict(text)
    except ProgrammingError:
        # libpq's message quotes parts of the string, at worst the password: say our own.
        raise ConfigurationError(
            f"{dsn.source} can't be read as a connection string; expected "
            "postgresql://user@host:port/database (special characters percent-encoded) or key=value pairs"
        ) from None
    return make_conninfo("", **parameters), ignored


def _is_text(value: str) -> bool:
    # Bytes of the environment that aren't UTF-8 come as halves of surrogate pairs.
    return not any("\ud800" <= character <= "\udfff" for character in value)


def database_name(dsn: Dsn) -> str | None:
    """The database that a connection string, or libpq's environment, names; None if neither does."""
    return _parameters(dsn).get("dbname")


def address(dsn: Dsn) -> str:
    """`host:port` that a connection string, or libpq's environment, names; `socket:port` if no host is.

    Of a string that leaves the host to a service file, `service NAME`.
    """
    parameters = _parameters(dsn)
    named = conninfo_to_dict(normalise(dsn)[0])
    if (service := named.get("service")) and not named.get("host") and not named.get("hostaddr"):
        return f"service {service}"
    host = parameters.get("host") or parameters.get("hostaddr") or "socket"
    return f"{host}:{parameters.get('port', '5432')}"


def role(dsn: Dsn) -> str:
    """The role that a connection string, or libpq's environment, names, or the account's name."""
    return _parameters(dsn).get("user", "")


def _parameters(dsn: Dsn) -> dict[str, str]:
    """Returns the parameters that libpq would use, as far as they are set."""
    defaults = {
        option.keyword.decode(): option.val.decode(errors="replace")
        for option in pq.Conninfo.get_defaults()
        if option.val
    }
    named = {name: str(value) for name, value in conninfo_to_dict(normalise(dsn)[0]).items() if value}
    return defaults | named


def in_database(dsn: Dsn, name: str) -> Dsn:
    """`dsn` for another database, password and all. Raises ConfigurationError."""
    parameters = conninfo_to_dict(normalise(dsn)[0])
    return Dsn(make_conninfo("", **{**parameters, "dbname": name}), dsn.source)


def on_server_of(connection: BaseConnection[Row], dsn: Dsn) -> Dsn:
    """`dsn` for the server of `connection` alone, where it may name several. Raises ConfigurationError."""
    info = connection.info
    place: dict[str, str | int] = {"host": info.host, "port": info.port}
    if info.hostaddr:
        # A name may stand for several servers as well.
        place["hostaddr"] = info.hostaddr
    parameters = conninfo_to_dict(normalise(dsn)[0])
    parameters.pop("hostaddr", None)
    return Dsn(make_conninfo("", **{**parameters, **place}), dsn.source)


def _without_unknown_parameters(url: str) -> tuple[str, list[str]]:
    base, mark, query = url.partition("?")
    if not mark:
        return url, []
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    kept: list[str] = []
    ignored: list[str] = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        if name == "ssl":
            # As drivers of other languages and asyncpg have it.
            kept.append(f"sslmode={_SSL_MODES.get(value.lower(), value)}")
        elif name in known:
            kept.append(part)
        elif equals and _PARAMETER_NAME.fullmatch(name):
            ignored.append(name)
        else:
            # Part of a password with a '?' or '&' in it, perhaps: not to be shown.
            raise ProgrammingError
    return (f"{base}?{'&'.join(kept)}" if kept else base), ignored


def _is_ambiguous(url: str) -> bool:
    """Whether a password seems to hold what ends it: `user:p@ss@host`, `user:p/ss@host`, `user:p?ss@host`."""
    return (
        url.count("@") > 1
        or "@" in url.partition("://")[2].partition("/")[2].partition("?")[0]
        or ("@" in url.partition("?")[2])
    )


def redact(message: str, dsn: Dsn) -> str:
    """`message` as one line, with everything in it that could be the password of `dsn` blotted out."""
    line = " ".join(message.split())
    for secret in sorted(_secrets(dsn.value), key=len, reverse=True):
        line = line.replace(secret, "***")
    return line


def holds_password(dsn: Dsn) -> bool:
    """Whether the connection string itself, not the environment, holds a password."""
    return bool(_secrets(dsn.value))


def _secrets(value: str) -> set[str]:
    try:
        parameters = conninfo_to_dict(normalise(Dsn(value, ""))[0])
    except ConfigurationError:
        return set()
    return {str(parameters[key]) for key in ("password", "sslpassword") if parameters.get(key)}
