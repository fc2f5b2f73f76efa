"""Commands on files of a repository: its CI kit, its tests' source, its JUnit files. None needs a server."""
