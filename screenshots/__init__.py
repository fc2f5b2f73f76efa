"""Makes the pictures in this folder and README's output blocks, from a recording of the demo.

`python -m screenshots` draws both anew; `python -m screenshots --record` records the demo first.
"""
