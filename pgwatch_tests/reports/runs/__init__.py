"""Reports on recorded runs: table, Markdown, JSON, and a page for a browser."""
