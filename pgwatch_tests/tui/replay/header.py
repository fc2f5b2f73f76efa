"""Header of a replay: that it is a recording, of which run, the moment, and how fast it plays. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pgwatch_tests.record.replay.playback import Playback
from pgwatch_tests.text import durations
from pgwatch_tests.text.numbers import plural
from pgwatch_tests.text.plain_text import plain, shortened_middle
from pgwatch_tests.text.times import clock, day_and_time
from pgwatch_tests.tui.widgets.header_figures import fitted

_SHORT_NAME = 18


@dataclass(frozen=True, slots=True)
class ReplayTitle:
    """What is being replayed: other people's words."""

    names: tuple[str, ...]
    """The files' names."""
    run: str = ""
    shards: tuple[str, ...] = ()

    @property
    def files(self) -> str:
        """The file, or how many there are."""
        return plain(self.names[0], 60) if len(self.names) == 1 else plural(len(self.names), "recording")

    @property
    def shard(self) -> str:
        """`shard db-1`, empty without one."""
        if not self.shards:
            return ""
        named = ", ".join(plain(one, 30) for one in self.shards[:3])
        more = f" and {len(self.shards) - 3} more" if len(self.shards) > 3 else ""
        return f"{'shard' if len(self.shards) == 1 else 'shards'} {named}{more}"


def header(title: ReplayTitle, playback: Playback, width: int | None) -> str:
    """The line, in at most `width` cells if possible."""
    position, whole_s = playback.position, (playback.until - playback.began).total_seconds()
    parts = {
        "what": "Recording",
        "file": title.files,
        "moment": moment_words(position, playback.began, playback.until),
        "state": f"{'playing' if playback.is_playing else 'paused'} ×{playback.speed}",
        "run": f"run {plain(title.run, 20)}" if title.run else "",
        "shard": title.shard,
        "elapsed": f"{durations.in_words((position - playback.began).total_seconds())} of "
        f"{durations.in_words(whole_s)}",
    }
    shorter = [
        ("elapsed", ""),
        ("shard", shortened_middle(title.shard, 24)),
        ("file", shortened_middle(title.files, _SHORT_NAME)),
        ("shard", ""),
        ("run", ""),
    ]
    return fitted(parts, shorter, width)


def moment_words(moment: datetime, began: datetime, until: datetime) -> str:
    """`13:05:12.25 CEST`; with the day where the recording has more than one."""
    local = moment.astimezone()
    words = clock(moment)
    if began.astimezone().date() != until.astimezone().date():
        words = day_and_time(moment)
    time, _, zone = words.rpartition(" ")
    return f"{time}.{local.microsecond // 10_000:02} {zone}"
