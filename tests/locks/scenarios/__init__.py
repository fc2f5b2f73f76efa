"""Every kind of wait as a play with a known outcome, a family a module.

Left out, since no session can be kept in them: the extension of a relation, the pages of a GIN index's
pending list, and the parallel apply of logical replication.
"""

from __future__ import annotations

from types import ModuleType

from tests.locks.scenarios import (
    advisory,
    background,
    databases,
    deadlocks,
    keys,
    objects,
    parallel,
    prepared,
    quiet,
    rows,
    sessions,
    tables,
    taken,
    transactions,
)
from tests.locks.scenarios.truth import Scenario

_FAMILIES: tuple[ModuleType, ...] = (
    rows,
    keys,
    tables,
    taken,
    advisory,
    prepared,
    parallel,
    transactions,
    objects,
    databases,
    deadlocks,
    background,
    sessions,
    quiet,
)

CATALOGUE: tuple[Scenario, ...] = tuple(
    found for family in _FAMILIES for found in vars(family).values() if isinstance(found, Scenario)
)
