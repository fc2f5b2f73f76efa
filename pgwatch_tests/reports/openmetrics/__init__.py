"""Metrics as OpenMetrics text, for a node exporter's textfile collector or a push gateway."""
