"""Recordings put together: by server, what several recorders saw once, leaks of several checks once."""
