"""From the `trainer:` section of a stage file to the configuration of TRL or transformers.

Fields that the stage sets itself (steps, seeds, output folder, data order) cannot be given there.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import SpecError, did_you_mean, one_line
from harness.trainers.stage.job import WORK_FOLDER, Method
from harness.trainers.stage.launchers import check_launched
from harness.trainers.stage.spec import EvaluateSpec, StageSpec

# Fields that cannot be given, and what to do instead.
SET_BY_STAGE = {
    "output_dir": "--output_path sets it",
    "max_steps": "data.budget_tokens determines it",
    "num_train_epochs": "set data.num_train_epochs instead of data.budget_tokens",
    "seed": "set the stage's seed",
    "data_seed": "set the stage's seed",
    "shuffle_dataset": "set data.shuffle",
    "train_sampling_strategy": "the mixture determines the order",
    "resume_from_checkpoint": "run the same command again",
    "save_strategy": "set save_steps",
    "save_only_model": "resuming needs the optimizer state",
    "dataset_num_proc": "the data is streamed",
    "dataset_kwargs": "the data is tokenized before it reaches the trainer",
    "dataset_text_field": "set the source's fields",
    "chat_template_path": "set the stage's chat_template",
    "eos_token": "the parent's tokenizer defines it",
    "pad_token": "the parent's tokenizer defines it",
    "truncation_mode": "long examples are truncated at their end",
    "packing_strategy": "the stream packs documents in the order of the mixture",
    "assistant_only_loss": "the loss is on all answers; set only_last for a source to learn the last one",
    "model_init_kwargs": "set dtype, or adapter",
    "ignore_data_skip": "the stream is resumed at the exact record",
    "auto_find_batch_size": "the number of steps depends on a fixed batch size",
    "do_train": "harness train trains",
    "local_rank": "the launcher sets it",
    "disable_tqdm": "the bar is shown on a terminal",
    "remove_unused_columns": "the stream has the columns that the trainer reads",
    "length_column_name": "the mixture determines the order",
    "dataloader_drop_last": "the last batch is trained on",
    "accelerator_config": "every process reads the stream itself",
    "restore_callback_states_from_checkpoint": "run the same command again",
    "trust_remote_code": "the code of a checkpoint is never run",
    **dict.fromkeys(("eval_strategy", "do_eval", "do_predict"), "add an evaluate section"),
    "eval_steps": "set evaluate.every",
    "load_best_model_at_end": "set evaluate.keep to best",
    **dict.fromkeys(("metric_for_best_model", "greater_is_better"), "set evaluate.best_on"),
    **dict.fromkeys(
        (
            *("prediction_loss_only", "label_names", "include_for_metrics", "batch_eval_metrics", "eval_packing"),
            *("eval_accumulation_steps", "eval_do_concat_batches", "eval_use_gather_object", "num_generations_eval"),
            *("bf16_full_eval", "fp16_full_eval"),
        ),
        "the held-out loss is measured per token, in the data type of training",
    ),
    **dict.fromkeys(
        (
            *("push_to_hub", "hub_model_id", "hub_strategy", "hub_token", "hub_private_repo", "hub_always_push"),
            *("hub_revision", "log_completions_hub_repo"),
        ),
        "publish a finished checkpoint yourself",
    ),
    **dict.fromkeys(
        ("sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"),
        "saved states do not contain a moving reference model",
    ),
}
EVALUATE = "an evaluate section"
# Fields without effect on their own, and what they need.
ONLY_WITH = {
    **dict.fromkeys(("eval_delay", "eval_on_start", "per_device_eval_batch_size"), EVALUATE),
    **dict.fromkeys(
        ("run_name", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
        "trainer.report_to",
    ),
}

MIN_STATES = 2  # the previous state must survive until the next one is complete

POSITIVE = (
    "max_length",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
    "save_steps",
    "num_generations",
    "generation_batch_size",
    "steps_per_generation",
    "num_iterations",
)


def make_config(config_class: type, given: Mapping[str, Any], defaults: Mapping[str, Any], out_dir: Path) -> Any:
    """Return the configuration: `defaults`, overridden by `given`.

    Raises:
        InputError: a field is unknown or set by the stage, or its value is not allowed.
    """
    fields = {field.name: field for field in dataclasses.fields(config_class) if field.init}
    hints = typing.get_type_hints(config_class)
    for name, value in given.items():
        if name in SET_BY_STAGE:
            raise SpecError(f"trainer.{name}: cannot be given; {SET_BY_STAGE[name]}.")
        if name not in fields:
            hint = did_you_mean(name, fields)
            raise SpecError(f"trainer.{name}: {config_class.__name__} has no such field.{hint}")
        if not _fits(value, hints[name]) and not (name == "fsdp" and value is True):
            raise SpecError(f"trainer.{name}: {value!r} is not {_type_names(hints[name])}.")
        if name in POSITIVE and isinstance(value, int) and value < 1:
            raise SpecError(f"trainer.{name}: {value} is not allowed; give 1 or more.")
        if name == "save_total_limit" and value is not None and value < MIN_STATES:
            raise SpecError(
                f"trainer.{name}: {value} is not allowed; give {MIN_STATES} or more, so that a kill leaves one."
            )
    if given.get("fp16"):
        defaults = {**defaults, "bf16": False}  # the user's choice replaces the machine's default
    try:
        return config_class(output_dir=str(out_dir), **{**defaults, **given})
    except (ValueError, TypeError, ImportError) as error:
        raise SpecError(f"trainer: {one_line(error)}") from None


def _fits(value: Any, hint: Any) -> bool:
    """Whether a YAML value fits a type; types that YAML cannot express are left to the library."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(_fits(value, option) for option in typing.get_args(hint))
    if hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    return True


def _type_names(hint: Any) -> str:
    options = typing.get_args(hint) or (hint,)
    return " or ".join(getattr(option, "__name__", str(option)) for option in options if option is not type(None))


def machine_defaults() -> dict[str, Any]:
    """Return the fields that depend on the machine: bfloat16 where supported, pinned memory with CUDA."""
    import torch

    cuda = torch.cuda.is_available()
    return {"bf16": cuda and torch.cuda.is_bf16_supported(), "dataloader_pin_memory": cuda}


def stage_defaults(seed: int, steps: int) -> dict[str, Any]:
    """Return the fields that every stage sets: seeds, steps, and how often to save and log."""
    return {
        **machine_defaults(),
        "seed": seed,
        "data_seed": seed,
        "max_steps": steps,
        "num_train_epochs": 1,
        "save_strategy": "steps",
        "save_steps": max(1, -(-steps // 10)),
        "save_total_limit": 2,
        "logging_steps": max(1, steps // 100),
        "logging_nan_inf_filter": False,  # or a NaN loss is logged as 0
        "report_to": "none",
        "disable_tqdm": True,
        "accelerator_config": {"dispatch_batches": False},  # every process reads the stream itself
    }


def configured(method: Method, spec: StageSpec, out_dir: Path, *, steps: int) -> Any:
    """Return the library's configuration for a number of optimizer steps.

    Raises:
        InputError: a field is unknown, set by the stage or without effect, or its value is not allowed.
    """
    present = {EVALUATE: spec.evaluate is not None, "trainer.report_to": "report_to" in spec.trainer}
    for name in spec.trainer:
        if not present.get(ONLY_WITH.get(name, ""), True):
            raise SpecError(f"trainer.{name}: has no effect without {ONLY_WITH[name]}; add it, or remove {name}.")
    check_launched(spec.trainer)
    defaults = {**stage_defaults(spec.seed, steps), **method.defaults, **method.hardware_defaults()}
    if "report_to" in spec.trainer:
        defaults["run_name"] = spec.name
    if spec.evaluate is not None:
        defaults |= _evaluation(spec.evaluate, defaults["save_steps"], spec.trainer.get("save_steps"))
    config = make_config(method.config_class(), spec.trainer, defaults, out_dir / WORK_FOLDER)
    if method.stream_unit is not None:
        _align_save_steps(config, method.stream_unit(config)[1], chosen="save_steps" in spec.trainer)
    return config


def _evaluation(evaluate: EvaluateSpec, save_steps: int, chosen: int | None) -> dict[str, Any]:
    """Return the fields that measure the held-out loss, and keep the best state if requested."""
    best = evaluate.keep == "best"
    if best and isinstance(chosen, int) and chosen % evaluate.every:
        raise SpecError(
            f"trainer.save_steps: {chosen} is not a multiple of evaluate.every ({evaluate.every}), so the best state "
            "might not be saved; give a multiple."
        )
    fields: dict[str, Any] = {
        "eval_strategy": "steps",
        "eval_steps": evaluate.every,
        "eval_on_start": True,
        "load_best_model_at_end": best,
        # The library restores the count of evaluations without progress only on request.
        "restore_callback_states_from_checkpoint": evaluate.patience is not None,
    }
    if best or evaluate.patience is not None:
        fields |= {"metric_for_best_model": evaluate.metric, "greater_is_better": False}
    if best:
        fields["save_steps"] = -(-save_steps // evaluate.every) * evaluate.every
    return fields


def _align_save_steps(config: Any, steps: int, *, chosen: bool) -> None:
    """Save states only at the end of a unit of `steps` steps, a multiple of which `chosen` save_steps must be."""
    # GRPO with 4 steps per generation: a state saved after step 6 would need the answers generated at step 5, which
    # are not saved. save_steps 6 becomes 8.
    if config.save_steps % steps == 0:
        return
    if chosen:
        raise SpecError(
            f"trainer.save_steps: {config.save_steps} is not a multiple of {steps}, the steps per generation; "
            "give a multiple."
        )
    config.save_steps = -(-config.save_steps // steps) * steps
