"""Contention in reports: who waited for whom in all, as a list and as a heat map."""
