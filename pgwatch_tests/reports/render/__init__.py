"""Formats: text, Markdown, CSV, GitHub annotations and JUnit, safe for other people's text."""
