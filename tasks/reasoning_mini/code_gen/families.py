"""Families of small programming problems with parameters, by what they are about; `draw` has what they share.

Places in angle brackets are filled from `draw.PARAMETERS`, the same in all texts of a problem. A wrong solution is one
that a hasty reader of the specification might write. The order of the families is part of the content.
"""

from __future__ import annotations

from harness.suite.generated import sibling

PARAMETERS = sibling(__file__, "draw").PARAMETERS
FAMILIES = (
    *sibling(__file__, "single_steps").SINGLE_STEPS,
    *sibling(__file__, "lists").LISTS,
    *sibling(__file__, "texts").TEXTS,
    *sibling(__file__, "dictionaries").DICTIONARIES,
    *sibling(__file__, "whole_numbers").WHOLE_NUMBERS,
)
