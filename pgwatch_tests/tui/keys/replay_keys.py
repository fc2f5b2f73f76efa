"""The keys of a replay."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from pgwatch_tests.tui.keys.key_bindings import (
    COPY_KEYS,
    DETAIL_KEY,
    FIRST_KEYS,
    MOVING_KEYS,
    SORT_KEY,
    TAB_KEYS,
    TURN_KEYS,
    key_bindings,
)

REPLAY_KEYS: tuple[BindingType, ...] = (
    *FIRST_KEYS,
    *key_bindings(
        ("space", "play", "play", "Play", "Play or pause; at the end it plays from the beginning"),
        ("n", "next('wait', 1)", "next-wait", "Next wait", "Go to the next wait"),
        ("d", "next('deadlock', 1)", "next-deadlock", "Deadlock", "Go to the next deadlock"),
        ("t", "jump", "jump", "Go to", "Go to a time, or to the first sight of a test"),
    ),
    DETAIL_KEY,
    SORT_KEY,
    *TURN_KEYS,
    *key_bindings(
        ("N", "next('wait', -1)", "previous-wait", "Previous wait", "Go to the previous wait"),
        ("D", "next('deadlock', -1)", "previous-deadlock", "Previous deadlock", "Go to the one before"),
        ("m", "next('mark', 1)", "next-mark", "Next mark", "Go to the next hang, signal, or end"),
        ("M", "next('mark', -1)", "previous-mark", "Previous mark", "Go to the mark before"),
        ("plus", "change_speed(1)", "faster", "Faster", "Play faster, up to ×60", "+"),
        ("minus", "change_speed(-1)", "slower", "Slower", "Play slower, down to ×1", "-"),
        ("full_stop", "step(1)", "next-sample", "Next sample", "Go to the next sample, as → does", "."),
        ("comma", "step(-1)", "previous-sample", "Previous sample", "Go a sample back, as ← does", ","),
        ("greater_than_sign", "seek(1)", "further", "10 s on", "Go 10 s on, as shift+→ does", ">"),
        ("less_than_sign", "seek(-1)", "back", "10 s back", "Go 10 s back, as shift+← does", "<"),
    ),
    # Ahead of the table's own keys for columns, which its rows have no use for.
    Binding("right", "step(1)", show=False, priority=True, id="right"),
    Binding("left", "step(-1)", show=False, priority=True, id="left"),
    Binding("shift+right", "seek(1)", show=False, priority=True, id="shift-right"),
    Binding("shift+left", "seek(-1)", show=False, priority=True, id="shift-left"),
    Binding(
        "home",
        "edge(-1)",
        "Start",
        show=False,
        priority=True,
        id="start",
        tooltip="Go to the beginning; ctrl+home: to the first row",
    ),
    Binding(
        "end",
        "edge(1)",
        "To the end",
        show=False,
        priority=True,
        id="end",
        tooltip="Go to the end; ctrl+end: to the last row",
    ),
    *COPY_KEYS,
    *TAB_KEYS,
    *MOVING_KEYS,
)
"""As its footer shows them: the most useful first."""
