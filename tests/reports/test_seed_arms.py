"""Which models are seeds of one recipe: their names, and every stage that made them, differ in the seed only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from harness.records import ModelRecords
from harness.reports.analysis.lineage_graph import lineage_nodes
from harness.reports.analysis.recipe_graph import RecipeArm, by_recipe, recipe_nodes
from harness.reports.analysis.seed_arms import seed_arms
from harness.reports.analysis.seed_groups import group_seeds
from tests.reports.models_for_tests import model


def stage(name: str, seed: int, parents: Sequence[str] = (), **fields: Any) -> dict[str, Any]:
    """A link of a lineage; `fields` replace those of the manifest."""
    above = [{"name": parent, "digest": parent, "source": parent} for parent in parents]
    own: dict[str, Any] = {"stage": "sft", "spec": {"name": name, "seed": seed}, "sources": [{"name": "chat"}]}
    manifest = {"name": name, "finished": True, "step": 9, "seed": seed, "parents": above} | own | fields
    return {"name": name, "digest": name, "status": "verified", "manifest": manifest}


def made_by(*links: dict[str, Any]) -> ModelRecords:
    return model(links[0]["name"], {"t": np.array([1.0, 0.0])}, lineage=links)


def base(seed: int, **fields: Any) -> dict[str, Any]:
    return stage(f"base-{seed}", seed, stage="pretrain", **fields)


def tuned(seed: int, above: dict[str, Any], **fields: Any) -> ModelRecords:
    return made_by(stage(f"tuned-{seed}", seed, [above["name"]], **fields), above)


def published(name: str) -> dict[str, Any]:
    return {"name": name, "digest": name, "status": "root", "manifest": None}


def sources(name: str) -> list[dict[str, str]]:
    return [{"name": name}]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (made_by(stage("t-0", 0)), made_by(stage("t-1", 1))),
        (tuned(0, base(0)), tuned(1, base(1))),
        (tuned(0, base(0)), tuned(1, base(0))),
        (tuned(0, published("llama")), tuned(1, published("llama"))),
        (
            made_by(stage("t-seed0", 0, spec={"from": "runs/a-0", "output_path": "runs/t-0"})),
            made_by(stage("t-seed1", 1, spec={"from": "runs/a-1", "output_path": "runs/t-1"})),
        ),
        (
            made_by(stage("t-0", 0, ["a-0"], stage="average", spec={"checkpoints": ["runs/a-0/checkpoint-*"]})),
            made_by(stage("t-1", 1, ["a-1"], stage="average", spec={"checkpoints": ["runs/a-1/checkpoint-*"]})),
        ),
    ],
    ids=["one stage", "own bases", "one base", "published", "places", "averages"],
)
def test_runs_that_differ_in_their_seeds_are_one_recipe(first: ModelRecords, second: ModelRecords) -> None:
    (arm,) = seed_arms([first, second])
    assert arm.models == (first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (made_by(stage("code-10", 1, sources=sources("code-10"))), made_by(stage("code-30", 3, sources=sources("x")))),
        (made_by(stage("t-1", 1, spec={"mixture": 0.1})), made_by(stage("t-3", 3, spec={"mixture": 0.3}))),
        (made_by(stage("t-1", 1)), made_by(stage("t-2", 2, stage="dpo"))),
        (made_by(stage("sft-v2", 0)), made_by(stage("sft-v3", 1))),
        (made_by(stage("sft_v12", 0)), made_by(stage("sft_v13", 1))),
        (tuned(1, base(1, sources=sources("text"))), tuned(2, base(2, sources=sources("code")))),
        (tuned(1, base(1, spec={"architecture": "30m"})), tuned(2, base(2, spec={"architecture": "125m"}))),
        (tuned(1, base(1, finished=False, step=10)), tuned(2, base(2, finished=False, step=20))),
        (tuned(0, published("llama")), tuned(1, published("qwen"))),
        (
            made_by(stage("t-0", 0, ["a"], stage="average", spec={"checkpoints": ["a"]})),
            made_by(stage("t-1", 1, ["a", "b"], stage="average", spec={"checkpoints": ["a", "b"]})),
        ),
    ],
    ids=["data", "mixture", "kind", "version", "version of two digits", "data of the base", "size of the base",
         "step of the base", "published base", "checkpoints averaged"],
)  # fmt: skip
def test_other_recipes_are_no_seeds(first: ModelRecords, second: ModelRecords) -> None:
    assert seed_arms([first, second]) == ()
    assert len(by_recipe([RecipeArm(name=one.name, models=(one,)) for one in (first, second)])) == 2
    nodes = {node.digest: node for node in lineage_nodes([first, second])}
    ways = [(nodes[one.digest],) for one in (first, second)]
    assert len(group_seeds(ways)) == 2, "the curves over tokens have the same rule"


def test_recipes_of_one_name_have_names_of_their_own() -> None:
    models = [
        made_by(stage(f"m-{at}", at % 2, stage=kind)) for at, kind in enumerate(["sft", "sft", "dpo", "dpo"])
    ]  # fmt: skip
    assert [arm.name for arm in seed_arms(models)] == ["m-0 and seeds", "m-2 and seeds"]
    arms = by_recipe([RecipeArm(name=one.name, models=(one,)) for one in models])
    assert [(node.name, node.runs) for node in recipe_nodes(arms)] == [("m-0 and seeds", 2), ("m-2 and seeds", 2)]


def test_a_recipe_has_another_name_than_a_model() -> None:
    models = [made_by(stage("m", 7, stage="dpo")), *(made_by(stage(f"m-{seed}", seed)) for seed in (0, 1))]
    assert [arm.name for arm in seed_arms(models)] == ["m-0 and seeds"]


def test_damaged_settings_keep_a_run_alone_and_in_the_picture() -> None:
    models = [made_by(stage(f"t-{seed}", seed, spec="damaged")) for seed in (0, 1)]
    assert seed_arms(models) == ()
    assert [node.name for node in lineage_nodes(models)] == ["t-0", "t-1"]
