"""The machine's real time: the same where a test has frozen Python's clock, or moved it.

freezegun replaces the functions of `time`, and time-machine what these functions do; neither reaches the
C library. A value that is stamped with a frozen time would be taken for one of another run, or for too young.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable

_REALTIME = 0
"""CLOCK_REALTIME (<time.h>): 0 on Linux and macOS. `time.CLOCK_REALTIME` is there on no other system."""
_NS = 1_000_000_000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def _of_the_c_library() -> Callable[[], int]:
    """Returns a clock that asks the C library; Python's own on a system that has none of that name."""
    if sys.platform == "win32":
        return time.time_ns
    try:
        ask = ctypes.CDLL(None).clock_gettime
    except (OSError, AttributeError):
        return time.time_ns
    ask.argtypes, ask.restype = (ctypes.c_int, ctypes.POINTER(_TimeSpec)), ctypes.c_int

    def now_ns() -> int:
        now = _TimeSpec()
        if ask(_REALTIME, ctypes.byref(now)):
            return time.time_ns()
        return int(now.seconds) * _NS + int(now.nanoseconds)

    return now_ns


real_time_ns = _of_the_c_library()
"""Returns nanoseconds since 1970, in about 2 µs."""


def real_time_ms() -> int:
    """Returns milliseconds since 1970: what a value is stamped with."""
    return real_time_ns() // 1_000_000
