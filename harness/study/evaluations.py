"""The evaluation nodes of an experiment: each checkpoint on the tasks of each ``evaluate`` section."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import InputError, did_you_mean
from harness.study.experiment import EvaluateSpec, ExperimentSpec
from harness.study.factors import placeholders
from harness.study.files import digest_at
from harness.study.inputs import is_own_trainer, scoring_versions
from harness.study.nodes import Evaluation, Node, Trained, Training, digest_of, file_name
from harness.study.task_inputs import tasks_digest
from harness.suite.catalogue import Catalogue

JOURNAL = ("use_cache", "no_cache")  # flags that say where answers are kept, which changes none of them
TEMPLATES = ("_letter", "_cloze", "_paper")  # endings of task names that a variant replaces


def evaluation_nodes(spec: ExperimentSpec, trained: Trained) -> list[Node]:
    """Return the evaluation nodes.

    Raises:
        InputError: a section names an unknown stage, or has a placeholder.
    """
    nodes = []
    catalogue = cache(lambda *folders: Catalogue(folders))
    for section in spec.evaluate:
        word = next(placeholders([section.flags, section.tasks]), None)
        if word is not None:
            raise InputError(f"evaluate: {{{word}}} is not filled; only stages have placeholders.")
        for stage in section.stages or trained:
            if stage not in trained:
                hint = did_you_mean(stage, trained)
                raise InputError(f"evaluate.stages: no stage {stage!r}; stages are {', '.join(trained)}.{hint}")
        words = flag_words(section.flags)
        tasks = variants(section)
        definitions = tasks_digest(tasks, catalogue(*include_paths(section)), _folder(section.flags.get("data_dir")))
        scored = {name: value for name, value in section.flags.items() if name not in JOURNAL}
        set_key = digest_of(
            {
                "tasks": tasks, "flags": flag_words(scored), "versions": scoring_versions(), "definitions": definitions,
                "tokenizer": digest_at(str(section.flags["tokenizer"])) if "tokenizer" in section.flags else None,
                **_named_items(section.flags.get("samples")),
            }
        )  # fmt: skip
        for node in (node for stage in section.stages or trained for node in trained[stage]):
            for states in (False, True) if section.checkpoints == "all" and _saves_states(node) else (False,):
                work = Evaluation(
                    checkpoint=node.key, states=states, tasks=tasks, flags=words, set_key=set_key,
                    definitions=definitions,
                )  # fmt: skip
                nodes.append(_node(node, section, work, spec))
    return nodes


def include_paths(section: EvaluateSpec) -> list[Path]:
    """Return the user's folders of tasks."""
    return [Path(path).expanduser() for path in _listed(section.flags.get("include_path"))]


def _saves_states(trained: Node) -> bool:
    """Return whether a training saves states: `average`, which reads no data, takes no steps and saves none."""
    assert isinstance(trained.work, Training)
    return "data" in trained.work.spec or not is_own_trainer(str(trained.work.spec["stage"]))


def _node(trained: Node, section: EvaluateSpec, work: Evaluation, spec: ExperimentSpec) -> Node:
    states = "-states" if work.states else ""
    return Node(
        key=digest_of({"evaluate": work.set_key, "checkpoint": work.checkpoint, "states": work.states}),
        label=file_name(f"{section.name}-{trained.label}{states}"),
        kind="evaluate",
        stage=trained.stage,
        parents=(trained.key,),
        needs=spec.needs.evaluate,
        work=work,
        alike=f"{section.name}{states}",
    )


def variants(section: EvaluateSpec) -> tuple[str, ...]:
    """Return the task names of all variants: ``ekar_en_letter`` and, for ``cot``, ``ekar_en_cot``."""
    names: dict[str, None] = {}
    for variant in section.variants:
        for task in section.tasks:
            base = next((task.removesuffix(ending) for ending in TEMPLATES if task.endswith(ending)), task)
            names[task if variant == "direct" else f"{base}_{variant}"] = None
    return tuple(names)


def flag_words(flags: Mapping[str, Any]) -> tuple[str, ...]:
    """Return flags as words of a command line: ``{limit: 40, include_path: [a, b]}`` -> ``--limit 40 ...``."""
    words: list[str] = []
    for name, value in flags.items():
        flag = f"--{name.replace('-', '_')}"
        if value is True:
            words.append(flag)
        elif value is False and name.replace("-", "_") == "fewshot_as_multiturn":  # its default is no constant
            words += [flag, "false"]
        elif value is False or value is None:
            continue
        elif name == "include_path":
            words += [word for path in _listed(value) for word in (flag, str(path))]
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        else:
            words += [flag, json.dumps(value) if isinstance(value, Mapping) else str(value)]
    return tuple(words)


def _named_items(value: Any) -> dict[str, Any]:
    """Return the digest of the file of item numbers that ``samples`` may name."""
    return {"samples": digest_at(value)} if isinstance(value, str) and not value.lstrip().startswith("{") else {}


def _folder(value: Any) -> Path | None:
    return None if value is None else Path(str(value)).expanduser()


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
