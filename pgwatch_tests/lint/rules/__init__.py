"""The rules, one a module; `RULES` lists them in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Mapping

from pgwatch_tests.lint.model import Rule
from pgwatch_tests.lint.rules import ignore_without_reason, overwritten_report
from pgwatch_tests.lint.rules.connections import advisory_key, mocked_database, search_path
from pgwatch_tests.lint.rules.rows import (
    cleanup_in_test,
    fixed_key,
    no_cleanup,
    shared_count,
    static_identity,
    wiped_rows,
)
from pgwatch_tests.lint.rules.runs import current_test_name, order_dependence, sleep, swallowed_race

RULES: Mapping[str, Rule] = {
    rule.id: rule
    for rule in (
        static_identity.RULE,
        fixed_key.RULE,
        wiped_rows.RULE,
        shared_count.RULE,
        no_cleanup.RULE,
        cleanup_in_test.RULE,
        sleep.RULE,
        swallowed_race.RULE,
        order_dependence.RULE,
        current_test_name.RULE,
        search_path.RULE,
        advisory_key.RULE,
        mocked_database.RULE,
        overwritten_report.RULE,
        ignore_without_reason.RULE,
    )
}
