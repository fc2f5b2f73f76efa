"""Position and speed of a replay, which moves by a clock that is given. No recording is read here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

SPEEDS = (1, 2, 4, 8, 16, 32, 60)


class Playback:
    """A moment between `began` and `until`, which moves while it plays. `clock` is monotonic, in seconds."""

    def __init__(
        self, began: datetime, until: datetime, position: datetime, clock: Callable[[], float]
    ) -> None:
        self.began = began
        self.until = until
        self.speed = SPEEDS[0]
        """Seconds of the recording per second of the clock."""
        self._clock = clock
        self._plays = False
        self._from = self._within(position)
        self._since_s = clock()

    @property
    def position(self) -> datetime:
        """The present moment; `until` once the replay has come to its end."""
        if not self._plays:
            return self._from
        left_s = (self.until - self._from).total_seconds()
        return self._from + timedelta(seconds=min(left_s, self._played_s))

    @property
    def is_playing(self) -> bool:
        """Whether it moves. It stops by itself at the end."""
        return self._plays and self.position < self.until

    def toggle(self) -> None:
        """Pauses, or plays; at the end it plays from the beginning."""
        plays = not self.is_playing
        self.go_to(self.began if plays and self.position >= self.until else self.position)
        self._plays = plays

    def pause(self) -> None:
        """Stays where it is."""
        self.go_to(self.position)
        self._plays = False

    def go_to(self, moment: datetime) -> None:
        """Goes to `moment`, or to the end that is nearer; plays on from there if it was playing."""
        self._from, self._since_s = self._within(moment), self._clock()

    def change_speed(self, steps: int) -> None:
        """Takes the next speed of SPEEDS, as many steps further; stays at the last one."""
        self.go_to(self.position)
        place = SPEEDS.index(self.speed) + steps
        self.speed = SPEEDS[min(len(SPEEDS) - 1, max(0, place))]

    def due_in_s(self, moment: datetime) -> float:
        """Seconds of the clock until it comes to `moment`, 0 if it is past; meant for while it plays."""
        return max(0.0, (moment - self.position).total_seconds() / self.speed)

    @property
    def _played_s(self) -> float:
        return max(0.0, self._clock() - self._since_s) * self.speed

    def _within(self, moment: datetime) -> datetime:
        return min(self.until, max(self.began, moment))
