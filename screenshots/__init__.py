"""Makes the pictures in this folder and README's output blocks from a recording, and queries/README.md.

`python -m screenshots` makes all anew; `python -m screenshots --record` records the demo first, and
`python -m screenshots --queries` only lists the queries.
"""
