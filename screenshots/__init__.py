"""Makes the pictures in this folder and README's output blocks from a recording, and queries/README.md.

`python -m screenshots` makes all anew; `python -m screenshots --record` records the demo first,
`--record-races` what `interleave` finds in the example of docs/races.md, and
`python -m screenshots --queries` only lists the queries.
"""
