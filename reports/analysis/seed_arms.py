"""The arms of several seeds among evaluated models, found by the lineage::

    tuned-C-0 (sft, seed 0), tuned-C-1 (sft, seed 1), other   ->   tuned-C: tuned-C-0, tuned-C-1

Names alone do not make an arm: llama-7 and llama-13 are no seeds. `recipe_graph.by_recipe` groups them, as for the
picture of the design.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.records import ModelRecords
from harness.reports.analysis.differences import Arm
from harness.reports.analysis.recipe_graph import RecipeArm, by_recipe


def seed_arms(models: Sequence[ModelRecords]) -> tuple[Arm, ...]:
    """Return the arms of two or more seeds. Models without a second seed are left out."""
    recipes = by_recipe([RecipeArm(name=model.name, models=(model,)) for model in models])
    return tuple(Arm(name=one.name, models=tuple(one.models)) for one in recipes if len(one.models) > 1)
