"""Sweeps: delete the rows, schemas, databases and prepared transactions that tests left, nothing else."""
