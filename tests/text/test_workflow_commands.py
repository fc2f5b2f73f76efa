"""Commands to a CI in other people's text: shown, never obeyed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.text.workflow_commands import has_commands, without_commands


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", "\\u003a:error::x"),
        ("a\n \u00a0\t::add-mask::x", "a\n \u00a0\t\\u003a:add-mask::x"),
        ("a\r::group::x", "a\r\\u003a:group::x"),
        ("pgwatch-tests: ##[add-mask]x", "pgwatch-tests: \\u0023#[add-mask]x"),
        ("##vso[task.setvariable]x", "\\u0023#vso[task.setvariable]x"),
        ("tests/test_a.py::test_b", "tests/test_a.py::test_b"),
        ("## heading", "## heading"),
        ("", ""),
    ],
)
def test_what_a_runner_obeys_is_shown(text: str, shown: str) -> None:
    assert without_commands(text) == shown


@given(st.lists(st.sampled_from(["::", "##[", "\n", "\r", " ", "a", ":", "#", "["]), max_size=12))
def test_no_command_is_left(parts: list[str]) -> None:
    shown = without_commands("".join(parts))
    assert "##[" not in shown
    # As the runner reads lines.
    lines = shown.replace("\r", "\n").split("\n")
    assert not any(line.strip().startswith("::") for line in lines)


@given(st.text(alphabet='#[]:vso\n\r a"\\'))
def test_a_json_document_stays_what_it_is(text: str) -> None:
    assert json.loads(without_commands(json.dumps([text], indent=1))) == [text]


def test_which_output_is_a_log() -> None:
    assert has_commands({"GITHUB_ACTIONS": "true"})
    assert has_commands({"TF_BUILD": "True"})
    assert not has_commands({"GITHUB_ACTIONS": "false", "CI": "true"})
