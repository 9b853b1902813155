"""Prove that a change of layout or wording changes no behaviour.

Make the same runs with the code before and after the change, then compare what they left:

    python -m tests.unchanged.make /tmp/before      # with the old code, in its checkout
    python -m tests.unchanged.make /tmp/after       # with the new code
    python -m tests.unchanged.compare /tmp/before /tmp/after
    python -m tests.unchanged.replay /tmp/before    # with the new code: the old journal answers everything

Only the command line is used, as a subprocess, so that the same maker serves both layouts. `normalise.yaml` lists what
differs from run to run, which modules have moved, and which texts may be reworded.
"""
