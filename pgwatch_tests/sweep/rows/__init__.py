"""The deed of a row sweep: portions of clusters, deleted in short transactions."""
