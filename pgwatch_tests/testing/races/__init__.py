"""`race` and `load`: a function called many times at once, and what came back."""
