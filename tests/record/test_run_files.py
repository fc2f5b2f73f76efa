"""Recordings and results directories, read for a report: all that can be read, and why the rest can't."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pgwatch_tests.record.merging.merged import merge
from pgwatch_tests.record.model import Mark, RecordingHeader
from pgwatch_tests.record.recording.writer import RecordingWriter
from pgwatch_tests.record.results import ResultsDirectory, RunRecord
from pgwatch_tests.record.run_files import read
from pgwatch_tests.record.run_files import recordings as recordings_in
from pgwatch_tests.record.run_summary import Hang
from pgwatch_tests.reports.leaks import leak_json
from tests.record.made_events import facts
from tests.record.recordings import BEGAN, BOOKS, CANCELS, leak_report, make_recording, story


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole recording, and one as a kill leaves it: `whole.pgwatch`, `killed.pgwatch`."""
    folder = tmp_path_factory.mktemp("recordings")
    make_recording(folder / "whole.pgwatch", leaks=leak_report(), marks=[Mark(BEGAN, "command_ended")])
    make_recording(folder / "killed.pgwatch", killed=True, seconds=6.0)
    return folder


def results(path: Path, record: RunRecord, recording: Path | None = None) -> ResultsDirectory:
    """A results directory with that index, and a copy of a recording."""
    path.mkdir(parents=True)
    directory = ResultsDirectory(path)
    directory.write(record)
    if recording is not None:
        # One that was killed has part of it in the log beside it.
        for end in ("", "-wal"):
            beside = Path(f"{recording}{end}")
            if beside.exists():
                Path(f"{directory.recording}{end}").write_bytes(beside.read_bytes())
    return directory


def test_all_runs_of_a_directory_are_found_and_what_is_none_is_named(
    recordings: Path, tmp_path: Path
) -> None:
    artifacts = tmp_path / "artifacts"
    for shard in ("1", "2"):
        results(
            artifacts / f"pgwatch-results-{shard}" / shard,
            RunRecord(facts(shard)),
            recordings / "whole.pgwatch",
        )
    alone = artifacts / "night" / "alone.pgwatch"
    alone.parent.mkdir()
    alone.write_bytes((recordings / "whole.pgwatch").read_bytes())
    (artifacts / "node_modules").mkdir()
    (artifacts / "node_modules" / "x.pgwatch").write_text("no recording")
    broken = artifacts / "3" / "broken.pgwatch"
    broken.parent.mkdir()
    broken.write_text("no recording")
    (artifacts / "4").mkdir()
    (artifacts / "4" / "run.json").write_text("{}")
    empty = tmp_path / "empty"
    empty.mkdir()
    link = tmp_path / "link"
    link.symlink_to(artifacts / "pgwatch-results-1")

    runs, unreadable = read([artifacts, alone, link, empty, tmp_path / "none"])

    assert sorted(run.label for run in runs) == [str(alone), "1", "2"]
    by_pattern, _ = read([artifacts / "pgwatch-results-*"])
    assert sorted(run.label for run in by_pattern) == ["1", "2"]
    assert read([tmp_path / "none-*"])[1][0].reason == "No such file or directory"
    reasons = {one.name: one.reason for one in unreadable}
    assert reasons.pop(str(broken)).startswith("isn't a recording")
    assert "isn't the index of a run" in reasons.pop(str(artifacts / "4"))
    assert reasons == {
        str(empty): "no run and no recording in it",
        str(tmp_path / "none"): "No such file or directory",
    }


def test_a_run_has_what_its_index_and_its_recording_say(recordings: Path, tmp_path: Path) -> None:
    hang = Hang(BEGAN, 5.0, "the tree")
    record = RunRecord(facts(exit_code=1), hangs=(hang,), not_checked=("A thing.",))
    directory = results(tmp_path / "results", record, recordings / "whole.pgwatch")

    [run], unreadable = read([directory.index])
    assert unreadable == []
    assert (run.facts, run.hangs, run.not_checked) == (record.facts, (hang,), ("A thing.",))
    assert (run.ending, run.is_whole, run.leaks_checked, len(run.waits)) == ("ended", True, True, 5)
    assert {leak.kind for leak in run.leaks} == {"rows", "idle_in_transaction"}
    # It hung: what its sessions did last is told.
    assert run.last is not None


def test_a_run_counts_once_by_whichever_of_its_files_it_is_given(recordings: Path, tmp_path: Path) -> None:
    of_run = make_recording(tmp_path / "of_run.pgwatch", run=facts().run, began=facts().began)
    record = RunRecord(replace(facts(exit_code=1, pid=4711), machine="ci-7"))
    directory = results(tmp_path / "results", record, of_run)
    # An artifact of the recordings alone, beside that of the results.
    copy = tmp_path / "recordings" / "recording.pgwatch"
    copy.parent.mkdir()
    copy.write_bytes(of_run.read_bytes())

    [run], unreadable = read([directory.recording, directory.path, directory.index])
    assert (run.facts, unreadable) == (record.facts, [])
    # What a shell makes of `results/*`: also what others have put there, and our other files.
    (directory.path / "coverage.xml").write_text("<coverage/>")
    (directory.path / "screenshots").mkdir()
    directory.write_text(directory.file("leaks"), leak_json.document(leak_report()))
    Path(f"{directory.recording}-shm").touch()
    everything = sorted(directory.path.iterdir())
    assert len(everything) > 5
    [run], unreadable = read(everything)
    assert (run.facts, unreadable) == (record.facts, [])
    assert recordings_in(everything) == [directory.recording]
    directory.index.write_text("{}")
    assert len(read([*everything, tmp_path / "none"])[1]) == 1
    directory.write(record)
    for paths in ([copy, directory.path], [directory.recording, copy]):
        [counted] = merge(read(paths)[0]).runs
        assert counted.facts == record.facts


def test_where_a_killed_suite_was(recordings: Path, tmp_path: Path) -> None:
    unfinished = RunRecord(replace(facts(), ended=None, exit_code=None))
    directory = results(tmp_path / "results", unfinished, recordings / "killed.pgwatch")
    with directory.held():
        [run], _ = read([directory.path])
        assert run.ending == "running"

    [run], _ = read([directory.path])
    assert (run.ending, run.is_whole) == ("killed", False)
    assert run.last is not None
    first, second, holder, *_ = run.last.sessions
    assert (first.side.test, first.waits_for, first.blockers) == (
        CANCELS,
        "row of bookings (id=42)",
        (BOOKS,),
    )
    assert first.wait_s == pytest.approx(2.0)
    assert second.waits_for == first.waits_for
    assert (holder.side.test, holder.side.state, holder.waits_for) == (BOOKS, "idle in transaction", "")

    [alone], _ = read([recordings / "killed.pgwatch"])
    assert (alone.ending, alone.last) == ("running", run.last)
    for end in ("", "-wal"):
        path = Path(f"{recordings / 'killed.pgwatch'}{end}")
        if path.exists():
            os.utime(path, (0, 0))
    [alone], _ = read([recordings / "killed.pgwatch"])
    assert alone.ending == "killed"


def test_what_a_suite_did_when_it_was_told_to_end_counts_not_its_clean_up(tmp_path: Path) -> None:
    """Polls go on while its end is recorded, and see our own check."""
    at = [BEGAN + timedelta(seconds=seconds) for seconds in (2.0, 4.0, 100.0)]
    record = RunRecord(replace(facts(exit_code=143), signal=15))
    for number, (marks, told_at) in enumerate(
        [
            ([Mark(at[0], "signal", "SIGTERM"), Mark(at[1], "command_ended")], at[0]),
            ([Mark(at[1], "command_ended")], at[1]),
            ([Mark(at[0], "signal", "SIGINT"), Mark(at[2], "command_ended")], None),
        ]
    ):
        directory = results(tmp_path / str(number), record)
        make_recording(directory.recording, marks=marks, seconds=8.0)
        [run], _ = read([directory.path])
        assert run.last is not None
        assert run.last.at == (told_at or run.until)


def test_a_recorder_that_stood_still_leaves_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "still.pgwatch"
    with RecordingWriter(path, RecordingHeader(BEGAN)) as writer:
        for snapshot in story(every_s=1.0, seconds=40.0):
            second = (snapshot.sampled_at - BEGAN).total_seconds()
            if not 5 < second < 25:
                writer.add(snapshot, snapshot.sampled_at.timestamp())
    runs, _ = read([path])
    [merged] = merge(runs).servers
    [gap] = merged.gaps
    assert ((gap.since - BEGAN).total_seconds(), gap.seconds) == (5.0, 20.0)
    assert (merged.unwatched_s, merged.watched_s) == (runs[0].unwatched_s, runs[0].watched_s) == (20.0, 20.0)


def test_a_run_without_a_recording_has_its_leaks(recordings: Path, tmp_path: Path) -> None:
    bare = results(tmp_path / "bare", RunRecord(facts()))
    [run], _ = read([bare.path])
    assert (run.leaks_checked, run.servers) == (False, ())
    assert run.not_checked == ("Nothing was recorded.",)

    bare.write_text(bare.file("leaks"), leak_json.document(leak_report()))
    [whole], _ = read([recordings / "whole.pgwatch"])
    [run], _ = read([bare.path])
    assert run.leaks_checked
    assert run.leaks == whole.leaks

    bare.write_text(bare.file("leaks"), json.dumps({"schema": "pgwatch-tests.leaks/1", "tables": [{}]}))
    [run], _ = read([bare.path])
    assert not run.leaks_checked

    bare.recording.write_text("no recording")
    [run], _ = read([bare.path])
    assert run.not_checked[0].startswith("The recording can't be read: ")


def test_eight_shards_whose_machines_disagree_by_three_seconds_each_are_one_server(tmp_path: Path) -> None:
    for shard in range(8):
        make_recording(
            tmp_path / f"{shard}.pgwatch",
            shard=f"{shard}/8",
            run=f"{shard:08x}",
            machine_ahead_s=3.0 * shard,
            seconds=8.0,
            every_s=1.0,
        )
    runs, _ = read([tmp_path])
    [merged] = merge(runs).servers
    assert (len(merged.runs), merged.watched_s, len(merged.waits)) == (8, 8.0, 2)
    assert merged.waits[0].waited_s == pytest.approx(3.5, abs=1.0)  # to a poll
    [alone] = merge(runs[:1]).servers
    assert [(one.began, one.ended) for one in merged.waits] == [(one.began, one.ended) for one in alone.waits]
