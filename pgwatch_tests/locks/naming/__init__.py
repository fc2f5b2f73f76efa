"""Names of what is waited for, asked of the catalogs beside the poll."""
