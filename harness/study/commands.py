"""The command line of a node, or of several evaluations that share a process; files that it reads are written here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from harness.checkpoints.folders import SAVED_STATES
from harness.study.design import DESIGN
from harness.study.evaluations import JOURNAL
from harness.study.folder import StudyFolder
from harness.study.nodes import Evaluation, Graph, Node, Overlap, Report, Training, with_folders
from harness.study.outcomes import ITEMS, PAGE
from harness.study.states import PROGRESS

RUNS = "runs"  # the folder of a report with links to the records that it shows
JOURNAL_FLAGS = {f"--{name}" for name in JOURNAL}  # with one of them, the experiment says where answers are kept
Results = Mapping[str, Sequence[str]]
"""By key of an evaluation: its results files, relative to the study's folder."""


class Commands:
    """Makes command lines: words that follow ``harness``."""

    def __init__(self, graph: Graph, folder: StudyFolder) -> None:
        self.graph, self.folder = graph, folder

    def of(self, nodes: Sequence[Node], results: Results) -> list[str]:
        """Return the command of a node, or of evaluations of one set of tasks and flags.

        Args:
            nodes: One node, or several evaluations.
            results: Those of the evaluations that are done, for a report.
        """
        work = nodes[0].work
        if isinstance(work, Training):
            return self._train(nodes[0], work)
        if isinstance(work, Evaluation):
            progress = self.folder.of(nodes[0].key) / PROGRESS
            words = self._evaluate([node.work for node in nodes if isinstance(node.work, Evaluation)])
            return [*words, "--progress_path", str(progress)]
        if isinstance(work, Overlap):
            places = [str(self.folder.checkpoint(self.graph[key])) for key in work.checkpoints]
            return ["overlap", *places, *work.words, "--output_path", str(self.folder.of(nodes[0].key) / ITEMS)]
        return self._report(nodes[0], work, results)

    def stage_file(self, node: Node, name: str) -> dict[str, Any]:
        """Return the contents of a training node's stage file, with the places of other nodes' checkpoints."""
        assert isinstance(node.work, Training)
        spec: dict[str, Any] = with_folders(
            dict(node.work.spec), lambda _kind, key: str(self.folder.checkpoint(self.graph[key]))
        )
        return {"stage": spec.pop("stage"), "name": name, **spec}

    def _train(self, node: Node, work: Training) -> list[str]:
        assert node.work is work
        file, checkpoint = self.folder.of(node.key) / "stage.yaml", self.folder.checkpoint(node)
        spec = self.stage_file(node, checkpoint.name)
        file.write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return ["train", str(file), "--output_path", str(checkpoint)]

    def _evaluate(self, works: Sequence[Evaluation]) -> list[str]:
        first, models = works[0], []
        for work in works:
            checkpoint = self.folder.checkpoint(self.graph[work.checkpoint])
            models.append(str(checkpoint / SAVED_STATES if work.states else checkpoint))
        output = str(self.folder.records(first.set_key))
        own = () if set(first.flags) & JOURNAL_FLAGS else ("--use_cache", str(self.folder.journal))
        tasks = ",".join(first.tasks)
        return ["eval", "--model", *models, "--tasks", tasks, "--output_path", output, *own, *first.flags]

    def _report(self, node: Node, work: Report, results: Results) -> list[str]:
        own = self.folder.of(node.key)
        shutil.rmtree(own / RUNS, ignore_errors=True)
        for parent in (self.graph[key] for key in node.parents):
            if isinstance(parent.work, Evaluation):
                self._link(parent.work, results[parent.key], own / RUNS)
        design = own / "design.yaml"
        places = {RUNS.upper(): str(own / RUNS), DESIGN: str(design)}
        words = with_folders(list(work.words), partial(self._place, own))
        if work.design is not None:
            contents = with_folders(dict(work.design), partial(self._place, own))
            design.write_text(yaml.safe_dump(contents, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return [*(places.get(word, word) for word in words), "--format", "html", "--output_path", str(own / PAGE)]

    def _place(self, own: Path, kind: str, key: str) -> str:
        """Return the path that replaces a reference in a report's words."""
        return str(self.folder.of(key) / ITEMS if kind == "overlap" else self._runs(own / RUNS, key))

    def _runs(self, place: Path, key: str) -> Path:
        """Return the folder of a checkpoint's records: ``runs/tuned-N-0-3f0c9a...``; its label alone may not be unique.

        A checkpoint keeps the label under which it was trained, which another one may have in a later experiment.
        """
        return place / f"{self.folder.label(self.graph[key])}-{key}"

    def _link(self, work: Evaluation, results: Sequence[str], place: Path) -> None:
        """Link the files of an evaluation's records into one folder per checkpoint.

        All evaluations of a checkpoint come together there, and nothing of an earlier version of the experiment.
        """
        for file in results:
            source = self.folder.path / file
            time = source.stem.removeprefix("results_")
            folder = self._runs(place, work.checkpoint)
            if work.states:
                folder = folder.with_name(f"{folder.name}-states") / source.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            for record in [source, *source.parent.glob(f"samples_*_{time}.jsonl"), source.parent / f"run_{time}.json"]:
                link = folder / record.name
                link.unlink(missing_ok=True)
                link.symlink_to(os.path.relpath(record.resolve(), folder.resolve()))  # also valid in a moved folder
