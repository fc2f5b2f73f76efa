"""The rules, one a module; `RULES` lists them in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Mapping

from pgwatch_tests.lint.model import Rule
from pgwatch_tests.lint.rules import (
    advisory_key,
    cleanup_in_test,
    current_test_name,
    fixed_key,
    mocked_database,
    no_cleanup,
    order_dependence,
    overwritten_report,
    search_path,
    shared_count,
    sleep,
    static_identity,
    swallowed_race,
    wiped_rows,
)

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
    )
}
