"""The deletion of rows: portions of clusters, deleted in short transactions."""
