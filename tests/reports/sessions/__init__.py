"""Sessions as rows and documents."""
