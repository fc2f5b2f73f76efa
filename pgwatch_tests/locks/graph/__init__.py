"""The wait-for graph: who waits for whom, which waits are real, and the tree that people read."""
