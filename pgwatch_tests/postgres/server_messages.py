"""The server's messages of errors: one line, without secrets of the statements that they quote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from pgwatch_tests.errors import NotCheckedError
from pgwatch_tests.text.secrets import mask_text

# Their detail is the whole row, whatever is in it.
_DETAIL_IS_ROW = (errors.NotNullViolation, errors.CheckViolation)


def server_message(error: psycopg.Error) -> str:
    """The message alone, without the place in a statement that the reader doesn't see."""
    return _on_one_line(error.diag.message_primary or str(error))


def full_server_message(error: psycopg.Error) -> str:
    """The message and the detail that tells why, unless that is a row of somebody's table."""
    detail = "" if isinstance(error, _DETAIL_IS_ROW) else error.diag.message_detail or ""
    return _on_one_line(f"{error.diag.message_primary or error} {detail}")


def server_clause(error: psycopg.Error) -> str:
    """Returns all that it says, as the middle of a sentence."""
    return _on_one_line(str(error)).rstrip(".")


def _on_one_line(text: str) -> str:
    return " ".join(mask_text(text).split())


@contextmanager
def not_checked(what: str) -> Iterator[None]:
    """Turns the server's errors, such as a locked catalog's, into NotCheckedError: `what: …`."""
    try:
        yield
    except psycopg.Error as error:
        raise NotCheckedError(f"{what}: {server_clause(error)}") from error
