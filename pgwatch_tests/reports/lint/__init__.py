"""Reports of the linter."""
