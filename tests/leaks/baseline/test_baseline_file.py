"""A baseline as a file: what was written comes back, and nothing else is taken for one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.leaks.baseline.baseline import Baseline, Fingerprint, Server, ranges, still_running
from pgwatch_tests.leaks.baseline.baseline_file import document, load, save
from pgwatch_tests.leaks.baseline.objects import DatabaseObject, SequencePosition

TAKEN_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SERVER = Server("app_test", 16384, 180004, False, TAKEN_AT, 110, None, 7, 8, True)
BASELINE = Baseline(
    TAKEN_AT,
    SERVER,
    "7711771977647488877",
    "100:110:103",
    ((103, 104),),
    (Fingerprint(1, "public", 'we"ird\n\\xff é', "r", 2, 3), Fingerprint(4, "public", "p", "p", 0, 0)),
)


@pytest.mark.parametrize(
    "baseline",
    [
        BASELINE,
        replace(BASELINE, tables=(), running=(), system_identifier=None),
        replace(
            BASELINE,
            objects=(
                DatabaseObject("function", 5, "public", 'f("we\nird" int)'),
                DatabaseObject("role", 6, "", "é"),
            ),
            sequences=(SequencePosition(7, "public", "s", None), SequencePosition(8, "public", "t", -5)),
        ),
        replace(BASELINE, objects=(), sequences=()),
    ],
)
def test_what_was_written_comes_back(baseline: Baseline, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text("an older one", encoding="ascii")

    save(baseline, path)

    assert load(path) == baseline
    assert [entry.name for entry in tmp_path.iterdir()] == ["baseline.json"]
    assert path.read_bytes().isascii()
    content = json.loads(path.read_text(encoding="ascii"))
    assert content["schema"] == "pgwatch-tests.baseline/1"
    assert content["taken_at"] == "2026-01-02T03:04:05.678901Z"
    assert content["snapshot"] == "100:110:103"


def test_one_of_before_there_were_checksums(tmp_path: Path) -> None:
    path = tmp_path / "older.json"
    path.write_text(json.dumps(WRITTEN), encoding="ascii")

    assert load(path) == BASELINE


def test_one_that_was_damaged(tmp_path: Path) -> None:
    path = tmp_path / "damaged.json"
    text = document(BASELINE)
    for damaged in (
        text.replace('"filenode": 2', '"filenode": 3'),
        text.replace('"checksum": "', '"checksum": "0'),
    ):
        assert damaged != text
        path.write_text(damaged, encoding="ascii")

        with pytest.raises(ConfigurationError, match="damaged or changed"):
            load(path)


def test_a_file_is_there_wholly_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "baseline.json"
    save(BASELINE, path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        save(replace(BASELINE, tables=()), path)

    assert load(path) == BASELINE
    assert len(list(tmp_path.iterdir())) == 1


def test_where_it_cant_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot write"):
        save(BASELINE, tmp_path / "no" / "such" / "folder.json")


# As before there were checksums.
WRITTEN = {name: value for name, value in json.loads(document(BASELINE)).items() if name != "checksum"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        "{}",
        '{"schema": 1}',
        '{"schema": "pgwatch-tests.baseline/2"}',
        '{"schema": "pgwatch-tests.leaks/1"}',
        '{"schema": "pgwatch-tests.baseline/1"}',
        json.dumps(WRITTEN | {"snapshot": "1:2"}),
        json.dumps(WRITTEN | {"snapshot": "9:8:"}),
        json.dumps(WRITTEN | {"snapshot": "-5:8:"}),
        json.dumps(WRITTEN | {"snapshot": "100:110:x"}),
        json.dumps(WRITTEN | {"snapshot": 7}),
        json.dumps(WRITTEN | {"taken_at": "yesterday"}),
        json.dumps(WRITTEN | {"taken_at": "2026-01-02T03:04:05"}),
        json.dumps(WRITTEN | {"tables": 5}),
        json.dumps(WRITTEN | {"tables": [{"oid": 1}]}),
        json.dumps(WRITTEN | {"running": [[1]]}),
        json.dumps(WRITTEN | {"running": [["1 OR true", 2]]}),
        json.dumps(WRITTEN | {"server": None}),
    ],
)
def test_anything_else_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(ConfigurationError, match="isn't a baseline") as raised:
        load(path)

    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        load(tmp_path / "nowhere.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="isn't a baseline"):
        load(tmp_path / "binary")


@given(st.sets(st.integers(3, 60)))
def test_ranges_hold_what_they_were_made_of(numbers: set[int]) -> None:
    found = ranges(numbers)

    assert {number for first, last in found for number in range(first, last + 1)} == numbers
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(found))


def test_what_a_snapshot_lists() -> None:
    assert still_running("10:20:10,14,15") == {10, 14, 15}
    assert still_running("10:10:") == set()
