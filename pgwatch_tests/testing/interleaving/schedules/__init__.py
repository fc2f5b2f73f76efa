"""Schedules: steps and their order, which orders matter, and which one to run next. Pure."""
