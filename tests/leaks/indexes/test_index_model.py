from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.errors import RefusedError
from pgwatch_tests.leaks.indexes.index_model import NAME_PREFIX, index_name, provable_markers
from pgwatch_tests.leaks.markers.markers import markers
from pgwatch_tests.settings.load import DEFAULT_MARKERS, MarkerSetting


def test_only_conditions_under_a_collation_that_never_changes() -> None:
    email, test_id = provable_markers(markers(DEFAULT_MARKERS))

    assert [condition.operator for condition in email.conditions] == ["LIKE", "ILIKE"]
    assert [condition.operator for condition in test_id.conditions] == ["LIKE"]
    assert {condition.collation for condition in (*email.conditions, *test_id.conditions)} == {"C"}


@pytest.mark.parametrize(
    ("setting", "possible"),
    [
        (MarkerSetting("plain", "QA-%"), True),
        (MarkerSetting("no letters", "%@1%"), True),
        (MarkerSetting("prefixed", "^run_[0-9]+$", regex=True), True),
        (MarkerSetting("anywhere", "[0-9]{13}", regex=True), False),
        (MarkerSetting("beyond ASCII", "%@prüfung.example%"), True),
        (MarkerSetting("nothing else", "%ü%"), False),
    ],
)
def test_markers_that_an_index_can_serve(setting: MarkerSetting, possible: bool) -> None:
    if possible:
        assert provable_markers(markers([setting]))[0].conditions
    else:
        with pytest.raises(RefusedError, match=f"no index can serve the marker '{setting.name}'"):
            provable_markers(markers([setting]))


@given(st.text(min_size=1, max_size=63), st.binary(max_size=40))
def test_names_fit_and_can_be_recognised(table: str, condition: bytes) -> None:
    name = index_name(table, condition)

    assert name.startswith(NAME_PREFIX)
    assert len(name.encode()) <= 63
    assert name == index_name(table, condition)
    assert name != index_name(table, condition + b" ")
    assert name != index_name(table + "x", condition)
