"""The linter: rules on small suites, the practice text's own files, and files as repositories have them."""
