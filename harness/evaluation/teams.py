"""Which other processes answer an evaluation's requests: ranks or replicas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from harness.engines.registry import find_engine, resolve_backend
from harness.engines.replicated.devices import environments
from harness.engines.replicated.on_ray import OnRay
from harness.engines.replicated.processes import Processes
from harness.engines.replicated.ranks import INTERRUPTED, Rank, Ranks
from harness.engines.replicated.team import Team
from harness.errors import HarnessError
from harness.evaluation.spec import EvaluationSpec


@contextmanager
def open_team(spec: EvaluationSpec, rank: Rank | None, words: Sequence[str]) -> Iterator[Team | None]:
    """Open the replicas that the options ask for, until the block ends; None if the engine runs in this process.

    Args:
        spec: The options.
        rank: This process among the ranks of the command, which must be 0; None if it is the only one.
        words: The command line, which must be the same for all ranks.

    Raises:
        InputError: the options do not fit this machine or cluster.
        EngineError: the ranks cannot connect to each other.
    """
    team = _team(spec, rank, words)
    code = 1
    try:
        yield team
        code = 0
    except HarnessError as error:
        code = error.exit_code
        raise
    except KeyboardInterrupt:
        code = INTERRUPTED
        raise
    finally:
        if team is not None:
            team.close(code)


def _team(spec: EvaluationSpec, rank: Rank | None, words: Sequence[str]) -> Team | None:
    if spec.dry_run:
        return None
    if rank is not None:
        return Ranks(rank, words)
    if spec.replicas is None and spec.on is None:
        return None
    count: int | Literal["auto"] = "auto" if spec.replicas is None else spec.replicas
    if spec.on is not None:
        return OnRay(spec.on.partition(":")[2] or None, count, spec.engine)
    kind = find_engine(resolve_backend(spec.engine.backend, spec.engine.device))
    return Processes(environments(count, spec.engine, loads_weights=kind.open_checkpoint is not None))
