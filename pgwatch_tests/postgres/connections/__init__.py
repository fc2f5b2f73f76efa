"""Connections: how they are named, opened, limited and ended, also behind a pooler."""
