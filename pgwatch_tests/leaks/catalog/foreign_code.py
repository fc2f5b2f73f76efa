"""Foreign code: tables that can't be read without running another role's function, when a plan is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import class_row

from pgwatch_tests.leaks.catalog.expression_trees import Reference, is_only_called_with_columns
from pgwatch_tests.postgres import queries
from pgwatch_tests.postgres.connections.session_settings import Row


@dataclass(frozen=True, slots=True)
class StrangePlan:
    """A row of queries/leaks/foreign_plans.sql."""

    oid: int
    function: str
    owner: str
    in_plans: bool
    reference: Reference | None
    referred: int
    trees: Sequence[str]

    @property
    def may_run(self) -> bool:
        """Whether planning may run the function."""
        if self.in_plans or self.reference is None:
            return True
        return not is_only_called_with_columns(self.trees, self.reference, self.referred)

    @property
    def reason(self) -> str:
        """A clause that says why the table isn't read."""
        return f"not read: planning a query on it may run {self.function}, a function of {self.owner}"

    @property
    def help(self) -> str:
        """Advice that makes the table readable."""
        told = f"check as {self.owner}, or make a superuser the function's owner"
        if self.in_plans:
            told += "; or ALTER FUNCTION … SET search_path, and no defaults, keep its body out of plans"
        return told


def strange_plans(connection: Connection[Row]) -> dict[int, StrangePlan]:
    """Returns the tables whose plans may run foreign code, by oid. Raises psycopg's errors."""
    with connection.cursor(row_factory=class_row(StrangePlan)) as cursor:
        if connection.execute(queries.load("leaks/foreign_functions")).fetchone() == (False,):
            return {}
        rows = cursor.execute(queries.load("leaks/foreign_plans")).fetchall()
    return {row.oid: row for row in rows if row.may_run}
