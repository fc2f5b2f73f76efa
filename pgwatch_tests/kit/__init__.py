"""The CI kit: what `init` finds in a repository, the files that it writes there, and lines to add. Pure."""
