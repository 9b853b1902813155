"""Which training runs share a pre-training run: the rule that comparisons, designs and experiments have in common."""

from __future__ import annotations

import pytest

from harness.checkpoints.plots import common_stages, plots_of


@pytest.mark.parametrize(
    ("chains", "shared", "plots"),
    [
        # Two stages: pre-training runs differ.
        (["p t", "p u", "q v"], 0, ["p", "p", "q"]),
        # Three stages, one base for all: the middle stage differs.
        (["b p t", "b p u", "b q v"], 1, ["p", "p", "q"]),
        # Only the runs themselves differ: one plot.
        (["b t", "b u"], 1, ["b", "b"]),
        # An arm is evaluated before it is tuned: it belongs to its own tunings.
        (["p", "p t", "q", "q u"], 0, ["p", "p", "q", "q"]),
        (["b p", "b p t", "b q", "b q u"], 1, ["p", "p", "q", "q"]),
        # Only some runs' base is known: the stage that all have is compared.
        (["b p t", "b q u", "r v", "s w"], 0, ["p", "q", "r", "s"]),
        (["a b p t", "b q u", "r v", "s w"], 0, ["p", "q", "r", "s"]),
        (["a b p t", "a b q u", "a r v", "a s w"], 1, ["p", "q", "r", "s"]),
        # Some runs have a stage more below their pre-training run, which stays the plot.
        (["p t", "p m u", "q v", "q n w"], 0, ["p", "p", "q", "q"]),
        (["p t", "q v", "r m u", "s n w"], 0, ["p", "q", "r", "s"]),
        # Trained from scratch: no ancestor.
        (["p", "q"], 0, [None, None]),
        ([], 0, []),
    ],
)
def test_the_plot_is_the_ancestor_at_the_outermost_stage_at_which_runs_differ(
    chains: list[str], shared: int, plots: list[str | None]
) -> None:
    split = [chain.split() for chain in chains]
    assert common_stages(split) == shared
    assert plots_of(split) == plots
