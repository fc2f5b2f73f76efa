"""Actions on sessions and prepared transactions: cancel, terminate, roll back."""
