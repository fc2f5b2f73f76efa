"""The outcome of a run: recorder, documents, and what is told in the end."""
