"""Replay of a recording: its position and speed, the samples and events at a moment, places to jump to."""
