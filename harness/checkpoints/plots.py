"""Which training runs count as one: runs made from one pre-training run share its luck.

A chain names the checkpoints from the root to a run. Runs of one *plot* have a common ancestor, at the outermost stage
at which any of the runs differ::

    base, mid-text-0, tuned-a        mid-text-0, because `base` is the ancestor of all
    base, mid-text-0, tuned-b        mid-text-0
    base, mid-code-0, tuned-c        mid-code-0

`harness compare` reads chains from lineages, `harness run` from the graph of an experiment.
"""

from __future__ import annotations

from collections.abc import Sequence

Chain = Sequence[str]


def common_stages(chains: Sequence[Chain]) -> int:
    """Return how many stages, from the root, all chains share."""
    shared = 0
    for stage in zip(*chains, strict=False):
        if len(set(stage)) > 1:
            break
        shared += 1
    return shared


def plots_of(chains: Sequence[Chain]) -> list[str | None]:
    """Return the plot of each run of a factorial study: its ancestor at the outermost stage at which runs differ.

    Where runs differ in their own stage only, all are of one plot, their common parent. None for a run that has no such
    ancestor, and is none of another run's: its parents are unknown, or it has none. A root that only the longer chains
    know is left out (`_without_partial_root`).
    """
    shared = min([common_stages(chains), *(len(chain) - 1 for chain in chains)])
    common = [str(name) for name in chains[0][:shared]] if chains else []
    rest = _without_partial_root([chain[shared:] for chain in chains])
    if rest is not None:
        return plots_of(rest)
    apart = {name for chain in chains for name in chain[shared:-1]}
    if not apart:
        return [common[-1] if common else None for _ in chains]
    return [chain[shared] if chain[shared] in apart else None for chain in chains]


def _without_partial_root(chains: Sequence[Chain]) -> list[Chain] | None:
    """Return the chains without a root that the longest ones share and no shorter one knows; None if there is none.

    Chains are compared stage by stage, so they must begin at the same stage::

        base, text-0, tuned-a        text-0, tuned-a
        base, text-1, tuned-b        text-1, tuned-b
              code-0, tuned-c        code-0, tuned-c     its own base is not recorded
    """
    depths = {len(chain) for chain in chains if len(chain) > 1}
    if len(depths) < 2:
        return None
    longest = [chain for chain in chains if len(chain) == max(depths)]
    root = longest[0][0]
    if any(chain[0] != root for chain in longest):
        return None
    if any(root in chain for chain in chains if len(chain) < len(longest[0])):
        return None
    return [chain[1:] if len(chain) == len(longest[0]) else chain for chain in chains]


def stage_name(parents: Sequence[str]) -> str:
    """Return how a chain names the stage above a checkpoint: its parent; a merge of several is a stage of its own."""
    return "+".join(sorted(parents))
