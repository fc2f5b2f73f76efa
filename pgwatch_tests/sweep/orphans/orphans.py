"""The sweep of orphans: sessions, prepared transactions, schemas, databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psycopg

from pgwatch_tests.errors import PgwatchError
from pgwatch_tests.postgres.server_messages import full_server_message
from pgwatch_tests.postgres.sessions.session import DatabaseSession, WorkCancelledError
from pgwatch_tests.settings.jobs import SweepKind
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep.orphans.databases import sweep_databases
from pgwatch_tests.sweep.orphans.orphan_loop import Stopped, SweptOrphans, merged
from pgwatch_tests.sweep.orphans.prepared_transactions import sweep_prepared
from pgwatch_tests.sweep.orphans.schemas import sweep_schemas
from pgwatch_tests.sweep.orphans.sessions import sweep_sessions
from pgwatch_tests.sweep.request import SweepRequest

_Sweep = Callable[[DatabaseSession, Settings, SweepRequest, Stopped], SweptOrphans]

# First those that hold locks on what comes after them.
_SWEEPS: Mapping[SweepKind, _Sweep] = {
    "sessions": sweep_sessions,
    "prepared": sweep_prepared,
    "schemas": sweep_schemas,
    "databases": sweep_databases,
}


def sweep_orphans(
    session: DatabaseSession, settings: Settings, request: SweepRequest, stopped: Stopped
) -> SweptOrphans:
    """Removes the orphans of the requested kinds; a dry run only reports them.

    Nothing if only the data of a run or of a test is asked for: none of these says whose it is.

    Whether `session` is connected to a database of tests is for the caller to make sure; it must be in no
    transaction. `stopped` is asked between things: what its turn doesn't come to is kept as `interrupted`. A
    kind that can't be listed is in `not_checked`. An error that ends it is in `error`, so that what was
    removed until then isn't lost. Raises WorkCancelledError.
    """
    swept: list[SweptOrphans] = []
    for kind, sweep in _SWEEPS.items():
        if kind not in request.sought:
            continue
        if swept and swept[-1].error is not None:
            break
        try:
            swept.append(sweep(session, settings, request, stopped))
        except WorkCancelledError:
            raise
        except PgwatchError as error:
            swept.append(SweptOrphans(error=error))
        except psycopg.Error as error:
            swept.append(SweptOrphans((), (f"{kind} not checked: {full_server_message(error)}",)))
    return merged(swept)
