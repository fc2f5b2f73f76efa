"""Transactions of a test: who began them, and which are open or not yet seen as over."""
