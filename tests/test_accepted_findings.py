"""The file of accepted findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.accepted_findings import ANY_TEST, Acceptance, Finding, load, save, stable
from pgwatch_tests.errors import ConfigurationError

USERS = Finding("leaks", "rows", "public.users", "t.py::test_a")
LOCK = Finding("locks", "same_row", "row of users", "")


def document(*findings: dict[str, object]) -> str:
    return json.dumps({"schema": "pgwatch-tests.accepted/1", "findings": list(findings)})


def entry(**other: object) -> dict[str, object]:
    return {"gate": "leaks", "kind": "rows", "place": "public.users", "test": None, **other}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    accepted = Acceptance({USERS: "ticket 4711", LOCK: ""})

    save(path, accepted)
    assert load(path) == accepted
    assert path.stat().st_mode & 0o044 == 0o044, "a file for everybody's repository"
    assert [one.name for one in tmp_path.iterdir()] == ["accepted.json"]


def test_a_gate_writes_its_own_findings_only() -> None:
    accepted = Acceptance({USERS: "ticket 4711", LOCK: "", Finding("leaks", "schema", "test_*", ""): "old"})
    new = Finding("leaks", "rows", "public.bookings", "")

    updated = accepted.with_findings_of("leaks", [USERS, new])

    assert updated.reasons == {USERS: "ticket 4711", LOCK: "", new: ""}


def test_an_entry_of_any_test_accepts_each() -> None:
    any_test = Finding("leaks", "rows", "public.users", ANY_TEST)

    assert Acceptance({any_test: ""}).entry_for(USERS) == any_test
    assert Acceptance({USERS: ""}).entry_for(USERS) == USERS
    # Who isn't asked, or not known, may be anybody: that is no known finding.
    assert Acceptance({USERS: ""}).entry_for(any_test) is None
    assert Acceptance({USERS: ""}).entry_for(Finding("leaks", "rows", "public.users", "")) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it isn't JSON"),
        (document(entry())[:-5], "it isn't JSON"),
        ("[" * 100_000, "it isn't JSON"),
        ("[]", "it isn't the document pgwatch-tests.accepted/1"),
        ('{"schema": "pgwatch-tests.baseline/1", "findings": []}', "it isn't the document"),
        ('{"schema": "pgwatch-tests.accepted/1"}', "it has no findings: write [] for none"),
        ('{"schema": "pgwatch-tests.accepted/1", "findings": {}}', "its findings aren't a list"),
        (
            '{"schema": "pgwatch-tests.accepted/1", "findings": [], "all": true}',
            "'all' is neither schema nor findings",
        ),
        (document({}), "finding 1: it has no gate"),
        (document({"gate": "leaks", "place": "x", "test": None}), "finding 1: it has no kind"),
        (document({"gate": "leaks", "kind": "rows", "test": None}), "finding 1: it has no place"),
        (document(entry(), entry(gate="all")), "finding 2: its gate must be one of"),
        (document(entry(kind=None)), "its kind isn't text, or is empty"),
        (document(entry(place="")), "its place isn't text, or is empty"),
        (document(entry(test="")), "its test is neither text, nor null"),
        (
            document({"gate": "leaks", "kind": "rows", "place": "x"}),
            'finding 1: it has no test: write null for an unknown one, or "*" for any',
        ),
        (document(entry(reason=1)), "its reason isn't text"),
        (document(entry(rows=7)), "unknown field 'rows'; known are gate, kind, place, reason, test"),
        (document(entry(), entry(reason="again")), "finding 2 is there twice"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError, match="holds no accepted findings") as caught:
        load(path)
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the accepted findings"):
        load(tmp_path / "missing.json")
    path = tmp_path / "accepted.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="it isn't UTF-8"):
        load(path)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("test_1795546899769_15591_8812ca", "test_*"),
        ("payment_1795546928293_abcdef", "payment_*"),
        ("tmp-550e8400-e29b-41d4-a716-446655440000", "tmp-*"),
        ("users_2024", "users_2024"),
        ("deadbeef", "deadbeef"),
        ("public", "public"),
    ],
)
def test_names_without_what_differs_from_run_to_run(name: str, kept: str) -> None:
    assert stable(name) == kept


def test_numbered_names() -> None:
    assert stable("app_test_gw3", numbers=True) == "app_test_gw*"


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    st.dictionaries(
        st.builds(Finding, st.sampled_from(("leaks", "locks")), TEXT, TEXT, TEXT),
        st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, reasons: dict[Finding, str]) -> None:
    path = tmp_path_factory.mktemp("accepted") / "accepted.json"
    save(path, Acceptance(reasons))
    assert load(path).reasons == reasons
