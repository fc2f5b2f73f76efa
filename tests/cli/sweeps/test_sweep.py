"""`pgwatch-tests sweep` with a sweep that a test makes up: options, exit codes, history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_tests import cli
from pgwatch_tests.errors import CannotConnectError, ConnectionLostError, NotCheckedError, RefusedError
from pgwatch_tests.leaks.many_databases import Choice
from pgwatch_tests.settings.load import Settings
from pgwatch_tests.sweep import many_databases
from pgwatch_tests.sweep.model import Kept, TableRows
from pgwatch_tests.sweep.request import DEFAULT_SWEEP_KINDS, SweepRequest
from tests.cli.sweeps.calls import history, sweep
from tests.sweep.plan.fakes import Sweeps
from tests.sweep.reports import KEPT, NOTHING, ORPHANS, ROWS


def test_a_dry_run_is_the_default(sweeps: Sweeps, capsys: pytest.CaptureFixture[str]) -> None:
    sweeps.default = replace(NOTHING, planned=ROWS, kept=KEPT, orphans=ORPHANS)

    assert sweep() == 0
    assert sweeps.requests == [SweepRequest()]
    out = capsys.readouterr().out
    assert "Would be deleted from" in out
    assert "nothing was changed: add --yes" in " ".join(out.split())


@pytest.mark.parametrize("whose", [("--run", "1a2b3c4d"), ("--test", "t.py::test_a")])
def test_of_a_run_or_a_test_only_rows_are_swept(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str], whose: tuple[str, str]
) -> None:
    assert sweep(*whose, "--only", "schemas,prepared") == 2
    assert "they need rows in --only" in capsys.readouterr().err
    assert sweeps.requests == []

    assert sweep(*whose) == 0
    assert [entry["kinds"] for entry in history(capsys)] == [["rows"]]


def test_nothing_is_swept_if_the_report_could_not_be_written(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert sweep("--yes", "-o", str(tmp_path / "missing" / "report.txt")) == 2
    assert "report.txt: No such file or directory" in capsys.readouterr().err
    assert sweeps.requests == []

    assert sweep("--yes", "-o", str(tmp_path / "report.txt")) == 0
    assert "nothing removed" in (tmp_path / "report.txt").read_text(encoding="utf-8")


def test_a_dry_run_says_that_max_rows_forbids_it(sweeps: Sweeps, capsys: pytest.CaptureFixture[str]) -> None:
    sweeps.default = replace(NOTHING, planned=ROWS)
    rows = sum(table.total for table in ROWS)

    assert sweep("--max-rows", str(rows)) == 0
    assert "--max-rows" not in capsys.readouterr().err
    assert sweep("--max-rows", str(rows - 1)) == 0
    assert f"{rows:,} rows would go, but --max-rows allows {rows - 1:,}" in capsys.readouterr().err


def test_what_is_asked_for(sweeps: Sweeps) -> None:
    assert sweep("--yes") == 0
    assert (
        sweep(
            *("--yes", "--min-age", "2h", "--max-rows", "7", "--run", "1A2B3C4d", "--test", "t.py::test_a"),
            *("--only", "sessions, ROWS", "--patience", "5m", "--temp-index", "--batch", "50"),
            "--keep-unmarked",
        )
        == 0
    )
    assert sweeps.requests == [
        SweepRequest(dry_run=False),
        SweepRequest(
            kinds=("rows", "sessions"),
            dry_run=False,
            min_age_s=7200.0,
            min_age_is_firm=True,
            max_rows=7,
            run="1a2b3c4d",
            test="t.py::test_a",
            clusters_at_once=50,
            patience_s=300.0,
            temp_index=True,
            keep_unmarked=True,
        ),
    ]


def test_the_age_of_the_settings(sweeps: Sweeps, home: Path) -> None:
    (home / "pyproject.toml").write_text("[tool.pgwatch-tests]\nmin_age = '1h'\n")

    assert sweep() == 0
    assert sweep("--min-age", "0s") == 0
    assert [request.min_age_s for request in sweeps.requests] == [3600.0, 0.0]
    assert [request.min_age_is_firm for request in sweeps.requests] == [False, True]


def test_of_a_run_or_a_test_that_is_named_nothing_is_too_young(sweeps: Sweeps) -> None:
    assert sweep("--run", "1a2b3c4d") == 0
    assert sweep("--test", "t.py::test_a") == 0
    assert sweep("--run", "1a2b3c4d", "--min-age", "5m") == 0
    assert [request.min_age_s for request in sweeps.requests] == [0.0, 0.0, 300.0]


def test_unmarked_rows_are_kept_if_the_settings_say_so(
    sweeps: Sweeps, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "pyproject.toml").write_text("[tool.pgwatch-tests]\nkeep_unmarked = true\n")
    assert sweep() == 0
    monkeypatch.setenv("PGWATCH_KEEP_UNMARKED", "off")
    assert sweep() == 0
    assert [request.keep_unmarked for request in sweeps.requests] == [True, False]


def test_it_warns_once_from_half_of_a_table_on(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sweeps.default = replace(NOTHING, planned=(TableRows("public", "users", 6, 0, 0, 6),))

    assert sweep() == 0
    out, err = capsys.readouterr()
    warning = "half of a table or more would go: 6 of 6 rows of public.users"
    assert (out.count(warning), err) == (1, "")
    # Where the document is for a program, or elsewhere, whoever started the sweep is told beside it.
    for elsewhere in (("--format", "json"), ("-o", str(tmp_path / "plan.txt"))):
        assert sweep(*elsewhere) == 0
        assert f"pgwatch-tests: warning: test_app: {warning}" in capsys.readouterr().err


def test_dry_run_is_a_name_of_the_default(sweeps: Sweeps) -> None:
    assert (sweep(), sweep("--dry-run"), sweep("--yes")) == (0, 0, 0)
    assert [request.dry_run for request in sweeps.requests] == [True, True, False]
    assert sweeps.requests[0] == sweeps.requests[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--run", "xyz"), "isn't 8 hex digits"),
        (("--only", "tables"), "unknown 'tables'; known kinds: rows, schemas, databases, sessions, prepared"),
        (("--only", ","), "names no kind"),
        (("--min-age", "soon"), "isn't a duration"),
        (("--batch", "0"), "--batch"),
        (("--databases", " , "), "names no database"),
        (("--limit", "5"), "--limit needs --history"),
        (("--any",), "--any needs --since FILE"),
        (("--since", "b.json", "--databases", "a"), "--since and --databases can't be combined"),
        (("--since", "b.json", "--any", "--run", "1a2b3c4d"), "--any can't be combined with --run or --test"),
        (("--since", "b.json"), "cannot read b.json"),
        (("--yes", "--dry-run"), "--yes and --dry-run can't be combined"),
        (("--history", "--yes"), "--history can be combined with"),
        (("--history", "--format", "csv"), "--history has the formats table and json"),
    ],
)
def test_usage(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert sweep(*arguments) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert sweeps.made == []


@pytest.mark.parametrize("variable", [False, True])
def test_read_only_allows_dry_runs_only(
    sweeps: Sweeps,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: bool,
) -> None:
    arguments = () if variable else ("--read-only",)
    if variable:
        monkeypatch.setenv("PGWATCH_READ_ONLY", "1")

    assert sweep("--yes", *arguments) == 2
    assert "read_only is set" in capsys.readouterr().err
    assert sweeps.made == []
    assert sweep(*arguments) == 0
    assert sweeps.requests[0].dry_run


@pytest.mark.parametrize(
    ("error", "code", "result"),
    [
        (RefusedError("nothing is changed in 'app'"), 2, "refused"),
        (CannotConnectError("nobody there"), 3, "failed"),
        (ConnectionLostError("the connection was lost"), 3, "failed"),
        (NotCheckedError("the catalogs can't be read"), 4, "failed"),
    ],
)
def test_errors_are_one_line_and_on_record(
    sweeps: Sweeps,
    capsys: pytest.CaptureFixture[str],
    error: RefusedError,
    code: int,
    result: str,
) -> None:
    sweeps.default = error

    assert sweep("--yes") == code
    assert capsys.readouterr() == ("", f"pgwatch-tests: {error}\n")
    (entry,) = history(capsys)
    assert (entry["result"], entry["reason"], entry["dry_run"]) == (result, str(error), False)


def test_a_sweep_that_ended_early_says_what_it_did(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str]
) -> None:
    sweeps.default = replace(
        NOTHING, planned=ROWS, deleted=(TableRows("public", "users", 3, 0),), error="the server went away"
    )

    assert sweep("--yes", "--format", "json", "--fail") == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["deleted"]["total"] == 3
    assert err == "pgwatch-tests: the sweep of test_app ended early: the server went away\n"
    (entry,) = history(capsys)
    assert (entry["result"], entry["deleted"]) == ("failed", 3)
    # Refused after something was removed.
    sweeps.default = replace(sweeps.default, error_exit_code=2)
    assert sweep("--yes", "--fail") == 2


def test_the_gate(sweeps: Sweeps) -> None:
    codes = {}
    for name, report in {
        "waiting": replace(NOTHING, kept=KEPT),
        "shared": replace(NOTHING, kept=(Kept("public", "users", 1, "shared_with_real_data"),)),
        "unchecked": replace(NOTHING, not_checked=("public.secret",)),
    }.items():
        sweeps.default = report
        codes[name] = (sweep(), sweep("--fail"))

    assert codes == {"waiting": (0, 0), "shared": (0, 1), "unchecked": (0, 4)}


def test_several_databases(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(_: Settings, patterns: Sequence[str]) -> Choice:
        return Choice(("test_a", "test_b", "app") if "test_*" in patterns else ("app",), ())

    monkeypatch.setattr(many_databases, "choose_on_server", choose)
    sweeps.outcomes = {"app": RefusedError("no test database")}
    sweeps.default = replace(NOTHING, planned=ROWS)

    assert sweep("--databases", "test_*,app", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["database"] for one in found["databases"]] == ["test_a", "test_b"]
    assert found["not_swept"] == [{"database": "app", "reason": "no test database"}]
    assert sweep("--databases", "test_*,app", "--fail") == 4
    assert sweep("--databases", "app") == 2
    assert [(one["database"], one["result"]) for one in history(capsys)][:4] == [
        ("app", "refused"),
        *(("app", "refused"), ("test_b", "done"), ("test_a", "done")),
    ]


def test_what_is_to_be_said_of_many_databases_is_a_line(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"test_{number}" for number in range(9)]
    chosen = Choice(tuple(names[:3]), ())
    monkeypatch.setattr(many_databases, "choose_on_server", lambda *_: chosen)
    sweeps.default = replace(NOTHING, planned=(TableRows("public", "users", 6, 0, 0, 6),))

    assert sweep("--databases", "test_*", "--max-rows", "5") == 0
    few = capsys.readouterr().err
    assert few.count("warning: test_") == few.count("with --yes nothing would be done in test_") == 3
    chosen = Choice(tuple(names), ())
    assert sweep("--databases", "test_*", "--max-rows", "5") == 0
    many = capsys.readouterr().err.splitlines()
    where = "in 9 databases: test_0, test_1, test_2 and 6 more"
    assert many == [
        f"pgwatch-tests: --max-rows allows 5, and more would go, {where}",
        f"pgwatch-tests: warning: half of a table or more would go, {where}",
    ]


def test_the_history(sweeps: Sweeps, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep() == 0
    sweeps.default = replace(NOTHING, planned=ROWS, deleted=ROWS, orphans=ORPHANS)
    assert sweep("--yes") == 0

    acted, dry = history(capsys)
    assert (dry["dry_run"], dry["trigger"], dry["kinds"]) == (True, "command line", [*DEFAULT_SWEEP_KINDS])
    assert (acted["dry_run"], acted["deleted"], acted["orphans_removed"]) == (False, 1204, 2)
    assert len(history(capsys, "--limit", "1")) == 1
    assert cli.run(["sweep", "--history"]) == 0
    assert "1,204 rows deleted, 2 other leftovers removed" in capsys.readouterr().out


def test_a_history_that_cant_be_written_is_a_warning(
    sweeps: Sweeps, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    (home / "a file").touch()
    monkeypatch.setenv("PGWATCH_HISTORY", str(home / "a file" / "history"))

    assert sweep() == 0
    out, err = capsys.readouterr()
    assert "nothing to remove" in out
    assert len(err.splitlines()) == 1
    assert "not recorded" in err


def test_the_report_goes_to_a_file(sweeps: Sweeps, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert sweep("--format", "markdown", "-o", str(home / "summary.md")) == 0
    assert capsys.readouterr().out == ""
    assert (home / "summary.md").read_text().startswith("## Sweep (dry run): nothing to remove")
