"""The dashboard on a recording: its keys, its time line, and the loop that reads a moment."""
