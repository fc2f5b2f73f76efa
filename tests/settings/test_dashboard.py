"""Preferences for the dashboard: of the project, and of the user's file, which nothing may break."""

from __future__ import annotations

import errno
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.cli.runs.dashboard.preferences import preferences, refresh_s
from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.settings.dashboard import DashboardSetting, PreferencesFile, toml
from pgwatch_tests.settings.load import Flags, load

PROJECT = """
[tool.pgwatch-tests.dashboard]
theme = "nord"
refresh = 5
keymap = {pause = "ctrl+s", quit = "ctrl+q,q"}
order.sessions = "pid"
columns.sessions = ["Test", "pid"]
"""


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_a_project_s_preferences(tmp_path: Path) -> None:
    settings = load(Flags(), {}, project(tmp_path, PROJECT))
    assert settings.dashboard == DashboardSetting(
        "nord",
        5.0,
        {"pause": "ctrl+s", "quit": "ctrl+q,q"},
        {"sessions": "pid"},
        {"sessions": ("Test", "pid")},
    )


@pytest.mark.parametrize(
    "line",
    [
        "theme = 3",
        "refresh = 0",
        "colour = 1",
        "keymap = 1",
        "keymap.pause = 1",
        "columns.leaks = 'a'",
        "turned.leaks = 1",
    ],
)
def test_a_project_s_mistakes_are_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"dashboard"):
        load(Flags(), {}, project(tmp_path, f"[tool.pgwatch-tests.dashboard]\n{line}\n"))


def test_a_flag_is_stronger_than_the_project_and_that_than_the_user(tmp_path: Path) -> None:
    user = PreferencesFile(tmp_path / "dashboard.toml", {})
    user.keep("theme", "gruvbox")
    user.keep("refresh", 10.0)
    user.keep("order.leaks", "test")
    again = PreferencesFile(tmp_path / "dashboard.toml", {})
    settings = load(Flags(), {}, project(tmp_path, PROJECT))
    assert preferences(again, settings.dashboard, "textual-light").theme == "textual-light"
    assert preferences(again, settings.dashboard, None).theme == "nord"
    assert preferences(again, DashboardSetting(), None).theme == "gruvbox"
    assert preferences(again, settings.dashboard, None).order == {"leaks": "test", "sessions": "pid"}
    assert refresh_s(again, settings) == 5.0
    assert refresh_s(again, load(Flags(), {}, tmp_path / "none")) == 5.0
    assert refresh_s(again, load(Flags(refresh_s=2.0), {}, tmp_path)) == 2.0
    assert refresh_s(again, load(Flags(), {"PGWATCH_REFRESH": "3"}, tmp_path)) == 3.0
    (tmp_path / "pyproject.toml").unlink()
    assert refresh_s(again, load(Flags(), {}, tmp_path)) == 10.0


def test_what_is_kept_is_there_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "made" / "dashboard.toml"
    file = PreferencesFile(path, {})
    told = file.keep("theme", 'a "name" \x7f \x1b é')
    assert told == f"What you change here is kept for the next time, in {path}"
    assert file.keep("columns.sessions", ["Test", "pid"]) == ""
    assert PreferencesFile(path, {}).keep("turned.sessions", True) == ""
    assert path.read_text().startswith("# Preferences")
    assert "\n[columns]\nsessions = [" in path.read_text()
    assert PreferencesFile(path, {}).setting == DashboardSetting(
        'a "name" \x7f \x1b é', columns={"sessions": ("Test", "pid")}, turned={"sessions": True}
    )
    assert [one.name for one in path.parent.iterdir()] == ["dashboard.toml"]


@pytest.mark.parametrize("text", ["theme = [", "refresh = -1", "other = 1", "\xff", "theme = 1"])
def test_a_broken_file_is_told_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dashboard.toml"
    path.write_text(text, encoding="latin-1")
    file = PreferencesFile(path, {})
    assert file.trouble.startswith(f"Your preferences in {path} are ignored: ")
    assert "\n" not in file.trouble
    assert file.setting == DashboardSetting()
    file.keep("theme", "nord")
    assert path.read_text(encoding="latin-1") == text


def test_in_ci_nothing_is_written(tmp_path: Path) -> None:
    PreferencesFile(tmp_path / "dashboard.toml", {"CI": "true"}).keep("theme", "nord")
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_nothing_is_harmed(tmp_path: Path) -> None:
    path = tmp_path / "home" / "dashboard.toml"
    file = PreferencesFile(path, {})
    (tmp_path / "home").write_text("a file where a directory should be")
    told = f"What you change here isn't kept for the next time: {path}: "
    assert file.keep("theme", "nord").startswith(told)
    assert file.keep("theme", "gruvbox") == ""
    assert (tmp_path / "home").read_text().startswith("a file")


def test_dashboards_side_by_side_keep_what_each_of_them_changes(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.toml"
    one, other = PreferencesFile(path, {}), PreferencesFile(path, {})
    one.keep("order.sessions", "pid")
    other.keep("order.leaks", "test")
    one.keep("theme", "nord")
    other.keep("order.sessions", "age")
    assert PreferencesFile(path, {}).setting == DashboardSetting(
        "nord", order={"sessions": "age", "leaks": "test"}
    )


def test_a_file_that_was_broken_meanwhile_is_told_once_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.toml"
    file = PreferencesFile(path, {})
    file.keep("theme", "nord")
    path.write_text("theme = [")
    told = file.keep("theme", "gruvbox")
    assert told.startswith(f"What you change here isn't kept for the next time: {path}: ")
    assert file.keep("theme", "dracula") == ""
    assert path.read_text() == "theme = ["


def test_a_file_that_can_be_read_but_not_written_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dashboard.toml"
    path.write_text('theme = "nord"\n')
    file = PreferencesFile(path, {})

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    told = f"What you change here isn't kept for the next time: {path}: Permission denied"
    assert file.keep("theme", "gruvbox") == told
    assert file.keep("theme", "dracula") == ""
    assert path.read_text() == 'theme = "nord"\n'


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
_SCALARS = st.one_of(
    _WORDS, st.booleans(), st.integers(-(2**60), 2**60), st.floats(-1e9, 1e9), st.lists(_WORDS, max_size=3)
)


@given(
    st.dictionaries(_WORDS, st.one_of(_SCALARS, st.dictionaries(_WORDS, _SCALARS, min_size=1, max_size=3)))
)
def test_what_is_written_is_read_the_same(document: dict[str, object]) -> None:
    assert tomllib.loads(toml(document)) == document
