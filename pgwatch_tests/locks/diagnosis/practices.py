"""The lines of good testing practice that a cause can violate, as a diagnosis cites them."""

from __future__ import annotations

UNIQUE_DATA = "Don't use fixed test data"
OWN_DATA = "Isolate test data"
CLEAN_UP = "Clean up after each test"
NO_SHARED_STATE = "Don't share state between tests"
