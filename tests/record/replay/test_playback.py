"""The position of a replay, by a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass

from pgwatch_tests.record.replay.playback import SPEEDS, Playback
from tests.record.made_events import at


@dataclass
class Clock:
    now_s: float = 500.0

    def __call__(self) -> float:
        return self.now_s


def test_it_plays_at_a_speed_pauses_and_stops_at_the_end() -> None:
    clock = Clock()
    playback = Playback(at(0), at(100), at(10), clock)
    clock.now_s += 5
    assert (playback.position, playback.is_playing) == (at(10), False)
    playback.toggle()
    clock.now_s += 5
    assert (playback.position, playback.is_playing) == (at(15), True)
    playback.change_speed(2)
    assert playback.speed == 4
    clock.now_s += 5
    assert playback.position == at(35)
    assert playback.due_in_s(at(45)) == 2.5
    assert playback.due_in_s(at(1)) == 0.0
    playback.toggle()
    clock.now_s += 5
    assert (playback.position, playback.is_playing) == (at(35), False)
    playback.toggle()
    playback.go_to(at(96))
    clock.now_s += 5
    assert (playback.position, playback.is_playing) == (at(100), False)
    playback.toggle()
    clock.now_s += 1
    assert (playback.position, playback.is_playing) == (at(4), True)
    playback.pause()
    clock.now_s += 1
    assert playback.position == at(4)


def test_it_stays_within_the_recording_and_its_speeds() -> None:
    playback = Playback(at(0), at(100), at(200), Clock())
    assert playback.position == at(100)
    playback.go_to(at(-1))
    assert playback.position == at(0)
    for _ in SPEEDS:
        playback.change_speed(1)
    assert playback.speed == 60
    playback.change_speed(-len(SPEEDS))
    assert playback.speed == 1


def test_a_recording_of_one_sample_has_one_moment() -> None:
    playback = Playback(at(0), at(0), at(0), Clock())
    playback.toggle()
    assert (playback.position, playback.is_playing) == (at(0), False)
