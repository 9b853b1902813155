"""What the nodes that are not done will cost: tokens, requests, disk, and time where it was measured.

A stage is planned by its trainer's planner, once for all seeds that change nothing else: that finds what the trainer
would refuse, hours before its parent is trained. The result is kept in the study's folder, so that a rerun plans
nothing again.
"""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from harness.errors import InputError, SpecError, UnplannedParentError
from harness.study.folder import StudyFolder, read_json, write_json
from harness.study.inputs import is_own_trainer
from harness.study.nodes import SEED, Evaluation, Graph, Node, Training, digest_of, references, with_folders
from harness.study.outcomes import Outcome
from harness.training import find_planner

# Weights in the output and in each of two saved states, and Adam's two moments in the states, in float32.
STATES_KEPT = 2
BYTES_PER_PARAMETER = 4
BYTES_PER_REQUEST = 2_000  # of a samples file and the journal, roughly


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a node costs.

    Attributes:
        tokens: Tokens to train on; 0 for other nodes, None if the trainer has no planner that says so.
        steps: Steps of a training; 0 if its planner does not say.
        requests: Requests to answer at most: the journal may know some answers.
        disk_bytes: Disk space of its output, about.
        seconds: Time, from finished nodes of the same stage or from timed steps; None if there are neither.
    """

    tokens: int | None = 0
    steps: int = 0
    requests: int = 0
    disk_bytes: int = 0
    seconds: float | None = None


class Costs:
    """Finds the costs of nodes.

    Args:
        graph: The graph.
        folder: The study's folder.
        done: What the finished nodes have produced.
        count_requests: Returns the requests of an evaluation per checkpoint.
        writes: Whether what was found is kept in the folder; not in a dry run.
    """

    def __init__(
        self,
        graph: Graph,
        folder: StudyFolder,
        done: Mapping[str, Outcome],
        count_requests: Callable[[Node], int],
        *,
        writes: bool,
    ) -> None:
        self.graph, self.folder, self.done, self.writes = graph, folder, done, writes
        self._count_requests = count_requests
        self._found: dict[str, Cost] = {}

    def of(self, node: Node) -> Cost:
        """Return the cost of a node.

        Raises:
            InputError: its trainer would refuse the stage, or `harness eval` its tasks.
        """
        name = f"{node.kind}-{self._alike(node)}"
        kept = self.folder.path / "costs" / f"{node.key}.json"
        if name not in self._found:
            recorded = read_json(kept)
            self._found[name] = Cost(**recorded) if recorded is not None else self._planned(node)
        if self.writes and node.kind != "report" and not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            write_json(kept, asdict(self._found[name]) | {"seconds": None})
        return self._timed(node, self._found[name])

    def _alike(self, node: Node) -> str:
        """Return what nodes of the same cost share: of a training, all fields but the seed, and its parents' fields.

        Seeds whose data files differ are planned one by one: ``path: data-{seed}.jsonl``.
        """
        if isinstance(node.work, Evaluation):
            of_stage = f"-{self._alike(self.graph[node.work.checkpoint])}" if node.work.states else ""
            return node.work.set_key + of_stage
        if not isinstance(node.work, Training):
            return node.alike
        fields = {name: value for name, value in node.work.spec.items() if name != SEED}
        return digest_of(with_folders(fields, lambda _kind, key: self._alike(self.graph[key])))

    def _planned(self, node: Node) -> Cost:
        if isinstance(node.work, Training):
            try:
                return self._of_training(node, node.work)
            except SpecError as error:
                raise InputError(f"stages.{node.stage}: {error}") from None
        if isinstance(node.work, Evaluation):
            requests = self._count_requests(node) * self._checkpoints(node.work)
            return Cost(requests=requests, disk_bytes=requests * BYTES_PER_REQUEST)
        return Cost()

    def _checkpoints(self, work: Evaluation) -> int:
        """Return how many checkpoints an evaluation is about; 1 if the number of saved states is not known."""
        trained = self.graph[work.checkpoint]
        assert isinstance(trained.work, Training)
        if not work.states or not is_own_trainer(str(trained.work.spec["stage"])):
            return 1
        return _saved_states(trained.work.spec.get("trainer") or {}, self.of(trained).steps)

    def _of_training(self, node: Node, work: Training) -> Cost:
        planner = find_planner(work.spec)
        others = set(references({key: value for key, value in work.spec.items() if key != "from"})) - self.done.keys()
        if planner is None or others:  # checkpoints that do not exist yet, other than its parent
            return _cost_of_budget(work.spec)
        try:
            with tempfile.TemporaryDirectory() as place:
                return _cost_of_plan(planner(self._stage(node, Path(place))), work.spec)
        except UnplannedParentError:  # below an average, say: its trainer checks it when the average exists
            return _cost_of_budget(work.spec)

    def _stage(self, node: Node, place: Path) -> dict[str, Any]:
        """Return a stage's fields; a parent that does not exist yet is named by a stage file below `place`."""

        def parent(_kind: str, key: str) -> str:
            if key in self.done:
                return str(self.folder.checkpoint(self.graph[key]))
            file = place / f"{key}.yaml"
            file.write_text(yaml.safe_dump(self._stage(self.graph[key], place)), encoding="utf-8")
            return str(file)

        assert isinstance(node.work, Training)
        return {**with_folders(dict(node.work.spec), parent), "name": node.label}

    def _timed(self, node: Node, cost: Cost) -> Cost:
        """Add the time, from the finished nodes that are most like this one."""
        times = []
        for key in self.done:
            other = self.graph[key]
            alike = (other.kind, other.stage if other.kind == "train" else other.alike)
            if alike == (node.kind, node.stage if node.kind == "train" else node.alike):
                seconds = (self.folder.state(key, "done") or {}).get("seconds")
                times += [float(seconds)] if seconds is not None else []
        return replace(cost, seconds=sum(times) / len(times) if times else None)


def _saved_states(trainer: Mapping[str, Any], steps: int) -> int:
    """Return how many states a stage keeps, from the fields of its trainer: one every `save_steps`, and the last one.

    By default a tenth of the steps apart, of which the last two are kept.
    """
    every = trainer.get("save_steps") or max(1, math.ceil(steps / 10))
    every = every if every >= 1 else max(1, math.ceil(steps * every))  # a share of the steps
    limit = trainer.get("save_total_limit", STATES_KEPT)
    saved = max(1, math.ceil(steps / every))
    return saved if limit is None else min(saved, limit)


def _cost_of_budget(spec: Mapping[str, Any]) -> Cost:
    data = spec.get("data")
    return Cost(tokens=data.get("budget_tokens") if isinstance(data, Mapping) else None)


def _cost_of_plan(plan: Mapping[str, Any], spec: Mapping[str, Any]) -> Cost:
    """Read tokens and parameters out of a planner's tables, whose cells are texts such as ``"1,024"``."""
    budget, stage = plan.get("budget"), plan.get("stage")
    tokens = None
    if isinstance(budget, list):
        tokens = sum(_number(row.get("tokens")) for row in budget)
    if not isinstance(stage, Mapping):
        return Cost(tokens=tokens)
    parameters = _number(stage.get("parameters"))
    trained = _number(stage.get("trained parameters")) or parameters
    kept = (spec.get("trainer") or {}).get("save_total_limit") or STATES_KEPT
    output = trained if trained < parameters else parameters
    steps = _number(stage.get("steps"))
    return Cost(tokens=tokens, steps=steps, disk_bytes=(output + kept * 3 * trained) * BYTES_PER_PARAMETER)


def _number(cell: object) -> int:
    digits = re.sub(r"[^\d]", "", str(cell or ""))
    return int(digits) if digits else 0


def check_disk(costs: Iterable[Cost], place: Path) -> None:
    """Check that the output of these nodes fits on the disk.

    Raises:
        InputError: it does not.
    """
    needed = sum(cost.disk_bytes for cost in costs)
    nearest = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if needed > free:
        raise InputError(
            f"--output_path {place}: too little disk: the study needs about {gigabytes(needed)} more and "
            f"{gigabytes(free)} are free; free space, or give a folder on another disk."
        )


def gigabytes(number: int) -> str:
    """Return bytes as ``1.2 GB``."""
    return f"{number / 1e9:,.1f} GB" if number >= 1e8 else f"{number / 1e6:,.1f} MB"
