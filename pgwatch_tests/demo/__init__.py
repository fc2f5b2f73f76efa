"""The demo: an embedded PostgreSQL, a booking application, and a flaky suite that uses it."""
