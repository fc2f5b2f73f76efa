"""Reports on JUnit files of many shards: table, Markdown, JSON, GitHub annotations, one merged document."""
