"""Plans: what becomes of files that are new, old, changed or somebody else's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pgwatch_tests.errors import ConfigurationError
from pgwatch_tests.kit.plan import KIT_VERSION, Plan, diff, kept, planned, stamped, write


def test_states_of_a_file(tmp_path: Path) -> None:
    text = stamped("a.ts", "const one = 1\n")
    older = stamped("a.ts", "const one = 0\n")
    newer = older.replace(f"kit {KIT_VERSION},", f"kit {KIT_VERSION + 1},")
    states = {}
    for name, before in {
        "new": None,
        "current": text,
        "crlf": text.replace("\n", "\r\n"),
        "older": older,
        "newer": newer,
        "changed": older.replace("one = 0", "one = 7"),
        "other": "const theirs = 1\n",
    }.items():
        if before is not None:
            (tmp_path / name).write_bytes(before.encode())
        one = planned(tmp_path, name, text)
        states[name] = (one.state, one.is_outdated)
    assert states == {
        "new": ("new", True),
        "current": ("current", False),
        "crlf": ("current", False),
        "older": ("older", True),
        "newer": ("newer", False),
        "changed": ("changed", False),
        "other": ("changed", False),
    }
    assert kept(tmp_path, "other", text).state == "current"
    assert Plan((planned(tmp_path, "newer", text),)).to_write() == ()
    assert len(Plan((planned(tmp_path, "newer", text),)).to_write(force=True)) == 1


def test_a_changed_file_of_an_older_kit_is_outdated(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text("// pgwatch-tests kit 0, 0123456789abcdef: written by init.\nmine\n")
    one = planned(tmp_path, "a.ts", stamped("a.ts", "theirs\n"))
    assert (one.state, one.kit, one.is_outdated) == ("changed", 0, KIT_VERSION > 0)
    assert Plan((one,)).to_write() == ()
    assert Plan((one,)).to_write(force=True) == (one,)


def test_writing_and_the_difference(tmp_path: Path) -> None:
    text = stamped("deep/a.yml", "on: push\n")
    one = planned(tmp_path, "deep/a.yml", text)
    assert list(diff([one]))[:3] == ["--- /dev/null", "+++ b/deep/a.yml", "@@ -0,0 +1,2 @@"]
    write(tmp_path, [one])
    assert (tmp_path / "deep/a.yml").read_text() == text
    assert text.startswith("# pgwatch-tests kit ")
    assert planned(tmp_path, "deep/a.yml", text).state == "current"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.yml"]


@pytest.mark.parametrize("mode", [0o755, 0o600])
def test_a_file_that_is_brought_up_to_date_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a.ts").write_text(stamped("a.ts", "old\n"))
    (tmp_path / "a.ts").chmod(mode)
    one = planned(tmp_path, "a.ts", stamped("a.ts", "new\n"))
    write(tmp_path, [one])
    assert stat.S_IMODE((tmp_path / "a.ts").stat().st_mode) == mode
    assert (tmp_path / "a.ts").read_text() == one.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_is_brought_up_to_date_keeps_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a.ts"
    place.write_text(stamped("a.ts", "old\n"))
    os.chown(place, 4711, 4712)
    place.chmod(0o4755)
    write(tmp_path, [planned(tmp_path, "a.ts", stamped("a.ts", "new\n"))])
    found = place.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (4711, 4712, 0o4755)

    # Who may not give files away writes into the one that is there.
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    write(tmp_path, [planned(tmp_path, "a.ts", stamped("a.ts", "newer\n"))])
    assert place.stat().st_ino == found.st_ino
    assert (place.stat().st_uid, place.read_text()) == (4711, stamped("a.ts", "newer\n"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.ts"]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "repository").mkdir()
    root = tmp_path / "repository"
    (root / "tests").symlink_to(tmp_path / "outside")
    (root / "b.ts").symlink_to(tmp_path / "outside" / "b.ts")
    for name in ("tests/a.ts", "tests/deep/a.ts", "b.ts"):
        with pytest.raises(ConfigurationError, match=r"a link|cannot"):
            planned(root, name, "x")  # so that --dry-run says it as well
    assert list((tmp_path / "outside").iterdir()) == []

    # A link to a file of an older kit: it stays, and nothing is written where one of several can't be.
    (root / "c.ts").write_text(stamped("c.ts", "old"))
    (root / "d.ts").symlink_to("c.ts")
    one = planned(root, "d.ts", stamped("d.ts", "new"))
    assert one.state == "changed"
    with pytest.raises(ConfigurationError, match=r"d\.ts is a link"):
        write(root, [planned(root, "e.ts", "x"), one])
    assert sorted(path.name for path in root.iterdir()) == ["b.ts", "c.ts", "d.ts", "tests"]
