"""What a server that has no connection left says, and what then can be known and done. Pure.

The texts are those of InitPostgres and InitProcess (src/backend/utils/init/postinit.c,
src/backend/storage/lmgr/proc.c) and of a pooler; libpq gives no SQLSTATE of a failed attempt. In another
language (lc_messages) the server's text stands alone.
"""

from __future__ import annotations

_CLOSE = "close pools and sessions in the fixtures' clean-up"
_ADVICE = {
    "too many clients already": (
        "all of max_connections are taken. Only a role for which slots are kept (a superuser) gets in: "
        f"`pgwatch-tests doctor` as one shows who has them; {_CLOSE}, or raise max_connections"
    ),
    "remaining connection slots are reserved": (
        "max_connections are taken but for those kept for superusers: `pgwatch-tests doctor` as one shows "
        f"who has them; {_CLOSE}, or raise max_connections"
    ),
    "too many connections for database": (
        "its CONNECTION LIMIT is used up: `pgwatch-tests doctor` shows by whom, in another database or as a "
        f"superuser; {_CLOSE}, or raise the limit"
    ),
    "too many connections for role": (
        "its CONNECTION LIMIT is used up: `pgwatch-tests doctor` as another role shows by what; "
        f"{_CLOSE}, or raise the limit"
    ),
    "no more connections allowed": (
        f"a pooler's max_client_conn is used up: {_CLOSE}, or give the server's own address"
    ),
}


def advice(message: str) -> str:
    """What to do about the reason of a failed attempt to connect; empty if it isn't about connections."""
    return next((words for text, words in _ADVICE.items() if text in message), "")
