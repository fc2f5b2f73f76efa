from __future__ import annotations

from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.settings.load import (
    DEFAULT_LEFTOVER_DATABASES,
    DEFAULT_MARKERS,
    SETTINGS,
    Dsn,
    Flags,
    IgnoreSetting,
    MarkerSetting,
    Settings,
    load,
)


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(f"[tool.pgwatch-tests]\n{text}", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("environ", "source"),
    [
        ({}, "no server is named"),
        ({"PGHOST": "db"}, "libpq's environment"),
        ({"DATABASE_URL": " ", "PGHOST": "db"}, "DATABASE_URL is empty"),
    ],
)
def test_where_no_server_is_named_it_says_why(environ: dict[str, str], source: str, tmp_path: Path) -> None:
    assert load(Flags(), environ, tmp_path).dsn == Dsn("", source)


def test_flag_before_environment_before_project_before_libpq(tmp_path: Path) -> None:
    start = project(tmp_path, 'dsn = "postgresql://project/"')
    both = {"PGWATCH_DSN": "postgresql://ours/", "DATABASE_URL": "postgresql://theirs/"}
    assert load(Flags(dsn="postgresql://flag/"), both, start).dsn.value == "postgresql://flag/"
    assert load(Flags(), both, start).dsn.source == "PGWATCH_DSN"
    assert load(Flags(), {"DATABASE_URL": "postgresql://theirs/"}, start).dsn.source == "DATABASE_URL"
    assert load(Flags(), {}, start).dsn.value == "postgresql://project/"
    (tmp_path / "pyproject.toml").unlink()
    assert load(Flags(), {}, tmp_path).dsn.value == ""


def test_the_project_file_is_found_from_a_folder_below(tmp_path: Path) -> None:
    project(tmp_path, "refresh = 3")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert load(Flags(), {}, below).refresh_s == 3.0
    assert load(Flags(refresh_s=0.5), {}, below).refresh_s == 0.5
    assert load(Flags(), {"PGWATCH_REFRESH": "7"}, below).refresh_s == 7.0


def test_markers_from_everywhere(tmp_path: Path) -> None:
    start = project(tmp_path, 'markers = ["%@x.example", {name = "run", regex = "^run_[0-9]+$"}]')
    assert load(Flags(), {}, tmp_path / "none").markers != DEFAULT_MARKERS
    assert load(Flags(), {}, start).markers == (
        MarkerSetting("%@x.example", "%@x.example"),
        MarkerSetting("run", "^run_[0-9]+$", regex=True),
    )
    assert load(Flags(markers=("re:^a$",)), {}, start).markers == (MarkerSetting("re:^a$", "^a$", True),)
    assert load(Flags(), {"PGWATCH_MARKERS": "a%\nre:b"}, start).markers[1].regex


@pytest.mark.parametrize("blank", ["", " ", "\n \n"])
def test_a_blank_variable_is_not_no_markers(tmp_path: Path, blank: str) -> None:
    start = project(tmp_path, 'markers = ["%@x.example"]')

    assert load(Flags(), {"PGWATCH_MARKERS": blank}, start).markers == (
        MarkerSetting("%@x.example", "%@x.example"),
    )


def test_markers_inside_longer_text(tmp_path: Path) -> None:
    start = project(tmp_path, 'markers = ["a%", {name = "run", regex = "^run$", inside = true}]')
    assert [marker.inside for marker in load(Flags(), {}, start).markers] == [False, True]
    assert [marker.inside for marker in load(Flags(inside=True), {}, start).markers] == [True, True]
    assert load(Flags(inside=True, markers=("b%",)), {}, start).markers == (
        MarkerSetting("b%", "b%", inside=True),
    )


def test_ignores_of_all_places_are_put_together(tmp_path: Path) -> None:
    start = project(tmp_path, 'ignore = ["audit", {what = "a.b", reason = "staff"}, {what = "c"}]')
    assert load(Flags(ignore=("x.*",)), {"PGWATCH_IGNORE": "d\n\n e"}, start).ignore == (
        IgnoreSetting("audit"),
        IgnoreSetting("a.b", "staff"),
        IgnoreSetting("c"),
        IgnoreSetting("d"),
        IgnoreSetting("e"),
        IgnoreSetting("x.*"),
    )
    project(tmp_path, "refresh = 1")
    assert load(Flags(), {}, start).ignore == ()


def test_read_only_from_everywhere(tmp_path: Path) -> None:
    start = project(tmp_path, "read_only = true")
    assert load(Flags(), {}, start).read_only
    assert not load(Flags(), {"PGWATCH_READ_ONLY": "off"}, start).read_only
    assert load(Flags(read_only=True), {"PGWATCH_READ_ONLY": "off"}, start).read_only
    project(tmp_path, "refresh = 1")
    assert not load(Flags(), {}, start).read_only
    assert load(Flags(), {"PGWATCH_READ_ONLY": "True"}, start).read_only
    with pytest.raises(ConfigurationError, match="PGWATCH_READ_ONLY must be true or false"):
        load(Flags(), {"PGWATCH_READ_ONLY": "perhaps"}, start)


def test_transaction_logs_from_everywhere(tmp_path: Path) -> None:
    start = project(tmp_path, 'transactions = ".pgwatch"') / "below"
    start.mkdir()
    ours = {"PGWATCH_TRANSACTIONS": "ours"}

    assert load(Flags(transactions=Path("flag"), tests=Path("t")), ours, start).transactions == Path("flag")
    assert load(Flags(), ours, start).transactions == Path("ours")
    assert load(Flags(), {"PGWATCH_TRANSACTIONS": ""}, start).transactions == tmp_path / ".pgwatch"
    assert load(Flags(), {}, project(start, "")).transactions is None
    assert load(Flags(tests=Path("t")), {}, start).tests == Path("t")
    with pytest.raises(ConfigurationError, match="name of a directory"):
        load(Flags(), {}, project(start, "transactions = 3"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dns = 'x'", "did you mean 'dsn'?"),
        ("dsn = 1", "dsn in"),
        ("refresh = 0", "above 0"),
        ("refresh = true", "above 0"),
        ("refresh = 'soon'", "above 0"),
        ("read_only = 1", "true or false"),
        ("keep_unmarked = 'no'", "true or false"),
        ("markers = []", "at least one"),
        ("markers = ['%']", "every row"),
        ("markers = ['%_']", "every row"),
        ("markers = [{name = 'x'}]", "a marker is"),
        ("markers = [{name = 'x', like = 'y', inside = 'yes'}]", "inside must be true or false"),
        ("markers = [{name = 'x', inside = true}]", "a marker is"),
        ("ignore = 'audit'", "must be a list"),
        ("ignore = [{reason = 'x'}]", "with what and reason"),
        ("ignore = [1]", "with what and reason"),
        ("dsn = ", "isn't valid TOML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml") as caught:
        load(Flags(), {}, project(tmp_path, text))
    assert words in str(caught.value)


def test_the_connection_string_is_not_in_the_settings_repr(tmp_path: Path) -> None:
    assert "hunter2" not in repr(load(Flags(dsn="postgresql://u:hunter2@h/d"), {}, tmp_path))


def test_databases_of_pytest_xdist_workers_are_left_over() -> None:
    fit = [
        name
        for name in ("app_test_gw0", "app_test_gw12", "app_test_gwen", "app_gw0")
        if any(fnmatchcase(name, glob) for glob in DEFAULT_LEFTOVER_DATABASES)
    ]
    assert fit == ["app_test_gw0", "app_test_gw12"]


def test_the_table_of_fields_sets_everything_there_is() -> None:
    assert sorted(setting.name for setting in SETTINGS) == sorted(field.name for field in fields(Settings))


def test_variables_set_what_files_do(tmp_path: Path) -> None:
    environ = {
        "PGWATCH_LOCK_TIMEOUT": "0.5",
        "PGWATCH_CONNECT_TIMEOUT": "2",
        "PGWATCH_COUNT_TIMEOUT": "9",
        "PGWATCH_TEST_SCHEMAS": "a_* b",
        "PGWATCH_LEFTOVER_DATABASES": "c_*",
        "PGWATCH_TEST_DATABASES": "",
        "PGWATCH_MARKED_TABLES": "public.users",
        "PGWATCH_MIN_AGE": "1h",
        "PGWATCH_KEEP_UNMARKED": "Yes",
        "PGWATCH_KEEP_RUNS": "30d",
        "PGWATCH_SCHEDULE": "not read",
    }
    assert load(Flags(), environ, project(tmp_path, 'test_databases = ["app"]\nmin_age = 3')) == Settings(
        Dsn("", "no server is named"),
        lock_timeout_s=0.5,
        connect_timeout_s=2.0,
        count_timeout_s=9.0,
        test_schemas=("a_*", "b"),
        leftover_databases=("c_*",),
        test_databases=("app",),
        marked_tables=("public.users",),
        min_age_s=3600.0,
        keep_unmarked=True,
        keep_runs_s=30 * 86_400.0,
    )


@pytest.mark.parametrize("value", ["", "soon", "0"])
def test_a_wrong_variable_is_named(tmp_path: Path, value: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^PGWATCH_LOCK_TIMEOUT must be a number of seconds above 0"
    ):
        load(Flags(), {"PGWATCH_LOCK_TIMEOUT": value}, tmp_path)
