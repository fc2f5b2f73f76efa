"""Source of tests in one form for all languages: calls, values and scopes."""
