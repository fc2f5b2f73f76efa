"""In which portions a schema goes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.sweep.orphans.schema_parts import (
    LOCKS_AT_ONCE,
    PARTS_AT_ONCE,
    SchemaPart,
    halves,
    portions,
)

PARTS = st.lists(
    st.builds(
        SchemaPart,
        st.sampled_from(["VIEW", "TABLE", "TYPE"]),
        st.uuids().map(str),
        st.just([]),
        st.just([]),
        st.integers(1, 2 * LOCKS_AT_ONCE) | st.integers(1, 20),
        st.booleans(),
    ),
    max_size=200,
)


@given(PARTS)
def test_all_go_in_their_order_and_none_too_many_at_once(parts: list[SchemaPart]) -> None:
    found = list(portions(parts))

    assert [part for portion in found for part in portion] == parts
    for portion in found:
        assert 1 <= len(portion) <= PARTS_AT_ONCE
        assert len({part.kind for part in portion}) == 1
        assert len(portion) == 1 or sum(part.locks for part in portion) <= LOCKS_AT_ONCE
        assert [part for half in halves(portion) for part in half] == list(portion)


def test_as_many_as_may_go_at_once() -> None:
    part = SchemaPart("TABLE", "t", [], [], LOCKS_AT_ONCE // PARTS_AT_ONCE, True)

    assert [len(portion) for portion in portions([part] * 120)] == [50, 50, 20]
    assert [len(portion) for portion in portions([replace(part, locks=LOCKS_AT_ONCE // 4)] * 9)] == [4, 4, 1]
