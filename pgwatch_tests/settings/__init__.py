"""Settings: flags, environment, pyproject.toml, and the jobs of the schedule."""
