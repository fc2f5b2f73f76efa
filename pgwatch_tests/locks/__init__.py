"""Lock diagnostics: who waits for whom, on what, and why. The poll is one exact round trip."""
