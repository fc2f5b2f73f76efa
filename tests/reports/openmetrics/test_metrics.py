"""Metrics: what they say, read alike by both parsers of Prometheus, and without fault to its own linter."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from pgwatch_tests.history.model import HistoryEntry
from pgwatch_tests.history.runs.model import StoredRun
from pgwatch_tests.leaks.model import LeakReport, LeaksOfDatabases, Leftover, NotChecked, TableLeak
from pgwatch_tests.reports.openmetrics import leak_metrics, run_metrics, sweep_metrics
from pgwatch_tests.reports.openmetrics.families import Family, text
from pgwatch_tests.sweep.model import NotSwept, SweepsOfDatabases, TableRows
from tests.sweep.reports import KEPT, NOTHING, ORPHANS, ROWS

AT = datetime(2026, 1, 2, 3, 4, 5, 6000, UTC)
CLEAN = LeakReport(AT, "18.1", "app", ("test email",), 5, (), (), 0.25, kinds_checked=("schema",))
LEAKING = replace(
    CLEAN,
    server="ci-1",
    tables=(TableLeak("public", "users", "table", ("email",), 7),),
    leftovers=(Leftover("schema", "test_1"),),
)
FLEET = LeaksOfDatabases(
    AT, (LEAKING, replace(CLEAN, server="ci-2")), (NotChecked("", "gone", "ci-3"),), 1.0, ("ci-1",)
)
SWEPT = replace(
    NOTHING,
    planned=ROWS,
    kept=KEPT,
    orphans=ORPHANS,
    dry_run=False,
    deleted=(TableRows("public", "users", 3, 0),),
    longest_transaction_s=0.125,
)
ENTRY = HistoryEntry(
    *(AT, "sweep", "command line", "nightly", "ci@host", 1, "ci", "host:5432", "app", False, ("rows",)),
    *(("test email",), 600.0, "done"),
    deleted_rows=12,
    duration_s=0.5,
)
COUNTED = replace(ENTRY, action="leaks", database="b", result="failed", leaked_rows=3, leftovers=0)
RUN = StoredRun(
    **dict.fromkeys(StoredRun.__slots__, 0)
    | {
        "began": AT,
        "ended": AT,
        "repository": "",
        "exit_code": 1,
        "failed": 2,
        "flaky": 1,
        "blocked_s": 1.5,
        "leaked_rows": 7,
    }  # type: ignore[arg-type]
)
DOCUMENTS = {
    "leaks": leak_metrics.document(LEAKING),
    "leaks of a fleet": leak_metrics.document(FLEET),
    "sweep": sweep_metrics.document(SWEPT),
    "sweep of a fleet": sweep_metrics.document(
        SweepsOfDatabases(AT, (replace(SWEPT, server="ci-1"),), (NotSwept("app", "gone", "ci-2"),), 1.0)
    ),
    "job": sweep_metrics.job_document([ENTRY, COUNTED]),
    "history": run_metrics.document(
        [
            RUN,
            replace(RUN, exit_code=0, began=AT + timedelta(hours=1), failed=None),
            replace(RUN, ended=None, exit_code=None, repository="app"),
        ],
        AT,
        AT + timedelta(days=30),
    ),
    "nothing": leak_metrics.document(LeaksOfDatabases(AT, (), (), 1.0)),
}


class _Sample(Protocol):
    name: str
    labels: dict[str, str]
    value: float


class _Metric(Protocol):
    name: str
    type: str
    samples: Iterable[_Sample]


def read(metrics: Iterable[_Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Values by name and labels; of gauges only, and each once."""
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for metric in metrics:
        assert metric.type == "gauge", metric.name
        for sample in metric.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in values, key
            values[key] = sample.value
    return values


def test_leaks_as_metrics() -> None:
    assert DOCUMENTS["leaks"] == (
        "# TYPE pgwatch_tests_leaked_rows gauge\n"
        "# HELP pgwatch_tests_leaked_rows Leaked rows of a table, of the tables that have any.\n"
        'pgwatch_tests_leaked_rows{server="ci-1",database="app",table="public.users"} 7\n'
        "# TYPE pgwatch_tests_leaking_tables gauge\n"
        "# HELP pgwatch_tests_leaking_tables Tables with leaked rows.\n"
        'pgwatch_tests_leaking_tables{server="ci-1",database="app"} 1\n'
        "# TYPE pgwatch_tests_leftovers gauge\n"
        "# HELP pgwatch_tests_leftovers What is left over besides rows, of each kind that was looked for.\n"
        'pgwatch_tests_leftovers{server="ci-1",database="app",kind="schema"} 1\n'
        "# TYPE pgwatch_tests_leaks_complete gauge\n"
        "# HELP pgwatch_tests_leaks_complete 1 if everything that was asked for was checked, else 0.\n"
        'pgwatch_tests_leaks_complete{server="ci-1",database="app"} 1\n'
        "# TYPE pgwatch_tests_leaks_reached gauge\n"
        "# HELP pgwatch_tests_leaks_reached 1 if the database, or of a server all that were asked for, could"
        " be checked at all, else 0.\n"
        'pgwatch_tests_leaks_reached{server="ci-1",database="app"} 1\n'
        "# TYPE pgwatch_tests_leaks_checked_tables gauge\n"
        "# HELP pgwatch_tests_leaks_checked_tables Tables that were checked.\n"
        'pgwatch_tests_leaks_checked_tables{server="ci-1",database="app"} 5\n'
        "# TYPE pgwatch_tests_leaks_duration_seconds gauge\n"
        "# UNIT pgwatch_tests_leaks_duration_seconds seconds\n"
        "# HELP pgwatch_tests_leaks_duration_seconds How long the check took.\n"
        'pgwatch_tests_leaks_duration_seconds{server="ci-1",database="app"} 0.25\n'
        "# TYPE pgwatch_tests_leaks_timestamp_seconds gauge\n"
        "# UNIT pgwatch_tests_leaks_timestamp_seconds seconds\n"
        "# HELP pgwatch_tests_leaks_timestamp_seconds When the check began, since 1970.\n"
        'pgwatch_tests_leaks_timestamp_seconds{server="ci-1",database="app"} 1767323045.006\n'
        "# EOF\n"
    )
    fleet = DOCUMENTS["leaks of a fleet"]
    assert 'pgwatch_tests_leaks_reached{server="ci-3"} 0\n' in fleet
    assert 'pgwatch_tests_leaking_tables{server="ci-2",database="app"} 0\n' in fleet
    many = replace(CLEAN, tables=tuple(TableLeak("s", f"t{n}", "table", (), n) for n in range(1, 61)))
    document = leak_metrics.document(many)
    assert document.count("\npgwatch_tests_leaked_rows{") == 51
    assert (
        f'pgwatch_tests_leaked_rows{{database="app",table="other tables"}} {sum(range(1, 11))}\n' in document
    )


def test_sweeps_and_jobs_as_metrics() -> None:
    for sample in (
        'sweep_planned_rows{database="test_app"} 1204',
        'sweep_deleted_rows{database="test_app"} 3',
        'sweep_kept_rows{database="test_app",reason="too_young"} 3',
        'sweep_removed{database="test_app",kind="schemas"} 1',
        'sweep_removed{database="test_app",kind="databases"} 0',
        'sweep_longest_transaction_seconds{database="test_app"} 0.125',
    ):
        assert f"\npgwatch_tests_{sample}\n" in DOCUMENTS["sweep"]
    assert 'sweep_reached{server="ci-2",database="app"} 0\n' in DOCUMENTS["sweep of a fleet"]
    for sample in ("success{", "deleted_rows{", "duration_seconds{"):
        start = f'\npgwatch_tests_job_{sample}job_name="nightly",server="host:5432",database="app"}} '
        assert start in DOCUMENTS["job"]
    counted = '{job_name="nightly",server="host:5432",database="b"}'
    assert f"\npgwatch_tests_job_leaked_rows{counted} 3\n" in DOCUMENTS["job"]
    assert f"\npgwatch_tests_job_success{counted} 0\n" in DOCUMENTS["job"]
    assert DOCUMENTS["nothing"] == "# EOF\n"


def test_runs_as_metrics() -> None:
    for sample in (
        'runs{result="passed"} 1',
        'runs{result="failed"} 1',
        'runs{repository="app",result="unfinished"} 1',
        "failed_tests 2",
        'failed_tests{repository="app"} 2',
        "blocked_seconds 3",
        "leaked_rows 14",
        "last_run_timestamp_seconds 1767326645.006",
        "window_seconds 2592000",
    ):
        assert f"\npgwatch_tests_history_{sample}\n" in DOCUMENTS["history"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_both_parsers_read_the_same(name: str) -> None:
    document = DOCUMENTS[name]

    new = read(openmetrics.text_string_to_metric_families(document))

    # A node exporter's: what is only OpenMetrics's is a comment to it.
    assert read(text_string_to_metric_families(document)) == new
    assert len(new) == sum(not line.startswith("#") for line in document.splitlines())


@settings(deadline=None)
@given(st.text() | st.text(alphabet='\\"\n\r{}=,# \x00\x1b\u2028\ud800é'))
def test_any_text_is_a_label(value: str) -> None:
    document = text((Family("x", "What it is.", (({"database": value}, 1.5),)),))

    (((name, labels), number),) = read(openmetrics.text_string_to_metric_families(document)).items()

    assert (name, number) == ("pgwatch_tests_x", 1.5)
    assert [label for label, _ in labels] == (["database"] if value else [])
    assert read(text_string_to_metric_families(document)) == {(name, labels): number}
    document.encode()


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool, of Debian's package prometheus: see .ci/run"
)
@pytest.mark.usefixtures("python")
def test_promtool_finds_no_fault() -> None:
    for name, document in DOCUMENTS.items():
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=document, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), name
