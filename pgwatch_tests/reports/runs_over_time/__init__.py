"""Runs over time, as text, Markdown and JSON: the runs on record, and what comes again in them."""
