"""Names of waited-for rows, tables and objects, asked of the catalogs beside the poll."""
