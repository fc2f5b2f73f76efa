"""Makes the pictures of docs/, the output blocks of README and docs/ from recordings, and queries/README.md.

`python -m screenshots` makes all anew; `python -m screenshots --record` records the demo first,
`--record-races` what `interleave` finds in the example of docs/races.md. `--queries` and
`--reference` write what is made of the code alone.
"""
