"""Findings that don't count: of tables that the settings ignore, or accepted in a file of the commands'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pgwatch_tests import accepted_findings
from pgwatch_tests.accepted_findings import Acceptance, stable
from pgwatch_tests.leaks.catalog.ignored_names import Ignores
from pgwatch_tests.settings.load import IgnoreSetting
from pgwatch_tests.testing.findings import Finding

# As `pgwatch-tests leaks` calls them.
_KINDS = {"late_rows": "rows", "open_transaction": "idle_in_transaction"}


class Accepting:
    """What a project ignores, and what it accepts for now."""

    def __init__(self, ignore: Sequence[IgnoreSetting], accept: Path | None) -> None:
        """Raises ConfigurationError for a name or a file that is none."""
        self._ignores = Ignores(ignore)
        self._acceptance = Acceptance() if accept is None else accepted_findings.load(accept)

    def reason(self, finding: Finding) -> str | None:
        """Returns why a finding doesn't count; None if it does."""
        if finding.kind == "not_checked":
            return None
        if finding.tables and all(self._is_ignored(table) for table in finding.tables):
            return "ignored by the settings"
        test = "" if finding.owner is None else finding.owner.name
        kind = _KINDS.get(finding.kind, finding.kind)
        places = finding.tables or (("session",) if finding.kind == "open_transaction" else (finding.kind,))
        entries = [
            self._acceptance.entry_for(accepted_findings.Finding("leaks", kind, stable(place), test))
            for place in places
        ]
        first = entries[0]
        if first is None or None in entries:
            return None
        return self._acceptance.reasons[first] or "accepted"

    def _is_ignored(self, table: str) -> bool:
        schema, _, name = table.partition(".")
        return self._ignores.ignored(schema, name, "")
