"""Reports of a session: what its processes found, in the terminal, in files and in GitHub's annotations."""
